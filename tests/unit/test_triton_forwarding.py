"""Requests handed on to Triton over kept connections, which it may close at any moment."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sidecar.errors import TritonUnavailableError
from sidecar.settings import Address
from sidecar.triton_client import TritonClient

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def triton_that_resets(times: int) -> AsyncIterator[TritonClient]:
    """A client of a server that answers, but resets as many connections as told, each when it is asked."""
    resets_left = times

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal resets_left
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            if resets_left:
                resets_left -= 1
                abrupt = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, abrupt)
                writer.transport.abort()
                return
            writer.write(ANSWER)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, TritonClient(Address("127.0.0.1", port), Address("127.0.0.1", 1)) as client:
        yield client


async def test_a_connection_that_is_reset_is_taken_up_anew_once() -> None:
    async with triton_that_resets(1) as client:
        answer = await client.forward("POST", "/v2/models/m1/infer", {}, b"")
    assert (answer.status, answer.body) == (200, b"ok")


async def test_a_triton_that_resets_again_is_said_to_be_away() -> None:
    async with triton_that_resets(2) as client:
        with pytest.raises(TritonUnavailableError, match="does not answer"):
            await client.forward("POST", "/v2/models/m1/infer", {}, b"")
