"""Retrying: full jitter, a bounded number of attempts, a bounded time."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.catalog.retry import Deadline, Retrying
from tools.catalog.store import StoreDeniedError, StoreDownError


@dataclass
class FakeTime:
    """A clock that moves only when someone sleeps or an attempt takes time; the largest pause is always drawn."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)
    drawn: list[tuple[float, float]] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def draw(self, low: float, high: float) -> float:
        self.drawn.append((low, high))
        return high

    def retrying(self, attempts: int = 4, seconds: float = 15.0) -> Retrying:
        return Retrying(attempts, 0.05, 2.0, seconds, self.clock, self.sleep, self.draw)


@dataclass
class Flaky:
    """Fails `failures` times, each taking `seconds`."""

    time: FakeTime
    failures: int
    seconds: float = 0.0
    calls: int = 0

    def __call__(self, deadline: Deadline) -> str:
        self.calls += 1
        self.time.now += self.seconds
        if self.calls <= self.failures:
            raise StoreDownError(f"failure {self.calls}")
        return "answer"


def test_what_works_at_once_is_not_repeated() -> None:
    time = FakeTime()
    assert time.retrying().run(Flaky(time, 0)) == "answer"
    assert time.slept == []


def test_pauses_are_drawn_from_nothing_to_a_doubling_limit() -> None:
    time = FakeTime()
    assert time.retrying(attempts=9).run(Flaky(time, 8)) == "answer"
    assert time.drawn == [(0, limit) for limit in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0)]


def test_the_last_error_is_raised_when_the_attempts_are_used_up() -> None:
    time = FakeTime()
    call = Flaky(time, 99)
    with pytest.raises(StoreDownError, match="failure 4"):
        time.retrying().run(call)
    assert call.calls == 4
    assert len(time.slept) == 3


def test_an_error_that_will_not_pass_is_not_repeated() -> None:
    calls = []

    def denied(deadline: Deadline) -> None:
        calls.append(1)
        raise StoreDeniedError("no")

    with pytest.raises(StoreDeniedError):
        FakeTime().retrying().run(denied)
    assert len(calls) == 1


@given(attempts=st.integers(1, 10), seconds=st.floats(0.1, 30), each=st.floats(0, 10))
def test_no_attempt_starts_after_the_time_is_up(attempts: int, seconds: float, each: float) -> None:
    time = FakeTime()
    call = Flaky(time, 99, each)
    with pytest.raises(StoreDownError):
        time.retrying(attempts, seconds).run(call)
    assert time.now < seconds + each
    assert 1 <= call.calls <= attempts


def test_an_attempt_is_told_when_the_time_is_up() -> None:
    time = FakeTime()

    def slow(deadline: Deadline) -> None:
        for _ in range(100):
            time.now += 1
            deadline.check()

    with pytest.raises(StoreDownError, match="too slow"):
        time.retrying().run(slow)
    assert time.now == 15
