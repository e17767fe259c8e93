"""Children that crash, hang, eat memory or are interrupted never take their parent with them."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tools.compile.children import Limits, Outcome, failure_of, run_in_children
from tools.compile.errors import RefusedError

_QUICK = Limits(memory_bytes=1 << 30, seconds=20)


def misbehave(how: str) -> dict[str, Any]:
    """What the children of these tests do."""
    match how.split(":"):
        case ["refuse"]:
            raise RefusedError("no such thing")
        case ["break"]:
            raise RuntimeError("something else")
        case ["signal", number]:
            os.kill(os.getpid(), int(number))
        case ["exit"]:
            os._exit(0)
        case ["sleep", seconds]:
            time.sleep(float(seconds))
        case ["spin"]:
            while True:
                pass
        case ["eat"]:
            return {"eaten": len(bytearray(3 << 30))}
        case ["mark", path]:
            time.sleep(1)
            Path(path).touch()
        case ["babble"]:
            return {"long": "x" * (2 << 20)}
        case ["print"]:
            print("this must not be seen")
    return {"did": how}


def _run(*works: str, jobs: int = 2, limits: Limits = _QUICK) -> dict[str, Outcome[str]]:
    outcomes = run_in_children(__name__, "misbehave", works, jobs, limits)
    return {outcome.work: outcome for outcome in outcomes}


def test_answers_come_back() -> None:
    outcomes = _run("a", "b", "c", jobs=2)
    assert {work: outcome.answer for work, outcome in outcomes.items()} == {work: {"did": work} for work in "abc"}


def test_a_crash_fails_alone_and_is_explained() -> None:
    outcomes = _run("a", f"signal:{signal.SIGSEGV.value}", "b")
    assert outcomes["signal:11"].failure == "the reader crashed (signal 11): the file is damaged"
    assert outcomes["a"].answer
    assert outcomes["b"].answer


def test_a_refusal_is_the_reason() -> None:
    assert _run("refuse")["refuse"].failure == "no such thing"


def test_an_unexpected_error_is_named() -> None:
    assert _run("break")["break"].failure == "unexpected RuntimeError: something else"


def test_a_child_that_says_nothing_has_failed() -> None:
    assert _run("exit")["exit"].failure == "the child ended with status 0 and no answer"


@pytest.mark.parametrize("how", ["sleep:60", "spin"])
def test_a_child_that_hangs_is_stopped(how: str) -> None:
    started = time.monotonic()
    assert "too" in (_run(how, limits=Limits(seconds=1))[how].failure or "")
    assert time.monotonic() - started < 15


def test_a_child_does_not_get_more_memory_than_its_limit() -> None:
    assert _run("eat")["eat"].failure == "it needs more memory than the limit allows"


def test_stopping_early_stops_the_children(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    outcomes = run_in_children(__name__, "misbehave", ["quick", f"mark:{mark}"], 2, _QUICK)
    assert next(outcomes).work == "quick"
    outcomes.close()
    time.sleep(1.5)
    assert not mark.exists()


def test_children_print_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    _run("print")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("exit_code", "reason"),
    [
        (-signal.SIGSEGV, "the reader crashed (signal 11)"),
        (-signal.SIGABRT, "the reader crashed (signal 6)"),
        (-signal.SIGXCPU, "took too long"),
        (-signal.SIGKILL, "killed"),
        (1, "status 1"),
    ],
)
def test_every_way_to_end_has_its_words(exit_code: int, reason: str) -> None:
    assert reason in failure_of(exit_code)


def test_an_answer_that_makes_no_sense_is_a_failure() -> None:
    assert "makes no sense" in (_run("babble")["babble"].failure or "")
