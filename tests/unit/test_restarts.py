"""How one process asks another to restart a part."""

import threading
import time
from pathlib import Path

import pytest

from tools.restarts import NotRestartedError, RestartRequests

PARTS = ("triton", "nginx")


def test_whoever_asks_returns_when_it_is_met(tmp_path: Path) -> None:
    node = RestartRequests(tmp_path)
    asking = threading.Thread(target=RestartRequests(tmp_path).ask, args=("triton", 10.0))
    asking.start()
    deadline = time.monotonic() + 5
    while node.asked(PARTS) != {"triton"}:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert asking.is_alive()
    node.met("triton")
    asking.join(5)
    assert not asking.is_alive()
    assert node.asked(PARTS) == set()


def test_a_request_that_nobody_meets_is_withdrawn(tmp_path: Path) -> None:
    with pytest.raises(NotRestartedError, match="triton was not ready again"):
        RestartRequests(tmp_path).ask("triton", 0.1)
    assert RestartRequests(tmp_path).asked(PARTS) == set()


def test_what_is_no_part_is_no_request(tmp_path: Path) -> None:
    (tmp_path / "restart").mkdir()
    (tmp_path / "restart" / "disk").touch()
    assert RestartRequests(tmp_path).asked(PARTS) == set()
    RestartRequests(tmp_path).met("triton")
