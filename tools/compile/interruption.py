"""Ctrl-C where it may not strike anywhere: put off while something is half done, and never lost."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Turns SIGINT into `KeyboardInterrupt`, at once or, inside `held`, when `check` is next called.

    Blocking the signal would not do: the kernel gives it to another thread, and Python raises in the main thread all
    the same. Nor would the exception alone: Python drops it when a finaliser happens to be running.
    """

    def __init__(self) -> None:
        self._came = False
        self._held = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While the block runs, SIGINT is taken here. In other threads than the main one nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._take)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Not in this block."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if Ctrl-C has come."""
        if self._came:
            raise KeyboardInterrupt

    def _take(self, _signal: int, _frame: FrameType | None) -> None:
        self._came = True
        if not self._held:
            raise KeyboardInterrupt
