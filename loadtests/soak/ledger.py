"""What was live when, what was broken when, and whether a reply is one that may have been given then."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from loadtests.models import Reference
from loadtests.pressure import Reply
from tools.catalog.tenant import TenantId

# What a call may be answered while something has been killed: no part behind, no room or no store, too many at once.
EXCUSED = frozenset({429, 502, 503})
_MOST_COMPLAINTS = 20


@dataclass(slots=True)
class Disruption:
    """Something was killed at `began` and everything answered again at `ended`, on the monotonic clock."""

    what: str
    began: float
    ended: float = float("inf")

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(slots=True)
class Tally:
    """What became of the calls. `excused` failed while something was down, by status; the others in words."""

    right: int = 0
    wrong: int = 0
    excused: dict[int, int] = field(default_factory=dict)
    failed: int = 0
    complaints: list[str] = field(default_factory=list)

    @property
    def calls(self) -> int:
        return self.right + self.wrong + sum(self.excused.values()) + self.failed


class Ledger:
    """Publishes and disruptions as they happen, and the verdict on every reply. For any number of threads.

    `references` hold XGBoost's answers of each tenant's versions, of which the first is live from the start.
    """

    def __init__(self, references: Mapping[TenantId, Sequence[Reference]]) -> None:
        self.tally = Tally()
        self.disruptions: list[Disruption] = []
        self.publishes = 0
        self._references = references
        self._live_since = {tenant: {0: 0.0} for tenant in references}
        self._live = dict.fromkeys(references, 0)
        self._failures: list[Reply] = []
        self._lock = threading.Lock()

    def publishing(self, tenant: TenantId, version: int) -> None:
        """From now on `version` may answer."""
        with self._lock:
            self._live_since[tenant].setdefault(version, monotonic())
            self._live[tenant] = version
            self.publishes += 1

    @contextmanager
    def disrupted(self, what: str) -> Iterator[Disruption]:
        """While the block runs, calls may fail."""
        disruption = Disruption(what, monotonic())
        self.disruptions.append(disruption)
        yield disruption
        disruption.ended = monotonic()

    def take(self, reply: Reply) -> None:
        """Judge one reply. Failures are judged at the end, when it is known how long something was down."""
        right = reply.output is not None and self._may_answer(reply)
        with self._lock:
            if right:
                self.tally.right += 1
            elif reply.output is None:
                self._failures.append(reply)
            else:
                self.tally.wrong += 1
                self._complain(f"a wrong answer for {reply.tenant}")

    def is_newest(self, reply: Reply) -> bool:
        """Whether the reply is of the version published last."""
        newest = self._references[reply.tenant][self._live[reply.tenant]]
        return reply.output is not None and newest.agrees(0, reply.output)

    def close(self) -> Tally:
        """The verdicts on all replies."""
        with self._lock:
            for reply in self._failures:
                if reply.status in EXCUSED and self._is_excused(reply):
                    self.tally.excused[reply.status] = self.tally.excused.get(reply.status, 0) + 1
                else:
                    self.tally.failed += 1
                    self._complain(f"{reply.tenant}: {reply.status} {reply.error}")
            self._failures.clear()
        return self.tally

    def _may_answer(self, reply: Reply) -> bool:
        assert reply.output is not None
        return any(
            since <= reply.answered and self._references[reply.tenant][version].agrees(0, reply.output)
            for version, since in tuple(self._live_since[reply.tenant].items())
        )

    def _is_excused(self, reply: Reply) -> bool:
        return any(each.began <= reply.answered and reply.asked <= each.ended for each in self.disruptions)

    def _complain(self, text: str) -> None:
        if len(self.tally.complaints) < _MOST_COMPLAINTS and text not in self.tally.complaints:
            self.tally.complaints.append(text)
