"""Verdicts: what keeps a promise, and everything that breaks one."""

import pytest

from loadtests.suites.promises import Figures, Latencies, Promise, Start, judge

WARM = Promise("whales", Start.WARM, 0.99, 0.050, at_least=100)
COLD = Promise("whales", Start.COLD, 0.95, 3.0, at_least=2)


def figures(warm: dict[float, int], failures: dict[str, int] | None = None, **cold: dict[float, int]) -> Figures:
    starts = {"warm": warm, **cold}
    return Figures({("whales", start): Latencies(counts) for start, counts in starts.items()}, failures or {})


def test_a_promise_is_kept_at_its_very_limit() -> None:
    assert judge([WARM], figures({3.0: 99, 50.0: 1})).is_passed
    assert judge([WARM], figures({3.0: 198, 50.0: 1, 900.0: 1})).is_passed


def test_one_call_in_fifty_too_slow_breaks_a_p99() -> None:
    verdict = judge([WARM], figures({3.0: 98, 60.0: 2}))
    assert not verdict.is_passed
    assert verdict.complaints == ["whales, warm: p99 of 100 calls is 60 ms, promised 50 ms"]


def test_too_few_calls_prove_nothing() -> None:
    verdict = judge([WARM], figures({3.0: 99}))
    assert not verdict.is_passed
    assert "fewer than the 100" in verdict.complaints[0]
    assert not judge([WARM], Figures({}, {})).is_passed


def test_cold_calls_are_those_from_disk_and_from_the_store_and_never_the_warm_ones() -> None:
    measured = figures({1.0: 1_000}, disk={100.0: 1}, fetch={4_000.0: 1})
    assert measured.of("whales", Start.COLD).calls == 2
    assert not judge([COLD], measured).is_passed
    assert judge([COLD], figures({9_000.0: 50}, disk={100.0: 2})).is_passed


def test_one_failed_call_breaks_every_promise() -> None:
    verdict = judge([WARM], figures({3.0: 100}, {"whales warm: a wrong answer": 1}))
    assert not verdict.is_passed
    assert verdict.complaints == ["1 times: whales warm: a wrong answer"]


def test_slack_stretches_the_limits() -> None:
    slow = figures({80.0: 100})
    assert not judge([WARM], slow).is_passed
    assert judge([WARM], slow, slack=2.0).is_passed
    assert not judge([WARM], slow, slack=0.001).is_passed


@pytest.mark.parametrize(("quantile", "expected"), [(0.5, 1.0), (0.9, 1.0), (0.95, 7.0), (1.0, 7.0)])
def test_quantiles_are_values_that_occurred(quantile: float, expected: float) -> None:
    assert Latencies({1.0: 90, 7.0: 10}).quantile(quantile) == expected


def test_the_hit_ratio_is_the_warm_share() -> None:
    assert figures({1.0: 30}, disk={5.0: 9}, fetch={5.0: 1}).hit_ratio == 0.75
