"""A link of a known speed before a server on this machine, whose own would be no limit at all."""

import asyncio
import threading
import time
from types import TracebackType
from typing import Self

_PIECE = 16 << 10
_LATE_SECONDS = 0.003


class SlowLink:
    """A TCP relay to a loopback port, through which answers come at `bytes_per_second`, all connections together.

    What a late timer left unused is made up for, up to 3 ms of it. A context manager, with a thread of its own.
    """

    def __init__(self, port: int, bytes_per_second: float) -> None:
        self._target = port
        self._rate = bytes_per_second
        self._free_at = 0.0
        self._loop = asyncio.new_event_loop()
        self._relays: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="slow-link")

    @property
    def url(self) -> str:
        """Where to reach the server through the link."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._accept, "127.0.0.1", 0), self._loop)
        self._server = starting.result(10)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        for relay in self._relays:
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay = asyncio.create_task(self._relay(reader, writer))
        # The loop itself holds tasks by weak references only.
        self._relays.add(relay)
        relay.add_done_callback(self._relays.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
        ways = [
            asyncio.create_task(self._pass_on(reader, up_writer, slowly=False)),
            asyncio.create_task(self._pass_on(up_reader, writer, slowly=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            up_writer.close()
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, slowly: bool) -> None:
        while piece := await reader.read(_PIECE):
            if slowly:
                await asyncio.sleep(self._wait_for(len(piece)))
            writer.write(piece)
            await writer.drain()

    def _wait_for(self, size: int) -> float:
        now = time.monotonic()
        self._free_at = max(self._free_at, now - _LATE_SECONDS) + size / self._rate
        return max(0.0, self._free_at - now)
