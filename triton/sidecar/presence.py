"""Whether Triton is there, and waiting for one that is on its way back."""

import asyncio
import logging
from collections.abc import Callable

from sidecar.errors import TritonGoneError

log = logging.getLogger(__name__)


class Presence:
    """There or gone. It is gone from the moment anyone finds its port closed, until its statistics have been read.

    `patience` is how many seconds a call waits for it. `losses` counts how often it went.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._on_loss: list[Callable[[], None]] = []
        self._there = asyncio.Event()
        self._gone = asyncio.Event()
        self._gone.set()
        self.losses = 0

    @property
    def is_there(self) -> bool:
        """Whether it was when last heard of."""
        return self._there.is_set()

    def found(self) -> None:
        """It has answered, and what it holds is known."""
        if not self.is_there:
            if self.losses:
                log.info("Triton answers again")
            self._gone.clear()
            self._there.set()

    def lost(self) -> None:
        """Its port is closed, or closed on a call: the process has ended, and holds nothing."""
        if self.is_there:
            log.warning("Triton is gone: calls wait up to %g s for it to be back", self._patience)
            self.losses += 1
            self._there.clear()
            self._gone.set()
            for listener in self._on_loss:
                listener()

    def subscribe(self, on_loss: Callable[[], None]) -> None:
        """Have `on_loss` called each time it goes."""
        self._on_loss.append(on_loss)

    async def wait(self) -> None:
        """Return once it is there.

        Raises:
            TritonGoneError: it was not, for as long as a call waits.
        """
        if self.is_there:
            return
        try:
            await asyncio.wait_for(self._there.wait(), self._patience)
        except TimeoutError:
            raise TritonGoneError(
                f"Triton has been away for {self._patience:g} s; it is being restarted: try again shortly"
            ) from None

    async def wait_loss(self) -> None:
        """Return once it is gone."""
        await self._gone.wait()

    async def wait_return(self, losses: int) -> None:
        """Return once it is there and has been gone more than `losses` times."""
        while not self.is_there or self.losses <= losses:
            await self._gone.wait()
            await self._there.wait()
