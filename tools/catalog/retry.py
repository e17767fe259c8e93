"""Retrying with full jitter: each pause is drawn between nothing and a doubling limit, so that many clients of a
store that comes back do not all return at the same moment ("Exponential Backoff and Jitter", AWS, 2015).
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tools.catalog.store import StoreDownError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment by which something must be finished."""

    at: float
    clock: Callable[[], float]

    def check(self) -> None:
        """Raise `StoreDownError` if it has passed."""
        if self.clock() >= self.at:
            raise StoreDownError("the store is too slow: the operation ran out of time")


@dataclass(frozen=True, slots=True)
class Retrying:
    """How often, how soon and for how long a request is tried again. All times are seconds.

    `seconds` bounds all the attempts of one request together, pauses included.
    """

    attempts: int = 4
    first_pause: float = 0.05
    longest_pause: float = 2.0
    seconds: float = 15.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    draw: Callable[[float, float], float] = random.uniform

    def run(self, attempt: Callable[[Deadline], T]) -> T:
        """The result of the first attempt that does not raise `StoreDownError`; else the last such error."""
        deadline = Deadline(self.clock() + self.seconds, self.clock)
        for number in range(self.attempts):
            try:
                return attempt(deadline)
            except StoreDownError:
                pause = self.draw(0, min(self.longest_pause, self.first_pause * 2**number))
                if number + 1 == self.attempts or self.clock() + pause >= deadline.at:
                    raise
                self.sleep(pause)
        raise ValueError("at least one attempt is needed")
