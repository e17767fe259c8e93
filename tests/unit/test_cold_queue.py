"""The line of cold calls is as long as it may be, and no longer."""

import pytest
from sidecar.cold_queue import ColdQueue
from sidecar.errors import OverloadedError


def test_a_call_beyond_the_longest_line_is_turned_away_and_told_to_come_back() -> None:
    queue = ColdQueue(2)
    with queue.place(), queue.place():
        with pytest.raises(OverloadedError, match="2 calls wait") as refused, queue.place():
            pass
        assert refused.value.http_status == 503
        assert refused.value.retry_after is not None
        assert (queue.waiting, queue.refused) == (2, 1)
    with queue.place():
        assert queue.waiting == 1


def test_a_place_is_free_once_it_is_left_and_only_once() -> None:
    queue = ColdQueue(2)
    with queue.place(), queue.place() as place:
        place.leave()
        place.leave()
        assert queue.waiting == 1
    assert queue.waiting == 0


def test_a_call_that_fails_gives_its_place_back() -> None:
    queue = ColdQueue(1)
    with pytest.raises(ZeroDivisionError), queue.place():
        _ = 1 / 0
    assert queue.waiting == 0
