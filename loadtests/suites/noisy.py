"""Noisy: one tenant floods the node, and everybody else is answered as before."""

from collections.abc import Iterator

from loadtests.suites.arrivals import Arrival, Stream, poisson
from loadtests.suites.fraud_population import few_merchants, merchants
from loadtests.suites.population import Population
from loadtests.suites.promises import Promise, Start
from loadtests.suites.suite import Suite, Traffic, room_for

_FLOOD = 4.0  # times the calls of everybody else together


def arrivals(population: Population, traffic: Traffic) -> Iterator[Arrival]:
    """The last of the middle makes four calls of five, the whales and the rest share the others."""
    *others, flooder = population.groups["middle"]
    quiet = traffic.rate / (1 + _FLOOD)
    streams = [
        Stream("flood", (flooder,), lambda _: quiet * _FLOOD),
        Stream("whales", population.groups["whales"], lambda _: quiet * 0.6),
        Stream("others", others, lambda _: quiet * 0.4),
    ]
    return poisson(streams, population.rows_of, traffic.seed)


SUITE = Suite(
    name="noisy",
    title="One tenant's flood, and everybody else",
    promises=(Promise("whales", Start.WARM, 0.99, 0.050), Promise("others", Start.WARM, 0.95, 0.300)),
    population=merchants,
    small_population=few_merchants,
    arrivals=arrivals,
    budgets=room_for(1.2),
    rate=400.0,
    seconds=60.0,
    warm_up=True,
)
