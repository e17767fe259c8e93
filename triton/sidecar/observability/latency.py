"""Latencies, kept small: counts by bucket for Prometheus, and quantiles of the last minutes. Pure."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

# The SLAs' own bounds are among them: 50 ms, 300 ms, 3 s.
BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0)


class Buckets:
    """A histogram that takes many equal observations at once. Bounds are in seconds."""

    def __init__(self, bounds: Sequence[float] = BOUNDS) -> None:
        self.sum = 0.0
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)

    def add(self, seconds: float, times: int) -> None:
        """Count `times` observations of `seconds`."""
        self._counts[bisect_left(self._bounds, seconds)] += times
        self.sum += seconds * times

    def cumulative(self) -> list[tuple[str, float]]:
        """Upper bounds and how many observations are not above each, as Prometheus has them."""
        names = [*(str(bound) for bound in self._bounds), "+Inf"]
        return list(zip(names, map(float, accumulate(self._counts)), strict=True))


class RecentLatencies:
    """Quantiles over the last one to two spans of time, each to two significant digits. Never more than ~400 counts."""

    def __init__(self, span: float = 60.0) -> None:
        self._span = span
        self._began = float("-inf")
        self._now: Counter[float] = Counter()
        self._before: Counter[float] = Counter()

    def add(self, seconds: float, times: int, now: float) -> None:
        """Count `times` observations of `seconds`, made about `now`."""
        self._turn(now)
        self._now[float(f"{seconds:.1e}")] += times

    def counts(self, now: float) -> Counter[float]:
        """How often each latency was observed."""
        self._turn(now)
        return self._now + self._before

    def _turn(self, now: float) -> None:
        if now - self._began >= self._span:
            self._before = self._now if now - self._began < 2 * self._span else Counter()
            self._now = Counter()
            self._began = now


def quantiles(counts: Counter[float], wanted: Sequence[float]) -> list[float | None]:
    """The `wanted` quantiles (0.5, 0.99, ...) of what was counted; None for each when there is nothing."""
    total = counts.total()
    if not total:
        return [None] * len(wanted)
    ordered = sorted(counts.items())
    edges = list(accumulate(times for _, times in ordered))
    return [ordered[bisect_left(edges, quantile * total)][0] for quantile in wanted]
