"""Requests handed on to Triton over kept connections, which it may close at any moment; and how its end is seen."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
import pytest
from sidecar.errors import TritonGoneError, TritonUnavailableError
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


async def test_a_closed_port_is_a_triton_that_is_gone() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        async with TritonClient(Address("127.0.0.1", nobody.getsockname()[1]), Address("127.0.0.1", 1)) as client:
            with pytest.raises(TritonGoneError):
                await client.check_http()


async def test_the_end_of_a_connection_is_noticed_at_once_and_its_absence_is_no_news() -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    losses = list[float]()
    clock = asyncio.get_running_loop().time
    async with TritonClient(Address("127.0.0.1", 1), Address("127.0.0.1", port)) as client:
        watching = asyncio.create_task(client.watch(lambda: losses.append(clock())))
        await asyncio.sleep(0.1)
        assert losses == []
        await server.start()
        async with asyncio.timeout(5):
            await client.channel.channel_ready()
        await asyncio.sleep(0.1)
        assert losses == []
        stopped = clock()
        await server.stop(None)
        async with asyncio.timeout(5):
            while not losses:
                await asyncio.sleep(0.01)
        assert losses[0] - stopped < 1.0
        await asyncio.sleep(0.3)
        assert len(losses) == 1
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching
