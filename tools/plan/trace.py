"""Calls in their order, and who made them: what is replayed. Generators of the two kinds of traffic."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.catalog.tenant import TenantId

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class TenantClass:
    """`tenants` tenants that together make `share` of the traffic (0 to 1), each as much of it as the next.

    `size` is the resident bytes of each one's model.
    """

    tenants: int
    share: float
    size: int = 1


@dataclass(frozen=True, slots=True)
class Trace:
    """Calls: `calls` (calls,) holds indices into `tenants`, `times` (calls,) seconds, rising.

    `sizes` (tenants,) is the resident bytes of each tenant's model.
    """

    tenants: tuple[TenantId, ...]
    sizes: NDArray[np.int64]
    calls: NDArray[np.int64]
    times: NDArray[np.float64]

    @property
    def seconds(self) -> float:
        """From the first call to the last."""
        return float(self.times[-1] - self.times[0]) if len(self.times) else 0.0


# The churn fleet: 4,000 tenants of 45 MB on disk, 80,000 calls a day.
CHURN = (TenantClass(500, 0.60), TenantClass(1500, 0.25), TenantClass(2000, 0.15))
CHURN_CALLS_A_DAY = 80_000


def rates(classes: Sequence[TenantClass]) -> NDArray[np.float64]:
    """(tenants,) each tenant's share of the traffic; they sum to 1."""
    shares = np.repeat([each.share / each.tenants for each in classes], [each.tenants for each in classes])
    return np.asarray(shares / shares.sum())


def class_sizes(classes: Sequence[TenantClass]) -> NDArray[np.int64]:
    """(tenants,) each tenant's resident bytes."""
    return np.repeat(
        np.array([each.size for each in classes], np.int64), np.array([each.tenants for each in classes], np.intp)
    )


def independent(classes: Sequence[TenantClass], count: int, seed: int, calls_a_day: float = CHURN_CALLS_A_DAY) -> Trace:
    """`count` calls, each drawn without regard to those before it."""
    chances = rates(classes)
    return _at_a_steady_rate(classes, np.random.default_rng(seed).choice(len(chances), count, p=chances), calls_a_day)


def sessions(
    classes: Sequence[TenantClass],
    count: int,
    seed: int,
    calls_a_day: float = CHURN_CALLS_A_DAY,
    length: float = 5.0,
    at_once: float = 40.0,
) -> Trace:
    """`count` calls in interleaved sessions of one tenant each.

    Sessions begin independently of each other and have `length` calls on average (geometric); the gaps between their
    calls are exponential, and such that `at_once` sessions are open on average.
    """
    draw = np.random.default_rng(seed)
    # What is open at the start is a fair sample only after a while: the first sessions begin before the trace does.
    gap = at_once * length / max(length - 1, 1e-9)
    early = 20 * gap * length
    span = 1.05 * (count + early) + gap * length
    begun = int(span / length) + 1
    lengths = draw.geometric(1 / length, begun)
    tenant = np.repeat(draw.choice(sum(each.tenants for each in classes), begun, p=rates(classes)), lengths)
    start = np.repeat(np.sort(draw.random(begun)) * span, lengths)
    gaps = draw.exponential(gap, len(tenant))
    first = np.repeat(np.cumsum(lengths) - lengths, lengths)
    passed = np.cumsum(gaps)
    when = start + passed - passed[first]
    order = np.argsort(when)
    order = order[when[order] >= early][:count]
    return _at_a_steady_rate(classes, tenant[order], calls_a_day)


def joined(first: Trace, second: Trace) -> Trace:
    """One trace after the other, of the same tenants."""
    pause = second.seconds / max(len(second.times) - 1, 1)
    times = np.concatenate([first.times, second.times - second.times[0] + first.times[-1] + pause])
    return Trace(first.tenants, first.sizes, np.concatenate([first.calls, second.calls]), times)


def _at_a_steady_rate(classes: Sequence[TenantClass], calls: NDArray[np.int64], calls_a_day: float) -> Trace:
    digits = len(str(sum(each.tenants for each in classes) - 1))
    names = tuple(TenantId(f"t{number:0{digits}}") for number in range(sum(each.tenants for each in classes)))
    times = np.arange(len(calls), dtype=np.float64) * DAY / calls_a_day
    return Trace(names, class_sizes(classes), calls, np.asarray(times, np.float64))
