"""A store that is away: who finds out, and who need not."""

from contextlib import ExitStack

import pytest
from sidecar.store_health import StoreHealth

from tools.catalog.catalog import NoSuchTenantError
from tools.catalog.store import StoreDeniedError, StoreDownError, StoreError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> StoreHealth:
    return StoreHealth(clock)


def fail(health: StoreHealth, error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)), health.asked():
        raise error


def ask(health: StoreHealth) -> None:
    with health.asked():
        pass


@pytest.mark.parametrize("error", [StoreDownError("down"), StoreDeniedError("denied")])
def test_a_store_that_fails_is_left_alone_for_a_moment(health: StoreHealth, clock: Clock, error: StoreError) -> None:
    fail(health, error)
    assert not health.answers
    with pytest.raises(StoreDownError, match="a moment ago"):
        ask(health)
    clock.now += 2
    ask(health)
    assert health.answers


def test_many_ask_a_store_that_answers_at_the_same_time(health: StoreHealth) -> None:
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(health.asked())


def test_one_at_a_time_tries_a_store_that_is_away(health: StoreHealth, clock: Clock) -> None:
    fail(health, StoreDownError("down"))
    clock.now += 2
    with health.asked(), pytest.raises(StoreDownError, match="a moment ago"):
        ask(health)
    assert health.answers


def test_who_tries_in_vain_makes_room_for_the_next_after_another_pause(health: StoreHealth, clock: Clock) -> None:
    for _ in range(3):
        fail(health, StoreDownError("down"))
        with pytest.raises(StoreDownError, match="a moment ago"):
            ask(health)
        clock.now += 2
    ask(health)


def test_bad_news_from_a_store_is_an_answer(health: StoreHealth, clock: Clock) -> None:
    fail(health, StoreDownError("down"))
    clock.now += 2
    fail(health, NoSuchTenantError("nobody"))
    assert health.answers
