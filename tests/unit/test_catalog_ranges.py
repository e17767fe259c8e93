"""The ranged stream: every byte once and in order, few parts in memory, whatever order they arrive in."""

import io
import threading
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.catalog.ranges import RangedStream
from tools.catalog.store import ObjectStat, StoreDownError


class Body(io.BytesIO):
    """A first part that breaks after `breaks_after` bytes: with an error, or by ending."""

    def __init__(self, body: bytes, breaks_after: int | None = None, silently: bool = False) -> None:
        super().__init__(body[:breaks_after])
        self._breaks = breaks_after is not None
        self._silently = silently

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        if not piece and self._breaks and not self._silently:
            raise StoreDownError("broken")
        return piece


class Server:
    """Serves ranges of `body`; counts those that were asked for and not yet taken by the reader."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.asked: list[tuple[int, int]] = []
        self.lock = threading.Lock()

    def fetch(self, start: int, end: int) -> bytes:
        with self.lock:
            self.asked.append((start, end))
        return self.body[start:end]


class InlinePool(Executor):
    """Runs everything at once, in the caller's thread."""

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        future: Future[object] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def stream(server: Server, first: Body, part: int, ahead: int, pool: Executor | None = None) -> RangedStream:
    stat = ObjectStat("m1/1.tar.zst", len(server.body), "etag")
    return RangedStream(stat, first, min(part, len(server.body)), server.fetch, pool or InlinePool(), part, ahead)


@settings(deadline=None)
@given(
    body=st.binary(max_size=300),
    part=st.integers(1, 64),
    ahead=st.integers(0, 5),
    sizes=st.lists(st.integers(1, 100), min_size=1),
    broken=st.none() | st.integers(0, 64),
    silently=st.booleans(),
)
def test_every_byte_comes_once_and_in_order(
    body: bytes, part: int, ahead: int, sizes: list[int], broken: int | None, silently: bool
) -> None:
    server = Server(body)
    read = b""
    with stream(server, Body(body[:part], broken, silently), part, max(ahead, 1)) as ranged:
        for turn in range(10_000):
            size = sizes[turn % len(sizes)]
            piece = ranged.read(size)
            assert len(piece) <= size
            if not piece:
                break
            read += piece
    assert read == body


def test_no_more_parts_are_fetched_than_allowed_ahead_of_the_reader() -> None:
    server = Server(bytes(100))
    ranged = stream(server, Body(bytes(10)), 10, 3)
    assert server.asked == [(10, 20), (20, 30), (30, 40)]
    ranged.read(10)
    assert len(server.asked) == 3
    ranged.read(1)
    assert len(server.asked) == 4
    ranged.close()


def test_a_small_object_needs_no_other_part() -> None:
    server = Server(bytes(10))
    with stream(server, Body(bytes(10)), 10, 3) as ranged:
        assert ranged.read(100) == bytes(10)
        assert ranged.read(100) == b""
    assert server.asked == []


def test_parts_that_arrive_in_another_order_are_read_in_theirs() -> None:
    body = bytes(range(200))

    class Slow(Server):
        def fetch(self, start: int, end: int) -> bytes:
            time.sleep(0.02 if start % 40 else 0.001)
            return super().fetch(start, end)

    with ThreadPoolExecutor(4) as pool, stream(Slow(body), Body(body[:20]), 20, 4, pool) as ranged:
        assert b"".join(iter(lambda: ranged.read(7), b"")) == body


def test_a_part_that_cannot_be_had_is_an_error_when_it_is_reached() -> None:
    class Broken(Server):
        def fetch(self, start: int, end: int) -> bytes:
            if start >= 20:
                raise StoreDownError("down")
            return super().fetch(start, end)

    ranged = stream(Broken(bytes(40)), Body(bytes(10)), 10, 3)
    assert ranged.read(10) + ranged.read(10) == bytes(20)
    with pytest.raises(StoreDownError, match="down"):
        ranged.read(10)


def test_closing_drops_what_was_not_started() -> None:
    release = threading.Event()

    class Held(Server):
        def fetch(self, start: int, end: int) -> bytes:
            super().fetch(start, end)
            release.wait(5)
            return self.body[start:end]

    server = Held(bytes(100))
    with ThreadPoolExecutor(1) as pool:
        ranged = stream(server, Body(bytes(10)), 10, 4, pool)
        ranged.close()
        release.set()
    assert len(server.asked) <= 1
