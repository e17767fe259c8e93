"""Latencies kept small are still right: against all of them, sorted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sidecar.observability.latency import Buckets, RecentLatencies, quantiles

SECONDS = st.floats(0.001, 60.0)


@given(st.lists(SECONDS, min_size=1, max_size=300), st.sampled_from([0.5, 0.95, 0.99]))
def test_quantiles_are_right_to_two_digits(values: list[float], quantile: float) -> None:
    recent = RecentLatencies()
    for value in values:
        recent.add(value, 1, now=0.0)
    exact = float(np.quantile(values, quantile, method="inverted_cdf"))
    assert quantiles(recent.counts(now=0.0), [quantile])[0] == pytest.approx(exact, rel=0.051)


def test_many_at_once_count_as_many() -> None:
    recent = RecentLatencies()
    recent.add(0.010, 99, now=0.0)
    recent.add(2.0, 1, now=0.0)
    assert quantiles(recent.counts(now=0.0), [0.5, 0.99, 1.0]) == [0.010, 0.010, 2.0]


def test_what_is_older_than_two_spans_is_forgotten() -> None:
    recent = RecentLatencies(span=60.0)
    recent.add(1.0, 1, now=0.0)
    recent.add(0.1, 9, now=70.0)
    assert quantiles(recent.counts(now=80.0), [1.0]) == [1.0]
    assert quantiles(recent.counts(now=130.0), [1.0]) == [0.1]
    assert quantiles(recent.counts(now=300.0), [1.0]) == [None]


@given(st.lists(st.tuples(SECONDS, st.integers(1, 50)), max_size=50))
def test_buckets_hold_every_observation_at_or_below_its_bound(values: list[tuple[float, int]]) -> None:
    buckets = Buckets()
    for seconds, times in values:
        buckets.add(seconds, times)
    for bound, count in buckets.cumulative():
        assert count == sum(times for seconds, times in values if seconds <= float(bound))
    assert buckets.sum == pytest.approx(sum(seconds * times for seconds, times in values))
