"""What a suite promises, what was measured, and whether the one holds the other. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

COLD_STARTS = ("disk", "fetch")


class Start(Enum):
    """What a call found, as the node's own header says."""

    WARM = "warm"
    COLD = "cold"

    def includes(self, start: str) -> bool:
        """Whether a call that started so ("warm", "disk", "fetch") belongs here."""
        return start in COLD_STARTS if self is Start.COLD else start == "warm"


@dataclass(frozen=True, slots=True)
class Promise:
    """Of the calls of `group` that were warm, or cold, the `quantile` takes at most `seconds`.

    It can only be kept by `at_least` such calls: a suite that measured nothing has proved nothing.
    """

    group: str
    start: Start
    quantile: float
    seconds: float
    at_least: int = 20


@dataclass(frozen=True, slots=True)
class Latencies:
    """Calls by their latency in milliseconds, to two digits or so, as Locust keeps them."""

    counts: Mapping[float, int]

    @property
    def calls(self) -> int:
        return sum(self.counts.values())

    def quantile(self, quantile: float) -> float:
        """In milliseconds; NaN when there were no calls."""
        left = quantile * self.calls
        for milliseconds in sorted(self.counts):
            left -= self.counts[milliseconds]
            if left <= 0:
                return milliseconds
        return float("nan")


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured: latencies by (group, start) with start "warm", "disk" or "fetch", and what went wrong."""

    latencies: Mapping[tuple[str, str], Latencies]
    failures: Mapping[str, int]

    @property
    def calls(self) -> int:
        return sum(each.calls for each in self.latencies.values())

    @property
    def hit_ratio(self) -> float:
        """Warm calls as a share of all; NaN when there were none."""
        warm = sum(each.calls for (_, start), each in self.latencies.items() if start == "warm")
        return warm / self.calls if self.calls else float("nan")

    def of(self, group: str, start: Start) -> Latencies:
        """The latencies of a group's warm, or cold, calls together."""
        counts: Counter[float] = Counter()
        for (name, how), latencies in self.latencies.items():
            if name == group and start.includes(how):
                counts.update(latencies.counts)
        return Latencies(counts)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One promise, held against the figures. `limit` is the promised seconds, with the slack that was given."""

    promise: Promise
    limit: float
    measured: Latencies

    @property
    def is_kept(self) -> bool:
        measured = self.measured.quantile(self.promise.quantile)
        return self.measured.calls >= self.promise.at_least and measured <= self.limit * 1e3

    def __str__(self) -> str:
        promise, calls = self.promise, self.measured.calls
        what = f"{promise.group}, {promise.start.value}: p{100 * promise.quantile:g} of {calls:,} calls"
        if calls < promise.at_least:
            return f"{what}: fewer than the {promise.at_least} it takes to say anything"
        return f"{what} is {self.measured.quantile(promise.quantile):g} ms, promised {self.limit * 1e3:g} ms"


@dataclass(frozen=True, slots=True)
class Verdict:
    """All promises of a suite, judged."""

    judgements: tuple[Judgement, ...]
    figures: Figures

    @property
    def is_passed(self) -> bool:
        return not self.complaints

    @property
    def complaints(self) -> list[str]:
        """What was not as promised; empty when everything was."""
        broken = [str(judgement) for judgement in self.judgements if not judgement.is_kept]
        return broken + [f"{count:,} times: {what}" for what, count in self.figures.failures.items()]


def judge(promises: Sequence[Promise], figures: Figures, slack: float = 1.0) -> Verdict:
    """Hold `promises` against `figures`; every call must also have been answered, and rightly.

    `slack` multiplies the promised times: for machines that are busy with other things.
    """
    judgements = (
        Judgement(promise, promise.seconds * slack, figures.of(promise.group, promise.start)) for promise in promises
    )
    return Verdict(tuple(judgements), figures)
