"""What a replay showed, in the figures an operator asks for. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.replay import Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Latency:
    """Quantiles of some calls' times, in milliseconds; NaN when there were none."""

    calls: int
    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Latency":
        if not seconds:
            return cls(0, float("nan"), float("nan"), float("nan"))
        p50, p95, p99 = (float(value) * 1e3 for value in np.percentile(seconds, [50, 95, 99]))
        return cls(len(seconds), p50, p95, p99)


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """`warm` and `cold` are HTTP calls, told apart by the node's own header; `hit_ratio` is warm over both."""

    requests: int
    rows: int
    warm: Latency
    cold: Latency
    grpc: Latency
    wrong: int
    failed: int
    complaints: tuple[str, ...]

    @property
    def hit_ratio(self) -> float:
        over_http = self.warm.calls + self.cold.calls
        return self.warm.calls / over_http if over_http else float("nan")

    @property
    def passed(self) -> bool:
        return self.requests > 0 and self.wrong == 0 and self.failed == 0


def summarise(outcomes: Sequence[Outcome], most_complaints: int = 5) -> ReplaySummary:
    """Reduce outcomes to figures. Latencies are those of calls that were answered, right or wrong."""
    answered = [outcome for outcome in outcomes if outcome.verdict is not Verdict.FAILED]
    complaints = dict.fromkeys(outcome.detail for outcome in outcomes if outcome.verdict is not Verdict.RIGHT)
    return ReplaySummary(
        requests=len(outcomes),
        rows=sum(outcome.call.rows for outcome in outcomes),
        warm=Latency.of([outcome.seconds for outcome in answered if outcome.cold == ""]),
        cold=Latency.of([outcome.seconds for outcome in answered if outcome.cold]),
        grpc=Latency.of([outcome.seconds for outcome in answered if outcome.protocol == "grpc"]),
        wrong=sum(outcome.verdict is Verdict.WRONG for outcome in outcomes),
        failed=sum(outcome.verdict is Verdict.FAILED for outcome in outcomes),
        complaints=tuple(complaints)[:most_complaints],
    )
