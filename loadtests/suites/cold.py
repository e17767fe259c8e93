"""Cold: the first call of a tenant that is nowhere on the node, whatever its size, is answered in time."""

from collections.abc import Iterator

from loadtests.suites.arrivals import Arrival, in_turn
from loadtests.suites.population import Population, Settled, twins
from loadtests.suites.promises import Promise, Start
from loadtests.suites.suite import MB, Budgets, Suite, Traffic
from loadtests.synthetic import SyntheticSpec
from tools.catalog.tenant import TenantId


def _population(sizes: dict[str, tuple[int, int]]) -> Population:
    """`sizes`: by group, megabytes of the checkpoint and how many tenants have one."""
    specs, groups, models = [], {}, {}
    for group, (megabytes, count) in sizes.items():
        spec = SyntheticSpec(TenantId(f"model-{megabytes}mb"), megabytes * MB, seed=megabytes)
        of_group = dict(twins(f"cold-{megabytes}mb", count, (spec,)))
        specs.append(spec)
        groups[group] = tuple(of_group)
        models.update(of_group)
    return Population(groups, tuple(specs), models)


def tenants() -> Population:
    """From 1 MB to 45 MB."""
    return _population({"small": (1, 10), "medium": (10, 5), "large": (45, 5)})


def small_tenants() -> Population:
    """From 1 MB to 4 MB."""
    return _population({"small": (1, 6), "medium": (2, 3), "large": (4, 3)})


def arrivals(population: Population, traffic: Traffic) -> Iterator[Arrival]:
    """All in turn: whoever has just been called is called last."""
    return in_turn(population.groups, traffic.rate, traffic.seed)


def budgets(_: Population, settled: Settled) -> Budgets:
    """Room in memory, and on disk, for a quarter: everybody has gone from both before he is called again."""
    sizes = settled.resident_bytes.values()
    room = max(sum(sizes) // 4, max(sizes) + MB)
    return Budgets(room, room)


SUITE = Suite(
    name="cold",
    title="First calls of tenants that are not resident, from S3",
    promises=(
        Promise("small", Start.COLD, 0.95, 3.0, at_least=5),
        Promise("medium", Start.COLD, 0.95, 3.0, at_least=5),
        Promise("large", Start.COLD, 0.95, 3.0, at_least=5),
    ),
    population=tenants,
    small_population=small_tenants,
    arrivals=arrivals,
    budgets=budgets,
    rate=2.0,
    seconds=60.0,
    on_s3=True,
)
