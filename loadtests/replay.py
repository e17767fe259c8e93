"""Replay calls with several clients at once, and judge every answer."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

from loadtests.kserve import Caller, CallFailedError
from loadtests.models import Reference
from loadtests.traffic import Call
from tools.catalog.tenant import TenantId


class Verdict(Enum):
    """What an answer was worth, held against XGBoost's own."""

    RIGHT = "right"
    WRONG = "wrong"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One call and how it went. `cold` is as in `Answer`; `detail` says what was wrong or why it failed."""

    call: Call
    protocol: str
    seconds: float
    verdict: Verdict
    cold: str | None = None
    detail: str = ""


def make_call(caller: Caller, call: Call, reference: Reference) -> Outcome:
    """Make one call and compare the answer."""
    rows = reference.rows[call.first : call.first + call.rows]
    start = time.perf_counter()
    try:
        answer = caller.infer(call.tenant, rows)
    except CallFailedError as error:
        return Outcome(call, caller.protocol, time.perf_counter() - start, Verdict.FAILED, detail=str(error))
    seconds = time.perf_counter() - start
    if len(answer.output) == call.rows and reference.agrees(call.first, answer.output):
        return Outcome(call, caller.protocol, seconds, Verdict.RIGHT, answer.cold)
    expected = reference.answers[call.first : call.first + call.rows]
    detail = f"{call.tenant} answered {answer.output.tolist()}, XGBoost says {expected.tolist()}"
    return Outcome(call, caller.protocol, seconds, Verdict.WRONG, answer.cold, detail)


def replay(
    callers: Sequence[Caller],
    calls: Iterator[Call],
    references: Mapping[TenantId, Reference],
    enough: Callable[[int], bool],
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Make calls, one at a time per caller, until `enough` says so of the number begun.

    Every call that was begun is finished and in the list. `on_outcome` is called for one outcome at a time.
    """
    outcomes: list[Outcome] = []
    lock = threading.Lock()
    begun = 0

    def next_call() -> Call | None:
        nonlocal begun
        with lock:
            if enough(begun):
                return None
            begun += 1
            return next(calls)

    def work(caller: Caller) -> None:
        while (call := next_call()) is not None:
            outcome = make_call(caller, call, references[call.tenant])
            with lock:
                outcomes.append(outcome)
                on_outcome(outcome)

    with ThreadPoolExecutor(len(callers)) as pool:
        for worker in [pool.submit(work, caller) for caller in callers]:
            worker.result()
    return outcomes
