"""A node soaked: half of the time everything at once, the other half everything but kills, and then the reckoning."""

import gc
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loadtests.admin import Admin
from loadtests.crowd import Crowd
from loadtests.kserve import HttpCaller, binary_request
from loadtests.models import Reference
from loadtests.pressure import ask
from loadtests.publishing import compile_all, publish_all
from loadtests.soak.actors import Callers, Mender, Troublemaker
from loadtests.soak.footprint import Footprint, Growth, files_below, leaks, processes_of
from loadtests.soak.ledger import Disruption, Ledger, Tally
from tools.catalog.catalog import Catalog
from tools.catalog.store import open_store
from tools.catalog.tenant import TenantId
from tools.node_settings import NodeSettings
from tools.stack import Node

PINNED = TenantId("pinned")
PARTS = ("triton", "sidecar", "nginx")
# Memory is given back and files of what was replaced are removed within the first; in a run of some minutes connections
# that are kept for the next call are waited for, too.
_SETTLE_SECONDS, _LONG_SETTLE_SECONDS, _LONG_MINUTES = 6.0, 30.0, 5.0
_CALLERS, _PAUSE = 4, 0.015
_UPDATE_INTERVAL, _UPDATED_SECONDS = 2.0, 30.0
# Of the memory that all tenants would need.
_ROOM = 0.4


@dataclass(frozen=True, slots=True)
class Soak:
    """What was seen. Footprints are of each part when nobody calls, before and after the half without kills."""

    minutes: float
    deeds: dict[str, int]
    tally: Tally
    disruptions: list[Disruption]
    before: dict[str, Footprint]
    after: dict[str, Footprint]
    own_before: Footprint
    own_after: Footprint
    files_before: dict[str, int]
    files_after: dict[str, int]
    temporary: list[str]
    left_running: dict[int, str]
    stale: list[str]
    budget: int
    most_held: int

    @property
    def broken(self) -> list[str]:
        """The promises that were not kept, in words."""
        promises = {
            "there were calls": self.tally.right > 0,
            "models stay within the budget": self.most_held <= self.budget,
            "every answer is right": not self.tally.wrong,
            "calls fail only while something is down, and politely": not self.tally.failed,
            "everybody gets the newest version in the end": not self.stale,
            "no temporary file stays behind": not self.temporary,
            "no process stays behind": not self.left_running,
            "nothing is left over on disk": all(
                count <= self.files_before.get(folder, 0) for folder, count in self.files_after.items()
            ),
        }
        broken = [promise for promise, kept in promises.items() if not kept]
        for part in self.before:
            broken += leaks(part, self.before[part], self.after[part], Growth())
        return broken + leaks("the one who runs it", self.own_before, self.own_after, Growth())

    def report(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self) | {"broken": self.broken}


def soak(
    scratch: Path, minutes: float, tenants: int = 12, versions: int = 4, say: Callable[[str], None] = lambda _: None
) -> Soak:
    """Soak a node of its own in `scratch` for so many minutes, beside what making ready takes."""
    names = [PINNED, *(TenantId(f"soak-{number:02}") for number in range(tenants))]
    crowd = Crowd(shapes=8)
    say("compiling")
    bundles, references = _versions(crowd, scratch, names, versions)
    store = str(scratch / "store")
    manifests = publish_all([bundles[name][0] for name in names], store)
    budget = int(_ROOM * sum(manifest.resident_bytes for manifest in manifests))
    settle = _LONG_SETTLE_SECONDS if minutes >= _LONG_MINUTES else _SETTLE_SECONDS
    ledger, catalog = Ledger(references), Catalog(open_store(store))
    with _temporary_files(scratch / "tmp"):
        own_before = Footprint.of(os.getpid())
        node = Node(_settings(scratch, store, budget))
        with node:
            trouble = Troublemaker(node, catalog, bundles, PINNED, crowd.rows, ledger, say)
            with Mender(node):
                with Callers(node.at.http, crowd.rows, names, PINNED, ledger, _CALLERS, _PAUSE):
                    trouble.run(30 * minutes, kills=True)
                before, files_before = _settled(node, crowd, names, scratch, settle, say)
                with Callers(node.at.http, crowd.rows, names, PINNED, ledger, _CALLERS, _PAUSE):
                    trouble.run(30 * minutes, kills=False)
                after, files_after = _settled(node, crowd, names, scratch, settle, say)
                stale = _stale(node, crowd, names, ledger)
        own_after = Footprint.of(os.getpid())
        temporary = [str(path) for path in sorted((scratch / "tmp").rglob("*"))]
    temporary += [str(path) for path in scratch.rglob("*.part")]
    return Soak(
        minutes=minutes,
        deeds=trouble.done,
        tally=ledger.close(),
        disruptions=ledger.disruptions,
        before=before,
        after=after,
        own_before=own_before,
        own_after=own_after,
        files_before=files_before,
        files_after=files_after,
        temporary=temporary,
        left_running=processes_of(scratch),
        stale=stale,
        budget=budget,
        most_held=trouble.most_held,
    )


def _versions(
    crowd: Crowd, scratch: Path, names: list[TenantId], versions: int
) -> tuple[dict[TenantId, list[Path]], dict[TenantId, list[Reference]]]:
    """Each tenant's bundles and XGBoost's answers, by version."""
    bundles: dict[TenantId, list[Path]] = {name: [] for name in names}
    references: dict[TenantId, list[Reference]] = {name: [] for name in names}
    for version in range(versions):
        numbers = {1_000 * version + index: name for index, name in enumerate(names)}
        folder = scratch / f"version-{version}"
        crowd.write(folder / "models", list(numbers), numbers.__getitem__)
        for bundle in compile_all(sorted((folder / "models").iterdir()), folder / "bundles"):
            bundles[TenantId(bundle.parent.name)].append(bundle)
        for number, name in numbers.items():
            references[name].append(crowd.reference(number))
    return bundles, references


def _settings(scratch: Path, store: str, budget: int) -> NodeSettings:
    return NodeSettings(
        store=store,
        state=scratch / "node",
        repository=scratch / "repository",
        http_port=0,
        grpc_port=0,
        admin_port=0,
        memory_budget=budget,
        pinned=(PINNED,),
        update_interval=_UPDATE_INTERVAL,
    )


def _settled(
    node: Node, crowd: Crowd, names: list[TenantId], scratch: Path, seconds: float, say: Callable[[str], None]
) -> tuple[dict[str, Footprint], dict[str, int]]:
    """What each part holds with only the pinned tenant in memory and everybody on disk, when all is quiet."""
    say("settling")
    caller, request = HttpCaller(node.at.http), binary_request(crowd.rows)
    for name in names:
        ask(caller, name, request)
    caller.close()
    admin = Admin(node.at.admin)
    for tenant in admin.status()["tenants"]:
        if tenant["tenant"] != PINNED and tenant["state"] == "resident":
            admin.unload(tenant["tenant"])
    time.sleep(seconds)
    files = files_below(scratch / "repository") + files_below(scratch / "node" / "nginx")
    return {part: Footprint.of(node.pid(part)) for part in PARTS}, dict(files)


def _stale(node: Node, crowd: Crowd, names: list[TenantId], ledger: Ledger) -> list[str]:
    """Who does not answer with the version published last, though everybody has had time to."""
    caller, request = HttpCaller(node.at.http), binary_request(crowd.rows)
    deadline = time.monotonic() + _UPDATED_SECONDS
    stale: list[str] = list(names)
    while stale and time.monotonic() < deadline:
        time.sleep(_UPDATE_INTERVAL)
        stale = [name for name in names if not ledger.is_newest(ask(caller, name, request))]
    caller.close()
    return stale


@contextmanager
def _temporary_files(folder: Path) -> Iterator[None]:
    """Have this process and those it starts put their temporary files into `folder`."""
    folder.mkdir()
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"], tempfile.tempdir = str(folder), None
    try:
        yield
    finally:
        gc.collect()
        tempfile.tempdir = None
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
