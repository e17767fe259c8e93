"""Cold starts of 45 MB models from S3 over a link of 75 MB/s, and from the disk tier of the same node.

The disk tier holds one of the two tenants, so each is fetched whenever the other was the last. Where the time goes is
told by the sidecar's histogram of phases, read before and after each start; the rest is the front and the way to it.
"""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.admin import Admin
from loadtests.bench.figures import Figure, at_most, figure
from loadtests.bench.setting import Bench, BenchError
from loadtests.bench.tenants import LARGE, MB
from loadtests.kserve import HttpCaller, binary_request
from loadtests.phases import phase_seconds, spent
from loadtests.s3_server import BUCKET, S3Server
from loadtests.slow_link import SlowLink
from tools.catalog.catalog import Catalog
from tools.catalog.live import LivePointer
from tools.catalog.store import NOT_CHANGED, open_store
from tools.catalog.tenant import TenantId
from tools.node_settings import NodeSettings
from tools.stack import Node

LINK_BYTES_PER_SECOND = 75e6
FETCH_TARGET_MS, DISK_TARGET_MS = 350.0, 130.0
STORE = f"s3://{BUCKET}/fleet"
STARTS_A_ROUND = 2
PHASES = {"fetch": ("look", "fetch", "place", "room", "load", "answer"), "disk": ("look", "verify", "load", "answer")}


@dataclass(frozen=True, slots=True)
class _Start:
    """One cold start: the seconds until its answer, and those of each phase."""

    seconds: float
    phases: dict[str, float]

    @property
    def rest(self) -> float:
        return self.seconds - sum(self.phases.values())


def measure(bench: Bench) -> list[Figure]:
    """First answers of tenants that are in S3 only, and of tenants that are on disk; where their time went."""
    home = bench.scratch / "cold-store"
    home.mkdir()
    with S3Server(home) as server:
        bench.say("publishing to S3")
        with server.found():
            pointers = _publish(bench)
        with SlowLink(server.port, LINK_BYTES_PER_SECOND) as link, server.found(link.url):
            speeds = [_download_speed(pointer) for pointer in pointers.values()]
            with _node(home, pointers) as node:
                starts = _measure(bench, node)
    bundle = [pointer.bundle_bytes / MB for pointer in pointers.values()]
    return [
        figure("bundle of a 45 MB model", "MB", bundle),
        figure("link to S3, one download", "MB/s", speeds),
        *_figures("from S3", starts["fetch"], PHASES["fetch"], FETCH_TARGET_MS),
        *_figures("from disk", starts["disk"], PHASES["disk"], DISK_TARGET_MS),
    ]


def _publish(bench: Bench) -> dict[TenantId, LivePointer]:
    catalog = Catalog(open_store(STORE))
    bundles = [next((bench.scratch / "bundles" / tenant).glob("*.tar.zst")) for tenant in LARGE.tenants]
    pointers = [catalog.publish(bundle).pointer for bundle in bundles]
    return {pointer.tenant: pointer for pointer in pointers}


def _download_speed(pointer: LivePointer) -> float:
    found = open_store(STORE).open(f"{pointer.tenant}/{pointer.version}.tar.zst")
    assert found is not None
    assert found is not NOT_CHANGED
    with found:
        start = time.perf_counter()
        size = 0
        while piece := found.read(MB):
            size += len(piece)
        return size / MB / (time.perf_counter() - start)


@contextlib.contextmanager
def _node(home: Path, pointers: dict[TenantId, LivePointer]) -> Iterator[Node]:
    largest = max(pointer.manifest.entry_bytes for pointer in pointers.values())
    settings = NodeSettings(
        store=STORE,
        state=home / "node",
        repository=home / "repository",
        http_port=0,
        grpc_port=0,
        admin_port=0,
        memory_budget="1GiB",
        disk_budget=int(1.5 * largest),
    )
    with Node(settings) as node:
        yield node


def _measure(bench: Bench, node: Node) -> dict[str, list[list[_Start]]]:
    admin, caller = Admin(node.at.admin), HttpCaller(node.at.http)
    starts: dict[str, list[list[_Start]]] = {"fetch": [], "disk": []}
    try:
        for number in range(bench.pace.rounds + 1):
            bench.say(f"45 MB from S3 and from disk, round {number} of {bench.pace.rounds}")
            for of_origin in starts.values():
                of_origin.append([])
            for tenant in LARGE.tenants[:STARTS_A_ROUND]:
                for origin, of_origin in starts.items():
                    of_origin[-1].append(_start(bench, admin, caller, tenant, origin))
    finally:
        caller.close()
    # The first round pays what a node pays once: connections, and pages for 45 MB.
    return {origin: of_origin[1:] for origin, of_origin in starts.items()}


def _start(bench: Bench, admin: Admin, caller: HttpCaller, tenant: TenantId, origin: str) -> _Start:
    request = binary_request(bench.references[tenant].rows[:1])
    before = phase_seconds(admin.metrics())
    start = time.perf_counter()
    answer = caller.send(tenant, request)
    seconds = time.perf_counter() - start
    phases = spent(before, phase_seconds(admin.metrics()))
    if answer.cold != origin:
        raise BenchError(f"{tenant} was to come from {origin}, and did not: it was {answer.cold or 'warm'}")
    bench.judge(tenant, answer.output)
    admin.unload(tenant)
    return _Start(seconds, phases)


def _figures(name: str, rounds: Sequence[Sequence[_Start]], phases: Sequence[str], target: float) -> list[Figure]:
    def milliseconds(of: Callable[[_Start], float]) -> list[float]:
        return [1e3 * statistics.median(of(start) for start in starts) for starts in rounds]

    return [
        figure(f"45 MB {name} p50", "ms", milliseconds(lambda start: start.seconds), at_most(target)),
        *(
            figure(f"45 MB {name}: {phase}", "ms", milliseconds(lambda start, phase=phase: start.phases[phase]))  # type: ignore[misc]
            for phase in phases
        ),
        figure(f"45 MB {name}: the rest", "ms", milliseconds(lambda start: start.rest)),
    ]
