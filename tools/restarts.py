"""Requests to restart a part of a running node: files in its state folder, made by one process and met by another."""

import time
from collections.abc import Iterable
from pathlib import Path

_POLL_SECONDS = 0.05


class NotRestartedError(RuntimeError):
    """Nobody met the request in time."""


class RestartRequests:
    """An empty file named for the part is a request; it goes away when the part is ready again."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "restart"

    def ask(self, part: str, seconds: float) -> None:
        """Have `part` restarted, and return once it is ready again.

        Raises:
            NotRestartedError: it was not, within `seconds`.
        """
        self._folder.mkdir(exist_ok=True)
        request = self._folder / part
        request.touch()
        give_up = time.monotonic() + seconds
        while request.exists():
            if time.monotonic() > give_up:
                request.unlink(missing_ok=True)
                raise NotRestartedError(f"{part} was not ready again within {seconds:.0f} s: its log may say why")
            time.sleep(_POLL_SECONDS)

    def asked(self, parts: Iterable[str]) -> set[str]:
        """Which of `parts` are to be restarted."""
        return {part for part in parts if (self._folder / part).exists()}

    def met(self, part: str) -> None:
        """The request for `part` has been met, or is not of interest any more."""
        (self._folder / part).unlink(missing_ok=True)
