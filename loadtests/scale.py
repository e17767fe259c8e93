"""`python -m loadtests.scale`: thousands of tenants pushed to an S3 server from a folder, and each served cold.

Every answer is held against XGBoost's. The server's own log says what it was asked. The budgets hold a part of the
tenants, so memory and disk evict all the time.
"""

import json
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from loadtests.admin import Admin
from loadtests.crowd import ROWS, Crowd
from loadtests.kserve import HttpCaller
from loadtests.models import Reference
from loadtests.phases import phase_seconds, spent
from loadtests.replay import Outcome, replay
from loadtests.s3_server import BUCKET, S3Server
from loadtests.scratch import scratch_folder
from loadtests.summary import Latency, summarise
from loadtests.traffic import Call
from loadtests.watch import Watch
from tools.catalog.catalog import Catalog
from tools.catalog.manifest import Manifest
from tools.catalog.overview import tenant_state
from tools.catalog.store import open_store
from tools.catalog.tenant import TenantId
from tools.node_settings import NodeSettings
from tools.stack import Node

STORE = f"s3://{BUCKET}/crowd"
MEMORY_SHARE, DISK_SHARE = 0.05, 0.75
AGAIN = 500
CALLERS = 2
TENTHS = 10


@dataclass(frozen=True, slots=True)
class Scale:
    """What was seen. Times are in seconds, latencies in milliseconds, sizes in bytes."""

    tenants: int
    published: int
    push_seconds: float
    push_again_seconds: float
    published_again: int
    from_s3: Latency
    from_disk: Latency
    room_first_ms: float
    room_last_ms: float
    evictions: int
    wrong: int
    failed: int
    complaints: tuple[str, ...]
    requests: dict[str, int]
    most_held: int
    memory_budget: int
    most_on_disk: int
    disk_budget: int
    entries_on_disk: int

    @property
    def broken(self) -> list[str]:
        """The promises that were not kept, in words."""
        promises = {
            "every model is published": self.published == self.tenants,
            "a second push publishes nothing": self.published_again == 0,
            "every tenant is served cold": self.from_s3.calls >= self.tenants,
            "every answer is right": not self.wrong,
            "every request is answered": not self.failed,
            "the request path lists nothing": not self.requests.get("LIST"),
            "the request path writes nothing": set(self.requests) <= {"GET", "HEAD", "LIST"},
            "the memory budget is kept": self.most_held <= self.memory_budget,
            "the disk budget is kept": self.most_on_disk <= self.disk_budget,
        }
        return [promise for promise, kept in promises.items() if not kept]


def prove(tenants: int, scratch: Path, say: Callable[[str], None]) -> Scale:
    """Push, push again, serve each tenant cold from S3 in random order, then some again from disk."""
    crowd = Crowd()
    models, numbers = scratch / "models", range(tenants)
    say(f"making {tenants:,} models")
    crowd.write(models, numbers, _name)
    (scratch / "s3").mkdir()
    with S3Server(scratch / "s3") as server, server.found():
        say("pushing them to S3")
        published, push_seconds = _push(models)
        say("pushing them again")
        published_again, push_again_seconds = _push(models)
        manifests = _manifests([_name(number) for number in numbers])
        memory_budget = int(MEMORY_SHARE * sum(manifest.resident_bytes for manifest in manifests))
        disk_budget = int(DISK_SHARE * sum(manifest.entry_bytes for manifest in manifests))
        server.forget_requests()
        settings = NodeSettings(
            store=STORE,
            state=scratch / "node",
            repository=scratch / "repository",
            http_port=0,
            grpc_port=0,
            admin_port=0,
            memory_budget=memory_budget,
            disk_budget=disk_budget,
        )
        say("computing XGBoost's answers")
        references = {_name(number): crowd.reference(number) for number in numbers}
        with Node(settings) as node, Watch(node) as watch:
            say("serving each of them cold from S3")
            order = random.Random(1).sample(sorted(references), tenants)
            admin = Admin(node.at.admin)
            outcomes, rooms = list[Outcome](), list[float]()
            for part in np.array_split(np.array(order), TENTHS):
                before = phase_seconds(admin.metrics())
                outcomes += _ask_each(node, list(part), references)
                rooms.append(1e3 * spent(before, phase_seconds(admin.metrics()))["room"] / len(part))
            say("serving some of them again, from disk")
            # Too long ago to be in memory still, and not so long as to have left the disk.
            recent = order[tenants // 2 : tenants // 2 + min(AGAIN, tenants // 4)]
            again = _ask_each(node, recent, references)
            status = admin.status()
        requests = Counter(request.verb for request in server.requests())
    every = summarise([*outcomes, *again])
    return Scale(
        tenants=tenants,
        published=published,
        push_seconds=push_seconds,
        push_again_seconds=push_again_seconds,
        published_again=published_again,
        from_s3=Latency.of([outcome.seconds for outcome in outcomes if outcome.cold == "fetch"]),
        from_disk=Latency.of([outcome.seconds for outcome in again if outcome.cold == "disk"]),
        # Of the second tenth, because memory is not full yet in the first.
        room_first_ms=rooms[1],
        room_last_ms=statistics.median(rooms[-2:]),
        evictions=status["evictions"],
        wrong=every.wrong,
        failed=every.failed,
        complaints=every.complaints,
        requests=dict(requests),
        most_held=watch.most_held,
        memory_budget=memory_budget,
        most_on_disk=watch.most_on_disk,
        disk_budget=disk_budget,
        entries_on_disk=watch.entries,
    )


def _name(number: int) -> TenantId:
    return TenantId(f"tenant-{number:05}")


def _push(models: Path) -> tuple[int, float]:
    """Run `orchard push-folder`; returns how many models it published, and its seconds."""
    began = time.monotonic()
    command = [str(Path(sys.executable).with_name("orchard")), "push-folder", str(models), "--store", STORE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if done.returncode != 0:
        raise RuntimeError(
            f"orchard push-folder ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}"
        )
    return int(done.stdout.rpartition(" published to")[0].split()[-1]), seconds


def _manifests(tenants: Sequence[TenantId]) -> list[Manifest]:
    catalog = Catalog(open_store(STORE))
    pointers = [tenant_state(catalog, tenant).pointer for tenant in tenants]
    return [pointer.manifest for pointer in pointers if pointer is not None]


def _ask_each(node: Node, tenants: Sequence[TenantId], references: Mapping[TenantId, Reference]) -> list[Outcome]:
    """One call to each tenant, in this order, by `CALLERS` clients."""
    callers = [HttpCaller(node.at.http) for _ in range(CALLERS)]
    calls = (Call(tenant, first=0, rows=ROWS) for tenant in tenants)
    try:
        return replay(callers, calls, references, lambda begun: begun == len(tenants))
    finally:
        for caller in callers:
            caller.close()


def main(
    tenants: Annotated[int, typer.Option(min=20, help="How many.")] = 4_000,
    output: Annotated[Path, typer.Option(help="Where the JSON report goes.")] = Path("reports/scale.json"),
) -> None:
    """Push thousands of models to an S3 server, serve each cold, and count what the server was asked."""
    console = Console(highlight=False)
    with console.status("starting") as status, scratch_folder("scale") as scratch:
        scale = prove(tenants, scratch, status.update)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(asdict(scale), indent=1) + "\n")
    console.print(_table(scale))
    for complaint in scale.complaints:
        console.print(f"  {complaint}", markup=False)
    for promise in scale.broken:
        console.print(f"[bold red]Not kept:[/] {promise}")
    console.print(f"Written to {output}")
    raise typer.Exit(1 if scale.broken else 0)


def _table(scale: Scale) -> Table:
    rate = scale.published / scale.push_seconds
    asked = ", ".join(f"{count:,} {verb}" for verb, count in sorted(scale.requests.items()))
    table = Table(box=box.SIMPLE, pad_edge=False, show_header=False)
    for name, value in {
        "published": f"{scale.published:,} in {scale.push_seconds:.0f} s, {rate:.1f} a second",
        "pushed again": f"{scale.published_again:,} published, {scale.push_again_seconds:.1f} s",
        "cold from S3": _latency(scale.from_s3),
        "cold from disk": _latency(scale.from_disk),
        "wrong answers": f"{scale.wrong}",
        "failed requests": f"{scale.failed}",
        "asked of the S3 server": f"{asked}, {scale.requests.get('LIST', 0)} LIST",
        "evictions from memory": f"{scale.evictions:,}",
        "waiting for room, mean": f"{scale.room_first_ms:.1f} ms at first, {scale.room_last_ms:.1f} ms at the end",
        "memory, most": f"{scale.most_held / 2**20:.1f} of {scale.memory_budget / 2**20:.1f} MiB",
        "disk, most": f"{scale.most_on_disk / 2**20:.1f} of {scale.disk_budget / 2**20:.1f} MiB",
        "entries on disk": f"{scale.entries_on_disk:,}",
    }.items():
        table.add_row(name, value)
    return table


def _latency(latency: Latency) -> str:
    return f"{latency.calls:,} calls, p50 {latency.p50:.0f} ms, p95 {latency.p95:.0f} ms, p99 {latency.p99:.0f} ms"


if __name__ == "__main__":
    typer.run(main)
