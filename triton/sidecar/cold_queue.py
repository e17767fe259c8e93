"""The line of cold calls: how many may wait for a tenant at the same time, over all tenants."""

from collections.abc import Iterator
from contextlib import contextmanager

from sidecar.errors import OverloadedError


class Place:
    """One call's place in the line."""

    def __init__(self, queue: "ColdQueue") -> None:
        self._queue: ColdQueue | None = queue

    def leave(self) -> None:
        """The call waits no more. Again does nothing."""
        if self._queue is not None:
            self._queue.waiting -= 1
        self._queue = None


class ColdQueue:
    """`waiting` calls are in line, at most `longest`; `refused` were turned away because it was full."""

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self.waiting = 0
        self.refused = 0

    @contextmanager
    def place(self) -> Iterator[Place]:
        """A place for as long as the block runs, or until it is left.

        Raises:
            OverloadedError: there is none.
        """
        if self.waiting >= self.longest:
            self.refused += 1
            raise OverloadedError(f"{self.waiting} calls wait for their tenants to be loaded: try again shortly")
        self.waiting += 1
        place = Place(self)
        try:
            yield place
        finally:
            place.leave()
