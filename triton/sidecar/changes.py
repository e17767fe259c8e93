"""Waiting for the residency table to change."""

import asyncio


class Changes:
    """A bell: everyone waiting when it rings goes on."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake everyone who waits now."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Return at the next ring."""
        await self._event.wait()
