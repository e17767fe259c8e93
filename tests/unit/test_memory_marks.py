"""When the ceiling on models is lowered and raised, by example and by property."""

from hypothesis import given
from hypothesis import strategies as st
from sidecar.memory.marks import Ceiling, Marks, next_ceiling

MARKS = Marks(0.8, 0.6)
LIMIT, BUDGET = 1_000, 700


def after(before: Ceiling, used: int, held: int) -> Ceiling:
    return next_ceiling(before, used, LIMIT, held, BUDGET, MARKS)


def test_below_the_high_mark_nothing_happens() -> None:
    assert after(Ceiling(BUDGET), used=800, held=650) == Ceiling(BUDGET)


def test_above_it_models_give_up_what_is_used_above_the_low_mark() -> None:
    assert after(Ceiling(BUDGET), used=850, held=650) == Ceiling(400, used=850, taken=250)


def test_evicting_goes_on_while_it_helps() -> None:
    lowered = after(Ceiling(BUDGET), used=950, held=650)
    assert lowered.bytes == 300
    assert after(lowered, used=850, held=300).bytes < 300


def test_memory_that_is_not_given_back_is_not_evicted_for_again() -> None:
    lowered = after(Ceiling(BUDGET), used=850, held=650)
    assert after(lowered, used=845, held=400) == lowered


def test_but_what_grows_beyond_it_is() -> None:
    lowered = after(Ceiling(BUDGET), used=850, held=650)
    assert after(lowered, used=870, held=400).bytes < lowered.bytes


def test_between_the_marks_the_ceiling_stays() -> None:
    lowered = after(Ceiling(BUDGET), used=850, held=650)
    assert after(lowered, used=700, held=400) == lowered


def test_below_the_low_mark_it_rises_by_what_is_left_up_to_the_budget() -> None:
    lowered = after(Ceiling(BUDGET), used=850, held=650)
    assert after(lowered, used=500, held=390).bytes == 490
    assert after(lowered, used=100, held=390) == Ceiling(BUDGET)


ceilings = st.builds(Ceiling, st.integers(BUDGET // 4, BUDGET), st.integers(0, LIMIT), st.integers(0, BUDGET))


@given(before=ceilings, used=st.integers(0, 2 * LIMIT), held=st.integers(0, 2 * BUDGET))
def test_the_ceiling_is_never_above_the_budget_nor_below_a_quarter_of_it(before: Ceiling, used: int, held: int) -> None:
    assert BUDGET // 4 <= after(before, used, held).bytes <= BUDGET


@given(before=ceilings, used=st.integers(0, 2 * LIMIT), held=st.integers(0, 2 * BUDGET))
def test_it_falls_only_above_the_high_mark_and_rises_only_below_the_low_one(
    before: Ceiling, used: int, held: int
) -> None:
    now = after(before, used, held).bytes
    assert now >= before.bytes or used > 800
    assert now <= before.bytes or used <= 600


@given(used=st.integers(801, 2 * LIMIT), held=st.integers(0, BUDGET))
def test_the_same_reading_again_changes_nothing_more(used: int, held: int) -> None:
    once = after(Ceiling(BUDGET), used, held)
    assert after(once, used, min(held, once.bytes)).bytes == once.bytes
