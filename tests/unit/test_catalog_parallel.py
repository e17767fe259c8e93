"""Work on many things at once."""

import threading
import time
from collections.abc import Iterator

import pytest

from tools.catalog.parallel import as_ready


def test_every_item_gives_its_result() -> None:
    assert sorted(as_ready(lambda number: number * 2, range(100), 7)) == [number * 2 for number in range(100)]
    assert list(as_ready(lambda number: number, [], 3)) == []


def test_no_more_run_at_once_than_allowed_and_none_is_taken_early() -> None:
    lock, running, most, taken = threading.Lock(), [0], [0], [0]

    def items() -> Iterator[int]:
        for number in range(30):
            taken[0] += 1
            assert running[0] <= 4
            yield number

    def work(number: int) -> int:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.002)
        with lock:
            running[0] -= 1
        return number

    results = as_ready(work, items(), 4)
    next(results)
    assert taken[0] <= 6
    assert len(list(results)) == 29
    assert 1 < most[0] <= 4


def test_what_is_ready_is_given_before_the_last_item_is_there() -> None:
    taken = []

    def slow_items() -> Iterator[int]:
        for number in range(200):
            taken.append(number)
            yield number
            time.sleep(0.002)

    results = as_ready(lambda number: number, slow_items(), 1000)
    next(results)
    assert len(taken) < 200
    assert sorted(results)[-1] == 199


def test_an_exception_ends_it_after_what_is_under_way() -> None:
    done = []

    def work(number: int) -> None:
        if number == 1:
            raise ValueError("one")
        time.sleep(0.02)
        done.append(number)

    with pytest.raises(ValueError, match="one"):
        list(as_ready(work, range(1000), 2))
    assert len(done) < 10
