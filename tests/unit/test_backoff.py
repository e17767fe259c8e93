"""The pauses between restarts of a child that keeps dying."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tools.backoff import FIRST_PAUSE, HEALTHY_SECONDS, LONGEST_PAUSE, BackOff

short = st.floats(0, HEALTHY_SECONDS, exclude_max=True)
long = st.floats(HEALTHY_SECONDS, 1e9)


def after(*lives: float) -> BackOff:
    state = BackOff()
    for lived in lives:
        state = state.died(lived)
    return state


@given(st.one_of(short, long))
def test_the_first_restart_is_quick(lived: float) -> None:
    assert after(lived).pause == FIRST_PAUSE < 0.5


@given(st.lists(short, min_size=1, max_size=200))
def test_pauses_grow_with_each_short_life_and_are_bounded(lives: list[float]) -> None:
    pauses = [after(*lives[:count]).pause for count in range(1, len(lives) + 1)]
    assert all(later > earlier or later == LONGEST_PAUSE for earlier, later in pairwise(pauses))
    assert max(pauses) <= LONGEST_PAUSE


@given(st.lists(short), long)
def test_a_long_life_makes_up_for_all_before_it(lives: list[float], healthy: float) -> None:
    assert after(*lives, healthy) == after(healthy)


def test_a_child_that_always_dies_at_once_is_tried_every_half_minute_for_ever() -> None:
    assert after(*[0.0] * 10_000).pause == LONGEST_PAUSE == 30.0
