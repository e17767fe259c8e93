"""Small XGBoost models, trained in a moment, with rows to ask them about and what XGBoost answers."""

from dataclasses import dataclass

import numpy as np
import xgboost
from numpy.typing import NDArray

Rows = NDArray[np.float32]

FEATURES = 6
TRAINING_ROWS = 400
CATEGORIES = 8


@dataclass(frozen=True, slots=True)
class Trained:
    """A booster and rows of FEATURES float32 values for it, some of them missing (NaN)."""

    booster: xgboost.Booster
    rows: Rows
    feature_types: tuple[str, ...] | None = None

    def expected(self, rows: Rows | None = None) -> Rows:
        """XGBoost's own answers: (rows,) or (rows, classes). Binary models answer P(class 1)."""
        asked = self.rows if rows is None else rows
        return np.asarray(self.booster.predict(_matrix(asked, self.feature_types)), np.float32)


def train(
    objective: str, *, rounds: int = 12, depth: int = 4, seed: int = 0, features: int = FEATURES, **parameters: object
) -> Trained:
    """A model of `objective` on made-up rows of `features` values, a tenth of which are missing."""
    rng = np.random.default_rng(seed)
    given = _with_missing(rng.normal(size=(TRAINING_ROWS, features)).astype(np.float32), rng)
    signal = np.nan_to_num(given[:, 0]) + np.nan_to_num(given[:, 1] * given[:, 2])
    settings = {"objective": objective, "max_depth": depth, "seed": seed, "nthread": 1, **parameters}
    label = _label(objective, signal, int(str(parameters.get("num_class", 2))))
    booster = xgboost.train(settings, _matrix(given, None, label), rounds)
    return Trained(booster, _with_missing(rng.normal(size=(200, features)).astype(np.float32), rng))


def train_categorical(seed: int = 0) -> Trained:
    """A binary model that splits on sets of categories; some of its rows hold a category it has never seen."""
    rng = np.random.default_rng(seed)
    kinds = ("c", "c", *["q"] * (FEATURES - 2))

    def make(rows: int, categories: int) -> Rows:
        values = rng.normal(size=(rows, FEATURES)).astype(np.float32)
        values[:, :2] = rng.integers(0, categories, size=(rows, 2))
        return _with_missing(values, rng)

    features = make(TRAINING_ROWS, CATEGORIES)
    label = (np.isin(features[:, 0], (1, 4, 6)) ^ (features[:, 2] > 0)).astype(np.float32)
    settings = {"objective": "binary:logistic", "max_depth": 5, "max_cat_to_onehot": 1, "nthread": 1, "seed": seed}
    booster = xgboost.train(settings, _matrix(features, kinds, label), 12)
    return Trained(booster, make(200, CATEGORIES + 3), kinds)


def _label(objective: str, signal: Rows, classes: int) -> Rows:
    if objective.startswith("multi:"):
        return np.digitize(signal, np.quantile(signal, np.arange(1, classes) / classes)).astype(np.float32)
    if objective.startswith("binary:"):
        return (signal > 0).astype(np.float32)
    if objective.startswith("rank:"):
        return np.digitize(signal, (-1, 0, 1)).astype(np.float32)
    return np.exp(signal / 4) if objective in {"count:poisson", "reg:gamma", "reg:tweedie"} else signal


def _matrix(rows: Rows, kinds: tuple[str, ...] | None, label: Rows | None = None) -> xgboost.DMatrix:
    return xgboost.DMatrix(rows, label, feature_types=kinds and list(kinds), enable_categorical=kinds is not None)


def _with_missing(rows: Rows, rng: np.random.Generator) -> Rows:
    rows[rng.random(rows.shape) < 0.1] = np.nan
    return rows
