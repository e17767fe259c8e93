"""Card payments as a fraud model sees them: one feature vector for every merchant, habits of each merchant's own."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FEATURES = (
    "amount",
    "amount_to_merchant_median",
    "hour",
    "weekday",
    "items",
    "card_calls_1h",
    "card_calls_24h",
    "card_age_days",
    "card_prepaid",
    "device_calls_24h",
    "device_age_days",
    "ip_distance_km",
    "ip_risk",
    "country_mismatch",
    "billing_shipping_mismatch",
    "email_age_days",
    "failed_attempts_1h",
    "account_age_days",
    "account_orders",
    "merchant_velocity",
)
MISSING_SHARE = {
    "device_age_days": 0.20,
    "ip_distance_km": 0.08,
    "email_age_days": 0.30,
    "account_age_days": 0.35,
    "account_orders": 0.35,
}
FRAUD_SHARE = 0.01
LEAST_FRAUDS = 40


@dataclass(frozen=True, slots=True)
class Payments:
    """`features` has shape (rows, len(FEATURES)), NaN where unknown; `fraud` has shape (rows,), 0 or 1."""

    features: Floats
    fraud: NDArray[np.int8]


def payments(merchant_seed: int, rows: int, sample_seed: int = 0) -> Payments:
    """Draw `rows` payments of the merchant whose habits `merchant_seed` fixes.

    About one payment in a hundred is fraud, and at least `LEAST_FRAUDS` are, so that a small merchant can be learnt.
    """
    habits = np.random.default_rng(merchant_seed)
    weights = habits.normal(1.0, 0.35, size=12)
    median_amount = float(np.exp(habits.normal(3.6, 0.8)))
    night_trade = float(habits.uniform(0.05, 0.4))

    draw = np.random.default_rng((merchant_seed, sample_seed))
    column = _columns(draw, rows, median_amount, night_trade)
    risk = _risk(column, weights) + draw.logistic(0.0, 0.3, rows)
    frauds = min(max(round(FRAUD_SHARE * rows), LEAST_FRAUDS), rows // 2)
    fraud = np.zeros(rows, dtype=np.int8)
    fraud[np.argpartition(risk, rows - frauds)[rows - frauds :]] = 1

    for name, share in MISSING_SHARE.items():
        column[name] = np.where(draw.random(rows) < share, np.nan, column[name])
    return Payments(np.stack([column[name] for name in FEATURES], axis=1).astype(np.float32), fraud)


def _columns(
    draw: np.random.Generator, rows: int, median_amount: float, night_trade: float
) -> dict[str, NDArray[np.float64]]:
    ratio = np.exp(draw.normal(0.0, 0.9, rows))
    at_night = draw.random(rows) < night_trade
    calls_1h = draw.poisson(0.4, rows).astype(float)
    account_age = draw.exponential(400.0, rows)
    return {
        "amount": median_amount * ratio,
        "amount_to_merchant_median": ratio,
        "hour": np.where(at_night, draw.integers(0, 7, rows), draw.integers(7, 24, rows)).astype(float),
        "weekday": draw.integers(0, 7, rows).astype(float),
        "items": 1.0 + draw.poisson(1.3, rows),
        "card_calls_1h": calls_1h,
        "card_calls_24h": calls_1h + draw.poisson(1.1, rows),
        "card_age_days": draw.exponential(500.0, rows),
        "card_prepaid": (draw.random(rows) < 0.07).astype(float),
        "device_calls_24h": draw.poisson(1.8, rows).astype(float),
        "device_age_days": draw.exponential(200.0, rows),
        "ip_distance_km": np.exp(draw.normal(3.0, 1.8, rows)),
        "ip_risk": draw.beta(1.2, 8.0, rows),
        "country_mismatch": (draw.random(rows) < 0.06).astype(float),
        "billing_shipping_mismatch": (draw.random(rows) < 0.12).astype(float),
        "email_age_days": draw.exponential(700.0, rows),
        "failed_attempts_1h": draw.poisson(0.08, rows).astype(float),
        "account_age_days": account_age,
        "account_orders": draw.poisson(account_age / 60.0).astype(float),
        "merchant_velocity": draw.lognormal(0.0, 0.4, rows),
    }


def _risk(column: dict[str, NDArray[np.float64]], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    far = np.log1p(column["ip_distance_km"]) / 4.0
    new_device = np.exp(-column["device_age_days"] / 20.0)
    new_account = np.exp(-column["account_age_days"] / 15.0)
    dear = np.log(column["amount_to_merchant_median"])
    night = (column["hour"] < 6).astype(float)
    parts = (
        1.2 * dear,
        0.9 * column["card_calls_1h"],
        0.5 * column["device_calls_24h"] * new_device,
        1.5 * column["country_mismatch"] * far,
        1.0 * column["billing_shipping_mismatch"] * new_account,
        3.0 * column["ip_risk"],
        1.4 * column["failed_attempts_1h"],
        1.1 * column["card_prepaid"] * (dear > 0.5),
        1.3 * new_device * new_account,
        0.8 * night * (dear > 0.0),
        0.6 * np.exp(-column["email_age_days"] / 30.0),
        0.4 * column["merchant_velocity"],
    )
    return np.asarray(sum(weight * part for weight, part in zip(weights, parts, strict=True)))
