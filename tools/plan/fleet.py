"""What a fleet needs: nodes, what they cost, and which tenants deserve a place of their own."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.plan.prices import HOURS_A_MONTH, Machine, Prices
from tools.plan.replay import Replay
from tools.plan.trace import Trace

# Pinning costs the others nothing when the tenant is nearly always resident anyway.
_ALWAYS = 0.99
_ENOUGH_CALLS = 100
# A tenant that takes more than this of a node, in memory or in calls, is felt by the others.
_FELT = 0.10
_BUSY_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Fleet:
    """Machines for all tenants. `memory` is the bytes for models, over all its shared nodes."""

    name: str
    machines: int
    memory: int
    a_month: float
    note: str


def shared_fleet(memory: int, busiest: float, prices: Prices) -> Fleet:
    """Nodes of Orchard that hold `memory` bytes and answer `busiest` calls a second."""
    nodes = _nodes(memory, busiest, prices.shared) + prices.spare_nodes
    note = f"{nodes} of {prices.shared.name}, {prices.spare_nodes} of them spare"
    return Fleet("shared", nodes, memory, nodes * prices.shared.per_hour * HOURS_A_MONTH, note)


def dedicated_fleet(trace: Trace, prices: Prices) -> Fleet:
    """One machine for each tenant, or several for one that does not fit into one: nothing is ever cold."""
    machines = int(np.ceil(trace.sizes / prices.dedicated.usable_bytes).sum())
    cost = machines * prices.dedicated.per_hour * HOURS_A_MONTH
    return Fleet("dedicated", machines, int(trace.sizes.sum()), cost, f"{machines} of {prices.dedicated.name}")


def mixed_fleet(pool: NDArray[np.intp], trace: Trace, rest_memory: int, busiest: float, prices: Prices) -> Fleet:
    """Nodes that hold the tenants of `pool` always, and others with `rest_memory` bytes for all the rest."""
    pooled = int(trace.sizes[pool].sum())
    share = float(np.isin(trace.calls, pool).mean())
    own = _nodes(pooled, busiest * share, prices.shared)
    rest = _nodes(rest_memory, busiest * (1 - share), prices.shared)
    nodes = own + rest + 2 * prices.spare_nodes
    note = f"{own} for the {len(pool)} busiest tenants, {rest} for the rest, {2 * prices.spare_nodes} spare"
    return Fleet("mixed", nodes, pooled + rest_memory, nodes * prices.shared.per_hour * HOURS_A_MONTH, note)


def busiest_tenants(trace: Trace) -> NDArray[np.intp]:
    """The fewest tenants that make half of the calls: who a pool of its own would be for."""
    counts = np.bincount(trace.calls, minlength=len(trace.tenants))
    order = np.argsort(-counts, kind="stable")
    enough = int(np.searchsorted(np.cumsum(counts[order]), _BUSY_SHARE * len(trace.calls))) + 1
    return order[:enough]


def without(trace: Trace, pool: NDArray[np.intp]) -> Trace:
    """The trace without the calls of the tenants of `pool`."""
    others = ~np.isin(trace.calls, pool)
    stay = np.setdiff1d(np.arange(len(trace.tenants)), pool)
    numbers = np.zeros(len(trace.tenants), np.int64)
    numbers[stay] = np.arange(len(stay))
    names = tuple(trace.tenants[number] for number in stay)
    return Trace(names, trace.sizes[stay], numbers[trace.calls[others]], trace.times[others])


def worth_pinning(result: Replay) -> NDArray[np.intp]:
    """Tenants that a replay found resident at nearly every call, busiest first: pinning them costs nobody anything."""
    counted = result.trace.calls[result.from_call :]
    calls = np.bincount(counted, minlength=len(result.trace.tenants))
    hits = np.bincount(counted[result.hits[result.from_call :]], minlength=len(result.trace.tenants))
    chosen = np.flatnonzero((calls >= _ENOUGH_CALLS) & (hits >= _ALWAYS * calls))
    return chosen[np.argsort(-calls[chosen], kind="stable")]


def worth_own_pool(trace: Trace, busiest: float, prices: Prices) -> NDArray[np.intp]:
    """Tenants that take so much of a node, in memory or in calls, that the others would feel it."""
    share = np.bincount(trace.calls, minlength=len(trace.tenants)) / max(len(trace.calls), 1)
    large = trace.sizes > _FELT * prices.shared.usable_bytes
    loud = share * busiest > _FELT * prices.shared.calls_per_second
    return np.flatnonzero(large | loud)


def busiest_rate(trace: Trace) -> float:
    """Calls a second in the busiest hundredth of the trace's time."""
    if trace.seconds <= 0:
        return float(len(trace.calls))
    counts, _ = np.histogram(trace.times, bins=min(100, max(len(trace.calls) // 100, 1)))
    return float(counts.max() * len(counts) / trace.seconds)


def _nodes(memory: int, calls_a_second: float, machine: Machine) -> int:
    return max(math.ceil(memory / machine.usable_bytes), math.ceil(calls_a_second / machine.calls_per_second), 1)
