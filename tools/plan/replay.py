"""Exact replay of a trace: every call in its order, under the policy that a node would use."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.catalog.tenant import TenantId
from tools.eviction.policy import EvictionPolicy
from tools.eviction.victims import MINIMUM_RESIDENCE, choose_victims
from tools.plan.trace import Trace

_TOLD_EVERY = 4096


@dataclass(frozen=True, slots=True)
class Replay:
    """What became of each call. `hits` (calls,) is whether the tenant was resident; `from_call` ends the warm-up."""

    trace: Trace
    hits: NDArray[np.bool_]
    from_call: int

    @property
    def hit_ratio(self) -> float:
        """Of the calls after the warm-up, the share whose tenant was resident."""
        return float(self.hits[self.from_call :].mean()) if self.from_call < len(self.hits) else float("nan")

    @property
    def byte_hit_ratio(self) -> float:
        """The same with each call weighed by the size of its tenant's model: 1 - this is what is loaded."""
        weights = self.trace.sizes[self.trace.calls[self.from_call :]]
        return float(weights[self.hits[self.from_call :]].sum() / weights.sum())


def replay(
    trace: Trace,
    budget: int,
    policy: EvictionPolicy,
    warm_up: int = 0,
    pinned: Collection[int] = (),
    on_progress: Callable[[int], None] = lambda calls: None,
    minimum_residence: float = MINIMUM_RESIDENCE,
) -> Replay:
    """Replay the trace on a node that starts empty and has `budget` bytes for models.

    A tenant that is not resident is always loaded, and victims are chosen as a node chooses them: as many as make
    room. One that can never fit is never loaded. `pinned` (indices of tenants) are resident from the start and stay.
    One is not evicted for `minimum_residence` seconds after its load unless nobody else would do. The first `warm_up`
    calls do not count. `on_progress` hears now and then how many calls were made since.
    """
    node = _Node(trace, budget, policy, pinned, minimum_residence)
    hits = np.zeros(len(trace.calls), bool)
    for start in range(0, len(hits), _TOLD_EVERY):
        end = min(start + _TOLD_EVERY, len(hits))
        calls = zip(trace.calls[start:end].tolist(), trace.times[start:end].tolist(), strict=True)
        hits[start:end] = [node.call(tenant, at) for tenant, at in calls]
        on_progress(end - start)
    return Replay(trace, hits, warm_up)


class _Node:
    def __init__(
        self, trace: Trace, budget: int, policy: EvictionPolicy, pinned: Collection[int], minimum_residence: float
    ) -> None:
        self._names = trace.tenants
        self._sizes = trace.sizes.tolist()
        self._policy = policy
        self._pinned = {self._names[tenant] for tenant in pinned}
        self._room = budget - sum(self._sizes[tenant] for tenant in pinned)
        self._most = self._room
        self._residents = {self._names[tenant]: self._sizes[tenant] for tenant in pinned}
        self._minimum_residence = minimum_residence
        self._young_until: dict[TenantId, float] = {}
        for tenant in pinned:
            policy.loaded(self._names[tenant], self._sizes[tenant], None)

    def call(self, tenant: int, at: float) -> bool:
        """Whether the tenant was resident; it is afterwards, if it fits."""
        name = self._names[tenant]
        hit = name in self._residents
        if not hit and self._sizes[tenant] <= self._most:
            self._load(tenant, at)
        self._policy.used(name, at, 1)
        return hit

    def _load(self, tenant: int, at: float) -> None:
        name, size = self._names[tenant], self._sizes[tenant]
        if size > self._room:
            self._evict(size - self._room, at)
        self._residents[name] = size
        self._young_until[name] = at + self._minimum_residence
        self._room -= size
        self._policy.loaded(name, size, at)

    def _evict(self, excess: int, at: float) -> None:
        ranked = (name for name in self._policy.victims_first() if name not in self._pinned)
        victims = choose_victims(ranked, excess, self._residents.__getitem__, lambda name: at < self._young_until[name])
        for name in victims:
            self._room += self._residents.pop(name)
            self._policy.left(name)
