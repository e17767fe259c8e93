"""What a suite is: who lives on the node, when they call, and what they are promised."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from loadtests.suites.arrivals import Arrival
from loadtests.suites.population import Population, Settled
from loadtests.suites.promises import Promise
from tools.catalog.tenant import TenantId

SUITES = ("warm", "cold", "fraud", "churn", "noisy")
MB = 10**6


@dataclass(frozen=True, slots=True)
class Traffic:
    """How many calls a second, for how long, and which ones: another seed gives others."""

    rate: float
    seconds: float
    seed: int


@dataclass(frozen=True, slots=True)
class Budgets:
    """What a node for the suite is given: bytes of memory and of disk, and whom it pins."""

    memory: int
    disk: int = 20_000 * MB
    pinned: tuple[TenantId, ...] = ()


@dataclass(frozen=True, slots=True)
class Suite:
    """One promise, or a few that belong together, and the traffic that tests them.

    `population` and `small_population` make the tenants, in full and in the short form that CI runs. `rate` (calls a
    second) and `seconds` are what it does unless told otherwise. With `warm_up` every tenant is called once before
    anything is measured. With `on_s3` the node's store is an S3 server, else a folder.
    """

    name: str
    title: str
    promises: tuple[Promise, ...]
    population: Callable[[], Population]
    small_population: Callable[[], Population]
    arrivals: Callable[[Population, Traffic], Iterator[Arrival]]
    budgets: Callable[[Population, Settled], Budgets]
    rate: float
    seconds: float
    warm_up: bool = False
    on_s3: bool = False

    def populate(self, short: bool) -> Population:
        """The tenants, in full or in short form."""
        return self.small_population() if short else self.population()


def room_for(share: float) -> Callable[[Population, Settled], Budgets]:
    """Memory for `share` of all tenants' bytes, and for the largest of them in any case."""

    def budgets(_: Population, settled: Settled) -> Budgets:
        sizes = settled.resident_bytes.values()
        return Budgets(max(round(share * sum(sizes)), max(sizes)))

    return budgets


def suite_named(name: str) -> Suite:
    """One of `SUITES`."""
    suite = importlib.import_module(f"loadtests.suites.{name}").SUITE
    assert isinstance(suite, Suite)
    return suite
