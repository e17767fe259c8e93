"""Whether the store answers, as the calls that need it find out."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tools.catalog.store import StoreDeniedError, StoreDownError

_PAUSE = 2.0  # seconds for which a store that did not answer is not asked


class StoreHealth:
    """A store that does not answer is asked by one call at a time, with pauses; the others are told at once.

    Otherwise every call would wait for its own time-outs, and they would fill the threads that ask.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._trying = False
        self._try_at = 0.0
        self.answers = True

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Ask the store in this block, and learn from how it ends.

        Raises:
            StoreDownError: it did not answer a moment ago; the block is not entered.
        """
        trying = not self.answers
        if trying and (self._trying or self._clock() < self._try_at):
            raise StoreDownError("the store did not answer a moment ago")
        self._trying |= trying
        try:
            yield
        except (StoreDownError, StoreDeniedError):
            self.answers = False
            self._try_at = self._clock() + _PAUSE
            raise
        except Exception:
            self.answers = True
            raise
        else:
            self.answers = True
        finally:
            if trying:
                self._trying = False
