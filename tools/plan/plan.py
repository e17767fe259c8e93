"""The whole plan: curves, the memory that meets the target, fleets and their cost, tenants apart."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tools.catalog.tenant import TenantId
from tools.eviction.named import DEFAULT_POLICY
from tools.plan import che
from tools.plan.curve import OPTIMUM, Curve, Point, budgets, measure, replay_named
from tools.plan.fleet import (
    Fleet,
    busiest_rate,
    busiest_tenants,
    dedicated_fleet,
    mixed_fleet,
    shared_fleet,
    without,
    worth_own_pool,
    worth_pinning,
)
from tools.plan.prices import Prices
from tools.plan.trace import DAY, Trace

_POINTS_FOR_THE_REST = 6


@dataclass(frozen=True, slots=True)
class Target:
    """What the fleet must reach: a hit ratio, or instead at most so many milliseconds for 95 % of the calls."""

    hit_ratio: float = 0.9
    p95_ms: float | None = None

    def memory(self, curve: Curve) -> int | None:
        """The least memory that reaches it, or None."""
        if self.p95_ms is not None:
            return curve.memory_for_p95(self.p95_ms)
        return curve.memory_for_hit_ratio(self.hit_ratio)

    def __str__(self) -> str:
        return f"p95 of {self.p95_ms:g} ms" if self.p95_ms is not None else f"hit ratio of {self.hit_ratio:.0%}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be planned. `classes` is the traffic the trace was drawn from, when it was."""

    trace: Trace
    policies: Sequence[str]
    memories: Sequence[int]
    target: Target
    prices: Prices
    classes: che.Traffic | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer. `approximate` is LRU by Che's approximation at the memory of each point, for classes only."""

    asked: Asked
    curves: dict[str, Curve]
    approximate: dict[int, float]
    memory: int | None
    fleets: tuple[Fleet, ...]
    pins: tuple[TenantId, ...]
    own_pool: tuple[TenantId, ...]
    busiest_rate: float

    @property
    def policy(self) -> str:
        """The policy that the fleets are planned for: the first one asked for."""
        return self.asked.policies[0]

    def to_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        trace = self.asked.trace
        return {
            "tenants": len(trace.tenants),
            "bytes": int(trace.sizes.sum()),
            "calls": len(trace.calls),
            "days": trace.seconds / DAY,
            "busiest_calls_a_second": self.busiest_rate,
            "policy": self.policy,
            "target": asdict(self.asked.target),
            "memory": self.memory,
            "curves": {name: [asdict(point) for point in curve.points] for name, curve in self.curves.items()},
            "lru_by_che": [
                {"memory": memory, "hit_ratio": hit_ratio} for memory, hit_ratio in self.approximate.items()
            ],
            "currency": self.asked.prices.currency,
            "prices_are_examples": self.asked.prices.is_example,
            "fleets": [asdict(fleet) for fleet in self.fleets],
            "pin": list(self.pins),
            "own_pool": list(self.own_pool),
        }


def steps(asked: Asked) -> int:
    """How many replays `make_plan` will make."""
    return len(asked.policies) * len(asked.memories) + _POINTS_FOR_THE_REST + 1


def make_plan(asked: Asked, jobs: int, on_step: Callable[[], None] = lambda: None) -> Plan:
    """Replay, and plan. `on_step` is called as each replay ends."""
    trace, prices = asked.trace, asked.prices
    curves = measure(trace, asked.policies, asked.memories, prices.latency, jobs, on_step)
    approximate = {m: che.hit_ratio(asked.classes, m) for m in asked.memories} if asked.classes else {}
    memory = asked.target.memory(curves[asked.policies[0]])
    rate = busiest_rate(trace)
    fleets = [dedicated_fleet(trace, prices)]
    pins: tuple[TenantId, ...] = ()
    if memory is not None:
        fleets.append(shared_fleet(memory, rate, prices))
        fleets += _mixed(asked, rate, jobs, on_step)
        result = replay_named(trace, asked.policies[0], memory)
        pins = tuple(trace.tenants[number] for number in worth_pinning(result))
        on_step()
    own = tuple(trace.tenants[number] for number in worth_own_pool(trace, rate, prices))
    return Plan(asked, curves, approximate, memory, tuple(fleets), pins, own, rate)


def policies_to_compare() -> list[str]:
    """All policies by name, the default first, and the optimum."""
    return [*sorted(_names(), key=lambda name: name != DEFAULT_POLICY), OPTIMUM]


def _names() -> list[str]:
    return [str(name) for name in type(DEFAULT_POLICY)]


def _mixed(asked: Asked, rate: float, jobs: int, on_step: Callable[[], None]) -> list[Fleet]:
    pool = busiest_tenants(asked.trace)
    rest = without(asked.trace, pool)
    if not len(rest.calls):
        return []
    policy = asked.policies[0]
    curve = measure(rest, [policy], budgets(rest, _POINTS_FOR_THE_REST), asked.prices.latency, jobs, on_step)[policy]
    # The pool is never cold, so the rest may be colder than the target by the share of calls that it makes.
    share = len(rest.calls) / len(asked.trace.calls)
    overall = Curve(tuple(_with_pool(point, share, asked) for point in curve.points))
    memory = asked.target.memory(overall)
    return [mixed_fleet(pool, asked.trace, memory, rate, asked.prices)] if memory is not None else []


def _with_pool(point: Point, share: float, asked: Asked) -> Point:
    return Point(
        point.policy,
        point.memory,
        1 - share * (1 - point.hit_ratio),
        point.byte_hit_ratio,
        point.cold_calls_a_day,
        asked.prices.latency.warm_ms if share * (1 - point.hit_ratio) < 0.05 else point.p95_ms,
    )
