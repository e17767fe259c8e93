"""One trace, foretold and made: the hit ratios of `orchard plan`'s replay and of a node."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from loadtests.admin import Admin
from loadtests.fleets import Fleet
from loadtests.kserve import HttpCaller, binary_request
from loadtests.publishing import compile_all, publish_all
from loadtests.synthetic import SyntheticSpec
from tools.catalog.tenant import TenantId
from tools.eviction.history import History
from tools.eviction.named import POLICIES, PolicyName
from tools.node_settings import NodeSettings
from tools.plan.replay import Replay, replay
from tools.plan.trace import TenantClass, Trace, independent, joined, sessions
from tools.stack import Node

SETTLED_SECONDS = 60.0
_LARGE_EVERY = 5
_SMALL_BYTES, _LARGE_BYTES = 10_000, 500_000
# Here an hour's calls pass in seconds. Two of them would spare a model for as long as most of its neighbours live.
_MINIMUM_RESIDENCE = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The share of the calls after the warm-up that found their tenant resident: as foretold, and as it was."""

    trace: str
    budget: int
    policy: PolicyName
    foretold: float
    measured: float

    @property
    def error(self) -> float:
        """How far the forecast was off, as a share of the calls."""
        return abs(self.foretold - self.measured)


@dataclass(frozen=True, slots=True)
class Stage:
    """Published tenants that nodes can be started for. `sizes` is resident bytes by tenant."""

    folder: Path
    store: str
    sizes: Mapping[TenantId, int]
    fleet: Fleet

    def with_sizes(self, trace: Trace) -> Trace:
        """The trace with the sizes of the published models."""
        return replace(trace, sizes=np.array([self.sizes[tenant] for tenant in trace.tenants], np.int64))

    @contextmanager
    def node(self, name: str, budget: int, policy: PolicyName) -> Iterator[Node]:
        """A node that remembers what an earlier one of the same name did."""
        settings = NodeSettings(
            store=self.store,
            state=self.folder / name,
            repository=self.folder / "repository",
            http_port=0,
            grpc_port=0,
            admin_port=0,
            memory_budget=budget,
            policy=policy,
            minimum_residence=_MINIMUM_RESIDENCE,
            access_log=True,
        )
        with Node(settings) as node:
            yield node


def specs(tenants: int) -> list[SyntheticSpec]:
    """Small models for `tenants` tenants, every fifth of them larger than the others."""
    names = independent((TenantClass(tenants, 1.0),), 1, 0).tenants
    return [
        SyntheticSpec(name, _SMALL_BYTES if number % _LARGE_EVERY else _LARGE_BYTES, number)
        for number, name in enumerate(names)
    ]


def prepare(fleet: Fleet, folder: Path, on_published: Callable[[], None] = lambda: None) -> Stage:
    """Compile and publish the fleet to a store in `folder`."""
    store = str(folder / "store")
    bundles = compile_all([fleet.model(tenant) for tenant in fleet.references], folder / "bundles", on_published)
    sizes = {manifest.tenant: manifest.resident_bytes for manifest in publish_all(bundles, store)}
    return Stage(folder, store, sizes, fleet)


def traces(tenants: int, calls: int) -> dict[str, Trace]:
    """The churn mix among `tenants` tenants: independent calls, sessions, and first the one and then the other."""
    classes = tuple(
        TenantClass(round(part * tenants), share) for part, share in ((1 / 8, 0.60), (3 / 8, 0.25), (1 / 2, 0.15))
    )
    open_at_once = tenants / 40
    return {
        "independent": independent(classes, calls, 1),
        "sessions": sessions(classes, calls, 2, at_once=open_at_once),
        "changing": joined(
            independent(classes, calls // 2, 3), sessions(classes, calls - calls // 2, 4, at_once=open_at_once)
        ),
    }


def check(stage: Stage, name: str, trace: Trace, share: float, policy: PolicyName, warm_up: int) -> Outcome:
    """Replay a trace, then make its calls to a fresh node whose budget is `share` of what all tenants need."""
    budget = int(share * trace.sizes.sum())
    foretold = _replay(trace, budget, policy, warm_up)
    with stage.node(f"{name}-{policy}-{share}", budget, policy) as node:
        hits = make_calls(stage, node, trace)
    return Outcome(name, budget, policy, foretold.hit_ratio, sum(hits[warm_up:]) / len(hits[warm_up:]))


@dataclass(frozen=True, slots=True)
class Restart:
    """Hit ratios of as many calls before a restart as after it.

    `unbroken` is what replay foretells of the calls after it for a node that is not restarted; `seconds` is how long
    the restart took, warm start included.
    """

    before: float
    after: float
    unbroken: float
    loaded: int
    seconds: float


def check_restart(stage: Stage, trace: Trace, share: float, policy: PolicyName, after: int) -> Restart:
    """Stop a node `after` calls before the trace's end, start it again, and let it warm up."""
    budget = int(share * trace.sizes.sum())
    first, last = _split(trace, len(trace.calls) - after)
    with stage.node(f"restart-{policy}", budget, policy) as node:
        before = make_calls(stage, node, first)
    began = time.monotonic()
    with stage.node(f"restart-{policy}", budget, policy) as node:
        loaded = _settle(node)
        seconds = time.monotonic() - began
        hits = make_calls(stage, node, last)
    unbroken = _replay(trace, budget, policy, len(trace.calls) - after).hit_ratio
    return Restart(sum(before[-after:]) / after, sum(hits) / after, unbroken, loaded, seconds)


def _replay(trace: Trace, budget: int, policy: PolicyName, warm_up: int) -> Replay:
    return replay(trace, budget, POLICIES[policy](History()), warm_up, minimum_residence=_MINIMUM_RESIDENCE)


def make_calls(stage: Stage, node: Node, trace: Trace) -> list[bool]:
    """Make the calls one after the other; whether each found its tenant resident. Raises `CallFailedError`."""
    requests = {tenant: binary_request(stage.fleet.references[tenant].rows[:1]) for tenant in trace.tenants}
    caller = HttpCaller(node.at.http)
    try:
        names = (trace.tenants[tenant] for tenant in trace.calls.tolist())
        return [not caller.send(tenant, requests[tenant]).cold for tenant in names]
    finally:
        caller.close()


def _split(trace: Trace, at: int) -> tuple[Trace, Trace]:
    parts = (slice(None, at), slice(at, None))
    first, last = (replace(trace, calls=trace.calls[part], times=trace.times[part]) for part in parts)
    return first, last


def _settle(node: Node) -> int:
    """Wait until the warm start is over; how many tenants it loaded."""
    admin = Admin(node.at.admin)
    deadline = time.monotonic() + SETTLED_SECONDS
    loaded = -1
    while (now := int(admin.status()["loads"])) != loaded or not now:
        assert time.monotonic() < deadline, "the warm start did not end"
        loaded = now
        time.sleep(1.0)
    return loaded
