"""Fraud: a merchants' day, compressed: whales always, shops in business hours, spikes, and an engineer's backfill."""

import math
from collections.abc import Callable, Iterator

from loadtests.suites.arrivals import Arrival, Stream, poisson
from loadtests.suites.fraud_population import few_merchants, merchants
from loadtests.suites.population import Population, Settled
from loadtests.suites.promises import Promise, Start
from loadtests.suites.suite import Budgets, Suite, Traffic

_WHALES, _MIDDLE, _OCCASIONAL = 0.80, 0.19, 0.01  # shares of a day's calls
_OPEN = ((8.0, 20.0),)  # o'clock
_AT_NIGHT = 0.1  # of the middle's rate by day
_SPIKES = ((10.0, 11.0), (16.0, 16.5), (21.0, 21.5))
_BETWEEN_SPIKES = 0.03
_BACKFILL = ((14.0, 15.0),)
_BACKFILL_RATE = 0.5  # of everybody's together
_BACKFILL_ROWS = 60
_OTHERS_RESIDENT = 20 / 65

Hours = tuple[tuple[float, float], ...]


def arrivals(population: Population, traffic: Traffic) -> Iterator[Arrival]:
    """One day, from midnight to midnight, in `traffic.seconds`."""
    rate, groups = traffic.rate, population.groups

    def by_hour(share: float, level: Callable[[float], float]) -> Callable[[float], float]:
        return lambda at: rate * share * level(24 * at / traffic.seconds % 24)

    streams = [
        Stream("whales", groups["whales"], by_hour(_WHALES, _evening)),
        Stream("middle", groups["middle"], by_hour(_MIDDLE, _mostly(_OPEN, _AT_NIGHT))),
        Stream("occasional", groups["occasional"], by_hour(_OCCASIONAL, _mostly(_SPIKES, _BETWEEN_SPIKES))),
        Stream("backfill", groups["middle"][-1:], by_hour(_BACKFILL_RATE, _only(_BACKFILL)), _BACKFILL_ROWS),
    ]
    return poisson(streams, population.rows_of, traffic.seed)


def budgets(population: Population, settled: Settled) -> Budgets:
    """The five whales are pinned; about 20 of the 65 others fit beside them."""
    whales = population.groups["whales"]
    others = [size for tenant, size in settled.resident_bytes.items() if tenant not in whales]
    room = max(round(_OTHERS_RESIDENT * sum(others)), 3 * max(others))
    return Budgets(sum(settled.resident_bytes[whale] for whale in whales) + room, pinned=whales)


def _evening(hour: float) -> float:
    """Never quiet, busiest at eight in the evening; 1 on average."""
    return 1.0 + 0.4 * math.cos((hour - 20.0) / 24 * 2 * math.pi)


def _only(hours: Hours) -> Callable[[float], float]:
    return lambda hour: float(any(first <= hour < last for first, last in hours))


def _mostly(hours: Hours, otherwise: float) -> Callable[[float], float]:
    """High in `hours`, `otherwise` as much in the others; 1 on average over the day."""
    during = _only(hours)
    high = sum(last - first for first, last in hours)
    average = (high + otherwise * (24 - high)) / 24
    return lambda hour: (during(hour) or otherwise) / average


SUITE = Suite(
    name="fraud",
    title="A day of 70 merchants' payments",
    promises=(
        Promise("whales", Start.WARM, 0.99, 0.050),
        Promise("middle", Start.WARM, 0.95, 0.300),
        Promise("middle", Start.COLD, 0.95, 3.0, at_least=3),
        Promise("occasional", Start.COLD, 0.95, 3.0, at_least=1),
    ),
    population=merchants,
    small_population=few_merchants,
    arrivals=arrivals,
    budgets=budgets,
    rate=150.0,
    seconds=120.0,
)
