"""Churn: 4,000 tenants' sessions, compressed, on a node that holds a part of them; the rest is fetched from S3."""

from collections.abc import Iterator

from loadtests.suites.arrivals import Arrival, Sessions
from loadtests.suites.population import Population, Settled, twins
from loadtests.suites.promises import Promise, Start
from loadtests.suites.suite import MB, Budgets, Suite, Traffic
from loadtests.synthetic import SyntheticSpec
from tools.catalog.tenant import TenantId

_SHARES = {"large": 60.0, "middle": 25.0, "small": 15.0}  # parts of the traffic
# A hundredth of the workload's 45 MB, so that 4,000 of them fit on any machine; and some in full size.
_KILOBYTES = (200, 300, 450, 600, 700)
_FULL_SIZE = SyntheticSpec(TenantId("churn-45mb"), 45 * MB, seed=45)
_FULL_SIZES = 10
_MEMORY_SHARE, _DISK_SHARE = 0.175, 0.35  # 700 of 4,000 in memory, twice as many on disk


def _population(counts: dict[str, int], full_sizes: int) -> Population:
    specs = tuple(SyntheticSpec(TenantId(f"churn-{size}kb"), size * 1_000, seed=size) for size in _KILOBYTES)
    models: dict[TenantId, TenantId] = {}
    groups = {}
    for group, count in counts.items():
        of_group = dict(twins(f"{group}", count, specs))
        models.update(of_group)
        groups[group] = tuple(of_group)
    for tenant in groups["large"][:full_sizes]:
        models[tenant] = _FULL_SIZE.tenant
    return Population(groups, (*specs, _FULL_SIZE) if full_sizes else specs, models)


def tenants() -> Population:
    """4,000: the 500 largest customers, 1,500 in the middle, 2,000 small ones."""
    return _population({"large": 500, "middle": 1_500, "small": 2_000}, _FULL_SIZES)


def few_tenants() -> Population:
    """The same mix of forty."""
    return _population({"large": 5, "middle": 15, "small": 20}, 0)


def arrivals(population: Population, traffic: Traffic) -> Iterator[Arrival]:
    """People's sessions of five calls on average, forty of them open at once."""
    open_at_once = min(40.0, len(population.tenants) / 10)
    sessions = Sessions(population.groups, _SHARES, traffic.rate, open_at_once=open_at_once)
    return sessions.arrivals(population.rows_of, traffic.seed)


def budgets(_: Population, settled: Settled) -> Budgets:
    """Memory for 700 of the 4,000, disk for twice as many."""
    total, largest = sum(settled.resident_bytes.values()), max(settled.resident_bytes.values())
    memory = max(round(_MEMORY_SHARE * total), 2 * largest)
    return Budgets(memory, max(round(_DISK_SHARE * total), 2 * memory))


SUITE = Suite(
    name="churn",
    title="Sessions of 4,000 tenants, from S3",
    promises=tuple(
        promise
        for group in _SHARES
        for promise in (
            Promise(group, Start.WARM, 0.95, 0.300, at_least=10),
            Promise(group, Start.COLD, 0.95, 3.0, at_least=3),
        )
    ),
    population=tenants,
    small_population=few_tenants,
    arrivals=arrivals,
    budgets=budgets,
    rate=60.0,
    seconds=120.0,
    on_s3=True,
)
