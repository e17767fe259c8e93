"""The sidecar's parts, run until told to stop."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from typing import Any

import grpc
from aiohttp import web

from sidecar.errors import ServingError
from sidecar.observability.metrics import NodeMetrics
from sidecar.observability.tracing import Tracing
from sidecar.observer import Before
from sidecar.parts import Parts, build_parts
from sidecar.recency import Recency
from sidecar.settings import Address, Settings
from sidecar.triton_client import TritonClient
from tools.access.certificates import Certificate

log = logging.getLogger(__name__)

_GRACE = 5.0  # seconds for calls under way when told to stop
_RETRY = 0.2
_BACKLOG = 1024  # connections not taken yet: a burst of cold calls must not be turned away


async def run(settings: Settings, tracing: Tracing, stop: asyncio.Event) -> None:
    """Serve until `stop` is set."""
    async with AsyncExitStack() as stack:
        triton = await stack.enter_async_context(TritonClient(settings.triton_http, settings.triton_grpc))
        parts = build_parts(settings, triton, tracing)
        await _open(parts, settings, stack)
        await stack.enter_async_context(_background(triton.watch(parts.presence.lost)))
        await _first_look(parts.recency, stop)
        parts.registry.register(NodeMetrics(parts.disk, parts.supply, await triton.version()))
        for loop in (
            parts.recency.run(settings.statistics_interval),
            parts.supply.check_disk(),
            parts.updates.run(settings.update_interval),
            parts.warm.run(settings.warm_schedule),
            parts.memory.run(settings.statistics_interval),
        ):
            await stack.enter_async_context(_background(loop))
        await stack.enter_async_context(_http(parts.admin, settings.admin))
        await stack.enter_async_context(_http(parts.public, settings.http))
        await stack.enter_async_context(_grpc(parts.grpc, settings.grpc, settings.certificate))
        log.info("ready: admin on %s, cold path on %s, gRPC on %s", settings.admin, settings.http, settings.grpc)
        await stop.wait()


async def _open(parts: Parts, settings: Settings, stack: AsyncExitStack) -> None:
    """What an earlier run left on disk, and the log that nginx writes to."""
    for name in parts.disk.open():
        log.warning("%s/%s was not a whole entry and has been removed", settings.repository, name)
    stack.callback(parts.supply.close)
    parts.guard.restore()
    if parts.usage:
        parts.usage.restore()
        stack.callback(parts.usage.save)
        await stack.enter_async_context(_background(parts.usage.run()))
    if parts.sizes:
        parts.sizes.restore()
        stack.callback(parts.sizes.save)
        await stack.enter_async_context(_background(parts.sizes.run()))
    if parts.front_log:
        stack.enter_context(closing(parts.front_log)).open()
        await stack.enter_async_context(_background(parts.front_log.run(settings.statistics_interval)))


async def _first_look(recency: Recency[Before], stop: asyncio.Event) -> None:
    """Wait for Triton, and adopt what it holds before the first call is taken."""
    while not stop.is_set():
        with suppress(ServingError):
            await recency.check()
            return
        await asyncio.sleep(_RETRY)


@asynccontextmanager
async def _background(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def _http(app: web.Application, address: Address) -> AsyncIterator[None]:
    # Bodies are unpacked where their size can be bounded: see `http_api.body_of`.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE, auto_decompress=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, address.host, address.port, backlog=_BACKLOG).start()
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _grpc(server: Any, address: Address, certificate: Certificate | None) -> AsyncIterator[None]:
    if certificate is None:
        port = server.add_insecure_port(str(address))
    else:
        pair = (certificate.key.read_bytes(), certificate.chain.read_bytes())
        port = server.add_secure_port(str(address), grpc.ssl_server_credentials([pair]))
    if port == 0:
        raise OSError(f"cannot listen on {address}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(_GRACE)
