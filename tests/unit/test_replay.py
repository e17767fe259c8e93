"""The replay's verdicts and figures, with a caller that answers from memory."""

import math
from itertools import count

import numpy as np
import pytest

from loadtests.fraud_data import Floats
from loadtests.kserve import Answer, CallFailedError
from loadtests.models import Reference
from loadtests.replay import Outcome, Verdict, make_call, replay
from loadtests.summary import Latency, summarise
from loadtests.traffic import Call
from tools.catalog.tenant import TenantId

TENANT = TenantId("m1")
PROBABILITIES = Reference(
    rows=np.arange(20, dtype=np.float32).reshape(10, 2),
    answers=np.linspace(0, 1, 20, dtype=np.float32).reshape(10, 2),
)


class FromMemory:
    """Answers rows of `PROBABILITIES` as XGBoost would, plus `error`."""

    protocol = "http"

    def __init__(self, error: float = 0.0, cold: str = "", failure: str = "") -> None:
        self._error = error
        self._cold = cold
        self._failure = failure

    def infer(self, tenant: TenantId, rows: Floats) -> Answer:
        if self._failure:
            raise CallFailedError(self._failure)
        which = (rows[:, 0] / 2).astype(int)
        return Answer((PROBABILITIES.answers[which] + self._error).astype(np.float32), self._cold)

    def close(self) -> None: ...


def test_an_answer_within_tolerance_is_right() -> None:
    outcome = make_call(FromMemory(error=5e-6), Call(TENANT, 3, 2), PROBABILITIES)
    assert outcome.verdict is Verdict.RIGHT
    assert outcome.cold == ""


def test_an_answer_further_off_is_wrong_and_says_what_xgboost_says() -> None:
    outcome = make_call(FromMemory(error=2e-5), Call(TENANT, 3, 2), PROBABILITIES)
    assert outcome.verdict is Verdict.WRONG
    assert "m1 answered" in outcome.detail
    assert "XGBoost says" in outcome.detail


def test_an_answer_that_is_not_a_number_is_wrong() -> None:
    assert make_call(FromMemory(error=math.nan), Call(TENANT, 0, 1), PROBABILITIES).verdict is Verdict.WRONG


def test_an_answer_of_too_few_rows_is_wrong() -> None:
    class Short(FromMemory):
        def infer(self, tenant: TenantId, rows: Floats) -> Answer:
            return Answer(super().infer(tenant, rows).output[:-1], "")

    assert make_call(Short(), Call(TENANT, 0, 3), PROBABILITIES).verdict is Verdict.WRONG


@pytest.mark.parametrize(("error", "agrees"), [(5e-7, True), (2e-6, False)])
def test_a_regression_is_judged_relative_to_its_value(error: float, agrees: bool) -> None:
    regression = Reference(rows=np.zeros((2, 1), np.float32), answers=np.array([1000.0, -1000.0], np.float32))
    answer = (regression.answers.astype(np.float64) * (1 + error)).astype(np.float32)
    assert regression.agrees(0, answer) is agrees


def test_a_refused_call_is_failed_not_wrong() -> None:
    outcome = make_call(FromMemory(failure="503: busy"), Call(TENANT, 0, 1), PROBABILITIES)
    assert (outcome.verdict, outcome.detail) == (Verdict.FAILED, "503: busy")


def test_every_begun_call_is_in_the_outcomes_and_no_more_are_begun_than_enough() -> None:
    stream = (Call(TENANT, number % 10, 1) for number in count())
    outcomes = replay([FromMemory() for _ in range(4)], stream, {TENANT: PROBABILITIES}, lambda begun: begun >= 101)
    assert len(outcomes) == 101
    assert all(outcome.verdict is Verdict.RIGHT for outcome in outcomes)


def outcome(seconds: float, verdict: Verdict = Verdict.RIGHT, cold: str | None = "", detail: str = "") -> Outcome:
    return Outcome(Call(TENANT, 0, 2), "grpc" if cold is None else "http", seconds, verdict, cold, detail)


def test_warm_cold_and_grpc_are_told_apart_and_failures_have_no_latency() -> None:
    summary = summarise(
        [
            *[outcome(0.001)] * 6,
            outcome(0.020, cold="disk"),
            outcome(0.040, cold="fetch"),
            outcome(0.003, cold=None),
            outcome(9.0, Verdict.FAILED, detail="503: busy"),
        ]
    )
    assert summary.warm == Latency(6, 1.0, 1.0, 1.0)
    assert (summary.cold.calls, round(summary.cold.p50, 6)) == (2, 30.0)
    assert (summary.grpc.calls, round(summary.grpc.p50, 6)) == (1, 3.0)
    assert (summary.requests, summary.rows, summary.wrong, summary.failed) == (10, 20, 0, 1)
    assert summary.hit_ratio == 0.75
    assert summary.complaints == ("503: busy",)
    assert not summary.passed


def test_a_wrong_answer_does_not_pass_and_is_listed_once() -> None:
    summary = summarise([outcome(0.001), *[outcome(0.001, Verdict.WRONG, detail="off by one")] * 3])
    assert (summary.wrong, summary.complaints, summary.passed) == (3, ("off by one",), False)


def test_nothing_asked_is_not_a_pass() -> None:
    summary = summarise([])
    assert not summary.passed
    assert math.isnan(summary.hit_ratio)
    assert math.isnan(summary.warm.p99)
