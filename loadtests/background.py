"""Work beside other work."""

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Background(ABC):
    """While entered, `threads` threads work. Leaving tells them to stop, and waits until they have."""

    def __init__(self, name: str, threads: int = 1) -> None:
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name=f"{name} {number}") for number in range(threads)
        ]

    @abstractmethod
    def _work(self, number: int) -> None:
        """What each thread does until `_stop` is set; `number` is 0 for the first."""

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
