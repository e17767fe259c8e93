"""Hit ratio against memory: one replay for each policy and budget, several at once."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.eviction.history import History
from tools.eviction.named import POLICIES, PolicyName
from tools.plan.clairvoyant import Clairvoyant
from tools.plan.replay import Replay, replay
from tools.plan.trace import DAY, Trace

OPTIMUM = "optimum"
# The part of a trace that fills the memory and does not count.
WARM_UP_SHARE = 1 / 3


@dataclass(frozen=True, slots=True)
class Latency:
    """What a call takes, in milliseconds: when its tenant is resident, and when a model of so many MB is loaded."""

    warm_ms: float
    cold_ms: float
    cold_ms_per_mb: float


@dataclass(frozen=True, slots=True)
class Point:
    """What `memory` bytes for models give under one policy, after the warm-up. `p95_ms` is that of all calls."""

    policy: str
    memory: int
    hit_ratio: float
    byte_hit_ratio: float
    cold_calls_a_day: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of one policy, by rising memory."""

    points: tuple[Point, ...]

    def memory_for_hit_ratio(self, ratio: float) -> int | None:
        """The least memory that gives the hit ratio, straight between points; None when none of them does."""
        before: Point | None = None
        for point in self.points:
            if point.hit_ratio >= ratio:
                if before is None:
                    return point.memory
                part = (ratio - before.hit_ratio) / (point.hit_ratio - before.hit_ratio)
                return int(before.memory + part * (point.memory - before.memory))
            before = point
        return None

    def memory_for_p95(self, milliseconds: float) -> int | None:
        """The least memory of a point that is that fast; None when none is. Between points the p95 may jump."""
        return next((point.memory for point in self.points if point.p95_ms <= milliseconds), None)


def budgets(trace: Trace, count: int) -> list[int]:
    """`count` budgets up to what holds every tenant, closer together where less memory is."""
    whole = int(trace.sizes.sum())
    largest = int(trace.sizes.max())
    shares = np.geomspace(max(largest / whole, 0.02), 1.0, count)
    return sorted({max(int(whole * share), largest) for share in shares})


def measure(
    trace: Trace,
    policies: Sequence[str],
    memories: Sequence[int],
    latency: Latency,
    jobs: int,
    on_done: Callable[[], None] = lambda: None,
) -> dict[str, Curve]:
    """The curve of each policy (names of `PolicyName`, or `OPTIMUM`), from exact replays in `jobs` processes."""
    points: dict[str, list[Point]] = {policy: [] for policy in policies}
    with _replays(trace, latency, jobs) as submit:
        wanted = [(policy, memory) for memory in sorted(memories, reverse=True) for policy in policies]
        for point in submit(wanted):
            points[point.policy].append(point)
            on_done()
    return {policy: Curve(tuple(sorted(of_it, key=lambda point: point.memory))) for policy, of_it in points.items()}


def replay_named(trace: Trace, name: str, memory: int) -> Replay:
    """Replay the trace under the policy of that name."""
    policy = Clairvoyant(trace) if name == OPTIMUM else POLICIES[PolicyName(name)](History(len(trace.tenants)))
    return replay(trace, memory, policy, warm_up=int(WARM_UP_SHARE * len(trace.calls)))


def call_times(result: Replay, latency: Latency) -> NDArray[np.float64]:
    """(calls,) milliseconds of each call after the warm-up. Loads are taken not to wait for each other."""
    sizes = result.trace.sizes[result.trace.calls[result.from_call :]]
    cold = latency.cold_ms + latency.cold_ms_per_mb * sizes / 1e6
    return np.where(result.hits[result.from_call :], latency.warm_ms, cold)


def _point(trace: Trace, latency: Latency, name: str, memory: int) -> Point:
    result = replay_named(trace, name, memory)
    calls_a_day = len(trace.calls) / max(trace.seconds, 1e-9) * DAY
    return Point(
        name,
        memory,
        result.hit_ratio,
        result.byte_hit_ratio,
        (1 - result.hit_ratio) * calls_a_day,
        float(np.quantile(call_times(result, latency), 0.95)),
    )


_Submit = Callable[[Sequence[tuple[str, int]]], Iterator[Point]]
_shared: list[tuple[Trace, Latency]] = []  # in a worker: what every replay is of


@contextmanager
def _replays(trace: Trace, latency: Latency, jobs: int) -> Iterator[_Submit]:
    if jobs <= 1:
        yield lambda wanted: (_point(trace, latency, *each) for each in wanted)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=_share, initargs=(trace, latency)) as pool:
        yield lambda wanted: (done.result() for done in as_completed([pool.submit(_work, *each) for each in wanted]))


def _share(trace: Trace, latency: Latency) -> None:
    _shared.append((trace, latency))


def _work(name: str, memory: int) -> Point:
    return _point(*_shared[0], name, memory)
