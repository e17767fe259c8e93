"""The sidecar's parts, put together and run until told to stop."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from sidecar.admin_api import AdminApi
from sidecar.changes import Changes
from sidecar.disk import DiskTier
from sidecar.dropins import DropIns
from sidecar.errors import ServingError
from sidecar.grpc_api import GrpcApi
from sidecar.http_api import build_app
from sidecar.loader import Loader, LoaderLimits
from sidecar.observability.events import Journal
from sidecar.observability.front_log import FrontLog
from sidecar.observability.metrics import Metrics, NodeMetrics
from sidecar.observability.phases import Phases
from sidecar.observability.top_tenants import TopTenants
from sidecar.observability.tracing import Tracing
from sidecar.observability.traffic import Traffic
from sidecar.observer import Before, Observer
from sidecar.recency import Recency
from sidecar.residency import Residency
from sidecar.sagemaker_api import SageMakerApi
from sidecar.sagemaker_invocations import Invocations
from sidecar.serving import Serving
from sidecar.settings import Address, Settings
from sidecar.supply import Supply
from sidecar.triton_client import TritonClient
from sidecar.unloader import Unloader
from sidecar.updates import LiveUpdates
from sidecar.usage import UsageFile
from sidecar.warm import WarmStart
from tools.catalog.catalog import Catalog
from tools.catalog.store import open_store
from tools.eviction.history import History
from tools.eviction.named import POLICIES

log = logging.getLogger(__name__)

_GRACE = 5.0  # seconds for calls under way when told to stop
_RETRY = 0.2


async def run(settings: Settings, tracing: Tracing, stop: asyncio.Event) -> None:
    """Serve until `stop` is set."""
    async with AsyncExitStack() as stack:
        triton = await stack.enter_async_context(TritonClient(settings.triton_http, settings.triton_grpc))
        policy = POLICIES[settings.policy](History())
        if settings.usage:
            usage = UsageFile(settings.usage, settings.policy, policy)
            usage.restore()
            stack.callback(usage.save)
            await stack.enter_async_context(_background(usage.run()))
        residency = Residency(settings.memory_budget, settings.pinned, policy)
        disk = DiskTier(settings.repository, settings.disk_budget, lambda tenant: residency.get(tenant) is not None)
        for name in disk.open():
            log.warning("%s/%s was not a whole entry and has been removed", settings.repository, name)
        store = open_store(settings.store)
        registry = CollectorRegistry()
        phases = Phases(registry, tracing)
        supply = Supply(Catalog(store), DropIns(store, disk), disk, phases)
        stack.callback(supply.close)
        changes = Changes()
        journal = Journal()
        metrics = Metrics(residency, journal, registry)
        traffic = Traffic(TopTenants(settings.top_tenants, settings.pinned))
        registry.register(traffic)
        unloader = Unloader(residency, triton, changes, journal, metrics)
        observer = Observer(residency, disk, unloader, journal, metrics, changes)
        recency = Recency(triton, observer.begin, observer.observe, metrics.triton_answers)
        limits = LoaderLimits(settings.parallel_loads, settings.load_deadline, settings.cold_deadline)
        loader = Loader(residency, supply, triton, recency, unloader, changes, journal, metrics, phases, limits)
        serving = Serving(residency, supply, loader, recency, metrics, phases)
        updates = LiveUpdates(residency, supply, loader)
        invocations = Invocations(serving, triton)
        admin = AdminApi(
            residency, serving, loader, recency, triton, invocations, updates, journal, metrics, settings.store
        )
        public = build_app(serving, triton, tracing, settings.max_body)
        grpc_api = GrpcApi(serving, triton.channel, traffic, tracing, settings.max_body)
        public.add_routes(SageMakerApi(invocations).routes())

        if settings.front_log:
            front_log = stack.enter_context(closing(FrontLog(settings.front_log, traffic)))
            front_log.open()
            await stack.enter_async_context(_background(front_log.run(settings.statistics_interval)))
        await _first_look(recency, stop)
        registry.register(NodeMetrics(disk, supply, await triton.version()))
        await stack.enter_async_context(_background(recency.run(settings.statistics_interval)))
        await stack.enter_async_context(_background(supply.check_disk()))
        await stack.enter_async_context(_background(updates.run(settings.update_interval)))
        await stack.enter_async_context(_background(WarmStart(residency, policy, loader).run(settings.warm_schedule)))
        await stack.enter_async_context(_http(admin.build_app(tracing, settings.max_body), settings.admin))
        await stack.enter_async_context(_http(public, settings.http))
        await stack.enter_async_context(_grpc(grpc_api.build_server(), settings.grpc))
        log.info("ready: admin on %s, cold path on %s, gRPC on %s", settings.admin, settings.http, settings.grpc)
        await stop.wait()


async def _first_look(recency: Recency[Before], stop: asyncio.Event) -> None:
    """Wait for Triton, and adopt what it holds before the first call is taken."""
    while not stop.is_set():
        with suppress(ServingError):
            await recency.refresh()
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
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE)
    await runner.setup()
    try:
        await web.TCPSite(runner, address.host, address.port).start()
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _grpc(server: Any, address: Address) -> AsyncIterator[None]:
    if server.add_insecure_port(str(address)) == 0:
        raise OSError(f"cannot listen on {address}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(_GRACE)
