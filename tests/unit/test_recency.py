"""Readings of Triton's counts become touches."""

from hypothesis import given
from hypothesis import strategies as st
from sidecar.recency import Touch, touches
from sidecar.triton_client import Usage


def test_what_was_counted_since_the_last_reading_is_news() -> None:
    assert touches({("a", 1): Usage("a", 1, 5, 3.0)}, [Usage("a", 1, 8, 12.5)]) == [Touch("a", 12.5, 3)]


def test_a_model_not_used_since_is_no_news() -> None:
    assert touches({("a", 1): Usage("a", 1, 5, 3.0)}, [Usage("a", 1, 5, 12.5)]) == []


def test_a_model_seen_for_the_first_time_counts_from_nothing() -> None:
    assert touches({}, [Usage("a", 1, 2, 12.5)]) == [Touch("a", 12.5, 2)]


def test_a_count_that_fell_began_again_with_a_reload() -> None:
    assert touches({("a", 1): Usage("a", 1, 500, 3.0)}, [Usage("a", 1, 2, 12.5)]) == [Touch("a", 12.5, 2)]


def test_a_newer_version_has_counts_of_its_own() -> None:
    assert touches({("a", 1): Usage("a", 1, 500, 3.0)}, [Usage("a", 2, 600, 12.5)]) == [Touch("a", 12.5, 600)]


def test_failures_and_triton_s_own_seconds_are_news_too() -> None:
    before, after = Usage("a", 1, 5, 3.0, failures=1, seconds=0.5), Usage("a", 1, 7, 4.0, failures=4, seconds=0.75)
    assert touches({("a", 1): before}, [after]) == [Touch("a", 4.0, 2, seconds=0.25, failures=3)]


@given(st.lists(st.integers(0, 100), min_size=1))
def test_no_request_is_counted_twice_or_lost_while_a_model_stays_loaded(steps: list[int]) -> None:
    seen: dict[tuple[str, int], Usage] = {}
    total = counted = 0
    for at, step in enumerate(steps):
        total += step
        usage = [Usage("a", 1, total, float(at))]
        counted += sum(touch.uses for touch in touches(seen, usage))
        seen = {("a", 1): usage[0]}
    assert counted == total
