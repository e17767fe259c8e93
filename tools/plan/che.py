"""Hit ratios without a replay: Che's approximation of LRU.

A tenant stays resident for the *characteristic time* T after each call, the same for all, and T is such that the
expected bytes resident are the budget. Source: H. Che, Y. Tung, Z. Wang, "Hierarchical Web Caching Systems", IEEE
JSAC 20(7), 2002; why it is so good: C. Fricker, P. Robert, J. Roberts, "A versatile and accurate approximation for
LRU cache performance", ITC 24, 2012. With sessions the gaps between a tenant's calls are hyperexponential instead of
exponential, as M. Garetto, E. Leonardi, V. Martina have it for renewal traffic ("A unified approach to the performance
analysis of caching systems", ACM ToMPECS 1(3), 2016).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Traffic:
    """`rates` (tenants,) shares of the calls, summing to 1; `sizes` (tenants,) resident bytes.

    Sessions have `length` calls on average, with `gap` calls by others between two of them; 1 is no sessions.
    """

    rates: NDArray[np.float64]
    sizes: NDArray[np.int64]
    length: float = 1.0
    gap: float = 1.0


def hit_ratio(traffic: Traffic, budget: float) -> float:
    """The share of calls that find their tenant resident under LRU with `budget` bytes."""
    if budget >= traffic.sizes.sum():
        return 1.0
    low, high = 0.0, 1.0
    while _resident_bytes(traffic, high) < budget:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _resident_bytes(traffic, middle) < budget else (low, middle)
    within, between = _returns(traffic, high)
    return float((traffic.rates * (within + between)).sum())


def _returns(traffic: Traffic, time: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(tenants,) chances that a call is followed within `time` calls by one of its session, and by one of a later."""
    again = 1 - 1 / traffic.length
    within = np.full(len(traffic.rates), again * -np.expm1(-time / traffic.gap))
    return within, (1 - again) * -np.expm1(-time / _pauses(traffic))


def _resident_bytes(traffic: Traffic, time: float) -> float:
    """Expected bytes resident: of each tenant, the share of time in which its last call is younger than `time`."""
    within, between = _returns(traffic, time)
    # The integral of a gap's survival up to `time`, for an exponential gap: its mean times its distribution.
    present = traffic.rates * (within * traffic.gap + between * _pauses(traffic))
    return float((present * traffic.sizes).sum())


def _pauses(traffic: Traffic) -> NDArray[np.float64]:
    """(tenants,) calls from the end of a session to the next one's begin, on average."""
    inside = (1 - 1 / traffic.length) * traffic.gap
    return np.maximum(1 / traffic.rates - inside, 1.0) * traffic.length
