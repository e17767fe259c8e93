"""What every measurement is given: a running node, a Triton with nothing around it, and the right answers."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import tritonclient.grpc
from numpy.typing import NDArray

from loadtests.admin import Admin
from loadtests.bench.tenants import SIZES
from loadtests.fleets import Fleet, train_fleet
from loadtests.kserve import HttpCaller
from loadtests.models import Reference
from loadtests.publishing import compile_all, publish_all
from tools.access.limits import Limit, Limits
from tools.catalog.catalog import Catalog
from tools.catalog.store import NOT_CHANGED, open_store
from tools.catalog.tenant import TenantId
from tools.node_parts import triton
from tools.node_settings import NodeSettings
from tools.ports import free_ports
from tools.stack import Node
from tools.supervisor import Supervisor

UNLOAD_SECONDS = 30.0


class BenchError(Exception):
    """Something is wrong with what is measured: a wrong answer, or a tenant in a state it must not be in."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to measure: rounds of each measurement, and seconds of each load."""

    rounds: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Bench:
    """`say` shows what is being done. Addresses are host:port."""

    node: Node
    alone: "TritonAlone"
    admin: Admin
    references: Mapping[TenantId, Reference]
    scratch: Path
    pace: Pace
    say: Callable[[str], None]

    def check(self, address: str, tenant: TenantId) -> None:
        """Ask `address` about some of the tenant's rows. Raises `BenchError` if the answer is wrong."""
        caller = HttpCaller(address)
        try:
            self.judge(tenant, caller.infer(tenant, self.references[tenant].rows[:8]).output)
        finally:
            caller.close()

    def judge(self, tenant: TenantId, answer: NDArray[np.float32]) -> None:
        """Hold an answer about the tenant's first rows against XGBoost's. Raises `BenchError`."""
        if not self.references[tenant].agrees(0, answer):
            raise BenchError(f"a wrong answer from {tenant}: {answer.tolist()}")


class TritonAlone:
    """A Triton that nobody but the benchmark controls, with entries of its own in `repository`."""

    def __init__(self, repository: Path, log: Path) -> None:
        self.http, self._grpc = (f"127.0.0.1:{port}" for port in free_ports(2))
        self._supervisor = Supervisor([triton(log, repository, self.http, self._grpc)])

    def __enter__(self) -> Self:
        self._supervisor.start()
        self._control = tritonclient.grpc.InferenceServerClient(self._grpc)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._control.close()
        self._supervisor.stop()

    def load(self, tenant: TenantId) -> None:
        self._control.load_model(tenant)

    def unload(self, tenant: TenantId) -> None:
        """Unload and wait until the memory is free: UnloadModel itself returns before that."""
        self._control.unload_model(tenant)
        deadline = time.monotonic() + UNLOAD_SECONDS
        while self._state(tenant) != ("UNAVAILABLE", "unloaded"):
            if time.monotonic() > deadline:
                raise BenchError(f"Triton did not unload {tenant} in {UNLOAD_SECONDS:.0f} s")
            time.sleep(0.002)

    def _state(self, tenant: TenantId) -> tuple[str, str]:
        for model in self._control.get_model_repository_index().models:
            if model.name == tenant:
                return model.state, model.reason
        return "", ""


@contextlib.contextmanager
def prepared(home: Path, scratch: Path, pace: Pace, say: Callable[[str], None]) -> Iterator[Bench]:
    """Make the models, compile and publish them, and start both servers; `home` keeps the trained models."""
    say("making models of 185 KB, 1 MB and 45 MB")
    fleet = train_fleet([spec for size in SIZES for spec in size.specs], home)
    store, entries = scratch / "store", scratch / "entries"
    say("compiling and proving them")
    _publish(fleet, scratch / "bundles", store)
    _lay_out(store, fleet, entries)
    say("starting a node, and a Triton alone")
    settings = NodeSettings(
        store=str(store),
        state=scratch / "node",
        repository=scratch / "repository",
        http_port=0,
        grpc_port=0,
        admin_port=0,
        memory_budget="2GiB",
        # Out of reach of one tenant that is asked as fast as it answers, but counted as ever.
        limits=Limits(Limit(rate=1_000_000, burst=1_000_000, concurrency=10_000)),
    )
    with Node(settings) as node, TritonAlone(entries, scratch / "triton-alone.log") as alone:
        yield Bench(node, alone, Admin(node.at.admin), fleet.references, scratch, pace, say)


def _publish(fleet: Fleet, bundles: Path, store: Path) -> None:
    models = [fleet.model(tenant) for tenant in fleet.references]
    publish_all(compile_all(models, bundles), str(store))


def _lay_out(store: Path, fleet: Fleet, entries: Path) -> None:
    catalog = Catalog(open_store(str(store)))
    for tenant in fleet.references:
        live = catalog.live(tenant)
        assert live is not NOT_CHANGED
        folder = entries / tenant
        folder.mkdir(parents=True)
        catalog.fetch(live.pointer, folder)
