"""One large object as a stream, its parts fetched in parallel a little ahead of the reader."""

import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Protocol

from tools.catalog.store import ByteStream, ObjectStat, StoreDownError


class FirstPart(ByteStream, Protocol):
    """The body of the request that found the object: its first bytes, as they arrive."""

    def close(self) -> None:
        """Drop the rest."""
        ...


class RangedStream:
    """An object read in order, at most `ahead` parts of `part_bytes` of it in memory.

    The first part comes from `first`, `first_bytes` long, while `fetch(start, end)` gets the others on the threads
    of `pool`. `fetch` answers with exactly those bytes of the same version of the object, or raises.
    """

    def __init__(
        self,
        stat: ObjectStat,
        first: FirstPart,
        first_bytes: int,
        fetch: Callable[[int, int], bytes],
        pool: Executor,
        part_bytes: int,
        ahead: int,
    ) -> None:
        self._stat = stat
        self._first = first
        self._first_bytes = first_bytes
        self._first_read = 0
        self._fetch = fetch
        self._pool = pool
        self._part_bytes = part_bytes
        self._next_start = first_bytes
        self._coming: deque[Future[bytes]] = deque()
        self._ready = memoryview(b"")
        for _ in range(ahead):
            self._fetch_ahead()

    @property
    def stat(self) -> ObjectStat:
        """See `ObjectStream.stat`."""
        return self._stat

    def read(self, size: int, /) -> bytes:
        """See `ByteStream.read`. Raises what `fetch` raises."""
        if not self._ready:
            if self._first_read < self._first_bytes:
                return self._read_first(size)
            if self._coming:
                self._ready = memoryview(self._coming.popleft().result())
                self._fetch_ahead()
        piece, self._ready = self._ready[:size], self._ready[size:]
        return bytes(piece)

    def close(self) -> None:
        """See `ObjectStream.close`. Parts already on their way are dropped when they arrive."""
        self._first.close()
        for part in self._coming:
            part.cancel()
        self._coming.clear()
        self._ready = memoryview(b"")

    def __enter__(self) -> "RangedStream":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _read_first(self, size: int) -> bytes:
        left = self._first_bytes - self._first_read
        piece = b""
        with contextlib.suppress(StoreDownError):
            piece = self._first.read(min(size, left))
        if piece:
            self._first_read += len(piece)
            return piece
        # The connection broke in the middle: what is missing is a range like any other.
        self._ready = memoryview(self._fetch(self._first_read, self._first_bytes))
        self._first_read = self._first_bytes
        return self.read(size)

    def _fetch_ahead(self) -> None:
        start, end = self._next_start, min(self._next_start + self._part_bytes, self._stat.bytes)
        if start < end:
            self._coming.append(self._pool.submit(self._fetch, start, end))
            self._next_start = end
