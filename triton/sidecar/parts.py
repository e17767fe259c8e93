"""The sidecar's parts, put together: who is given whom. Nothing runs yet."""

from dataclasses import dataclass
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from sidecar.access.admission import Admission
from sidecar.access.callers import Callers
from sidecar.admin_api import AdminApi
from sidecar.changes import Changes
from sidecar.cold_queue import ColdQueue
from sidecar.disk import DiskTier
from sidecar.dropins import DropIns
from sidecar.grpc_api import GrpcApi
from sidecar.http_api import build_app
from sidecar.load_guard import LoadGuard
from sidecar.loader import Loader, LoaderLimits
from sidecar.memory.file import SizesFile
from sidecar.memory.sizes import Sizes
from sidecar.memory.source import MemorySource
from sidecar.memory.watch import MemoryWatch
from sidecar.observability.events import Journal
from sidecar.observability.front_log import FrontLog
from sidecar.observability.metrics import Metrics
from sidecar.observability.page import StatusPage
from sidecar.observability.phases import Phases
from sidecar.observability.pressure_metrics import PressureMetrics
from sidecar.observability.top_tenants import TopTenants
from sidecar.observability.tracing import Tracing
from sidecar.observability.traffic import Traffic
from sidecar.observer import Before, Observer
from sidecar.presence import Presence
from sidecar.quarantine import Quarantine
from sidecar.recency import Recency
from sidecar.residency import Residency
from sidecar.sagemaker_api import SageMakerApi
from sidecar.sagemaker_invocations import Invocations
from sidecar.serving import Serving
from sidecar.settings import Settings
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


@dataclass(frozen=True, slots=True)
class Parts:
    """What a running sidecar holds: things to open and close, loops to run, and servers without a port yet."""

    disk: DiskTier
    presence: Presence
    guard: LoadGuard
    supply: Supply
    registry: CollectorRegistry
    recency: Recency[Before]
    updates: LiveUpdates
    warm: WarmStart
    usage: UsageFile | None
    sizes: SizesFile | None
    memory: MemoryWatch
    front_log: FrontLog | None
    admin: web.Application
    public: web.Application
    grpc: Any


def build_parts(settings: Settings, triton: TritonClient, tracing: Tracing) -> Parts:
    """Put the parts together.

    Raises:
        StoreError: the store's address cannot be used.
        BadKeysError: the file of API keys cannot be used.
    """
    policy = POLICIES[settings.policy](History())
    residency = Residency(settings.memory_budget, settings.pinned, policy, settings.minimum_residence)
    disk = DiskTier(settings.repository, settings.disk_budget, lambda tenant: residency.get(tenant) is not None)
    store = open_store(settings.store)

    registry, journal, changes = CollectorRegistry(), Journal(), Changes()
    phases = Phases(registry, tracing)
    metrics = Metrics(residency, journal, registry)
    traffic = Traffic(TopTenants(settings.top_tenants, lambda tenant: tenant in residency.pinned))
    registry.register(traffic)

    supply = Supply(Catalog(store), DropIns(store, disk), disk, phases)
    unloader = Unloader(residency, triton, changes, journal, metrics)
    sizes, queue = Sizes(), ColdQueue(settings.cold_queue)
    presence = Presence(settings.triton_patience)
    presence.subscribe(lambda: metrics.triton_answers(False))
    suspicions = settings.usage.with_name("quarantine.json") if settings.usage else None
    guard = LoadGuard(Quarantine(), presence, journal, suspicions)
    observer = Observer(residency, disk, unloader, journal, metrics, changes, presence, sizes)
    recency = Recency(triton, presence, observer.begin, observer.observe, metrics.triton_answers)
    limits = LoaderLimits(settings.parallel_loads, settings.load_deadline, settings.cold_deadline)
    loader = Loader(
        residency, supply, triton, recency, unloader, changes, journal, metrics, phases, sizes, guard, limits
    )
    updates = LiveUpdates(residency, supply, loader)
    source = MemorySource(settings.triton_grpc.port, settings.memory_limit)
    memory = MemoryWatch(source, settings.memory_marks, residency, supply, unloader, sizes, changes)
    registry.register(PressureMetrics(residency, memory, sizes, queue))

    usage = UsageFile(settings.usage, settings.policy, policy, recency) if settings.usage else None
    if usage:
        presence.subscribe(usage.save_soon)

    serving = Serving(residency, supply, loader, recency, metrics, phases, queue, presence)
    invocations = Invocations(serving, triton)
    public = build_app(serving, triton, tracing, settings.max_body)
    public.add_routes(SageMakerApi(invocations).routes())
    admin = AdminApi(
        residency, serving, loader, guard, recency, triton, invocations, updates, journal, metrics, settings.store
    )
    admin_app = admin.build_app(tracing, settings.max_body, settings.admin_token)
    admin_app.add_routes(StatusPage(residency, disk, supply, journal, metrics, traffic, recency).routes())
    admission = Admission(settings.limits)
    callers = Callers(settings.api_keys) if settings.api_keys else None
    return Parts(
        disk=disk,
        presence=presence,
        guard=guard,
        supply=supply,
        registry=registry,
        recency=recency,
        updates=updates,
        warm=WarmStart(residency, policy, loader, presence, settings.parallel_loads),
        usage=usage,
        sizes=SizesFile(settings.usage.with_name("sizes.json"), sizes) if settings.usage else None,
        memory=memory,
        front_log=FrontLog(settings.front_log, traffic) if settings.front_log else None,
        admin=admin_app,
        public=public,
        grpc=GrpcApi(serving, triton.channel, traffic, tracing, admission, callers, settings.max_body).build_server(),
    )
