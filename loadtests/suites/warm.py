"""Warm: tenants that are in memory are answered at once."""

from collections.abc import Iterator

from loadtests.suites.arrivals import Arrival, Stream, poisson
from loadtests.suites.fraud_population import few_merchants, merchants
from loadtests.suites.population import Population
from loadtests.suites.promises import Promise, Start
from loadtests.suites.suite import Suite, Traffic, room_for


def arrivals(population: Population, traffic: Traffic) -> Iterator[Arrival]:
    """Half of the calls are the whales', half everybody else's."""
    others = population.groups["middle"] + population.groups["occasional"]
    streams = [
        Stream("whales", population.groups["whales"], lambda _: traffic.rate / 2),
        Stream("others", others, lambda _: traffic.rate / 2),
    ]
    return poisson(streams, population.rows_of, traffic.seed)


SUITE = Suite(
    name="warm",
    title="Tenants in memory",
    promises=(Promise("whales", Start.WARM, 0.99, 0.050), Promise("others", Start.WARM, 0.95, 0.300)),
    population=merchants,
    small_population=few_merchants,
    arrivals=arrivals,
    budgets=room_for(1.2),
    rate=300.0,
    seconds=60.0,
    warm_up=True,
)
