"""One run of the demo: train a fleet, compile, prove, publish and serve it, and check every answer."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.admin import Admin
from loadtests.demo.screen import Screen, Step
from loadtests.fleets import (
    FLEETS_FOLDER,
    Fleet,
    FraudTenants,
    fraud_specs,
    newcomer_spec,
    real_data_specs,
    train_fleet,
)
from loadtests.kserve import Caller, GrpcCaller, HttpCaller
from loadtests.models import Spec
from loadtests.publishing import compile_all, publish_all
from loadtests.replay import Outcome, Verdict, make_call, replay
from loadtests.summary import ReplaySummary, summarise
from loadtests.traffic import Call, Share, calls, fraud_shares
from tools.catalog.manifest import Manifest
from tools.node_settings import NodeSettings
from tools.stack import Node

HTTP_CLIENTS = 4
REAL_DATA_WEIGHT = 1.0
NEWCOMER_CALLS = 40


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """`resident` is about how many of the tenants the memory budget holds."""

    tenants: FraudTenants
    requests: int
    seed: int
    resident: int


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the callers saw, and what the node says of itself (its admin port's status)."""

    summary: ReplaySummary
    status: dict[str, Any]


class Demo:
    """One run of the demo in the empty folder `scratch`; trained models are kept in `fleets`."""

    def __init__(self, settings: DemoSettings, screen: Screen, scratch: Path, fleets: Path = FLEETS_FOLDER) -> None:
        self._settings = settings
        self._screen = screen
        self._scratch = scratch
        self._fleets = fleets
        self._store = scratch / "store"

    def run(self) -> DemoResult:
        """All steps, in order."""
        specs: list[Spec] = [*fraud_specs(self._settings.tenants), *real_data_specs()]
        fleet = self._train(specs)
        manifests = self._compile_and_publish(fleet)
        budget = budget_for(manifests, self._settings.resident)
        node = Node(
            NodeSettings(
                store=str(self._store),
                state=self._scratch / "node",
                repository=self._scratch / "repository",
                http_port=0,
                grpc_port=0,
                admin_port=0,
                memory_budget=budget,
            )
        )
        with contextlib.ExitStack() as running:
            with self._screen.step("Start Triton, the sidecar and nginx") as step:
                running.enter_context(node)
                room = f"room for about {self._settings.resident} of {len(manifests)} tenants"
                step.done(f"{budget / 1e6:.0f} MB for models, {room}")
            outcomes = self._serve(node, fleet)
            return DemoResult(summarise(outcomes), Admin(node.at.admin).status())

    def _train(self, specs: Sequence[Spec]) -> Fleet:
        with self._screen.step("Train with XGBoost", len(specs)) as step:
            fleet = train_fleet(specs, self._fleets, lambda _: step.advance())
            step.done(f"{len(specs)} models, {_megabytes(fleet.models.glob('*.ubj'))}")
        return fleet

    def _compile_and_publish(self, fleet: Fleet) -> list[Manifest]:
        models = [fleet.model(tenant) for tenant in fleet.references]
        with self._screen.step("Compile, and prove each against XGBoost", len(models)) as step:
            bundles = compile_all(models, self._scratch / "bundles", step.advance)
            step.done(f"{len(bundles)} proved")
        with self._screen.step("Publish", len(bundles)) as step:
            manifests = publish_all(bundles, str(self._store), step.advance)
            step.done(f"{_megabytes(bundles)} in a folder store")
        return manifests

    def _serve(self, node: Node, fleet: Fleet) -> list[Outcome]:
        callers: list[Caller] = [*(HttpCaller(node.at.http) for _ in range(HTTP_CLIENTS)), GrpcCaller(node.at.grpc)]
        title = f"Call it with {len(callers)} clients"
        try:
            with self._screen.step(title, self._settings.requests) as step:
                outcomes = self._replay_with_newcomer(node, fleet, callers, step)
                step.done(f"{len(outcomes):,} requests")
        finally:
            for caller in callers:
                caller.close()
        return outcomes

    def _replay_with_newcomer(self, node: Node, fleet: Fleet, callers: Sequence[Caller], step: Step) -> list[Outcome]:
        """Replay traffic; when half is done add a merchant, and go on at least until he has been served."""
        wanted = self._settings.requests
        halfway, joined, abandoned = threading.Event(), threading.Event(), threading.Event()
        done = 0

        def enough(begun: int) -> bool:
            return abandoned.is_set() or (begun >= wanted and joined.is_set())

        def count(outcome: Outcome) -> None:
            nonlocal done
            done += 1
            if done <= wanted:
                step.advance()
            if done >= wanted // 2:
                halfway.set()

        traffic = self._traffic(fleet)
        with ThreadPoolExecutor(1) as background:
            replaying = background.submit(replay, callers, traffic, fleet.references, enough, count)
            try:
                while not halfway.wait(timeout=0.2):
                    if replaying.done():
                        break
                arrivals = self._add_newcomer(node, step)
                joined.set()
                return [*replaying.result(), *arrivals]
            finally:
                abandoned.set()

    def _traffic(self, fleet: Fleet) -> Iterator[Call]:
        real = [spec.tenant for spec in real_data_specs()]
        shares = [*fraud_shares(self._settings.tenants), Share(real, REAL_DATA_WEIGHT)]
        rows_of = {tenant: len(reference.rows) for tenant, reference in fleet.references.items()}
        return calls(shares, rows_of, self._settings.seed)

    def _add_newcomer(self, node: Node, step: Step) -> list[Outcome]:
        """Train, compile and publish one more merchant while the others are served, and call it."""
        spec = newcomer_spec()
        started = time.monotonic()
        fleet = train_fleet([spec], self._scratch / "newcomer")
        trained = time.monotonic()
        publish_all(compile_all([fleet.model(spec.tenant)], self._scratch / "bundles"), str(self._store))
        published = time.monotonic()
        reference = fleet.references[spec.tenant]
        caller = HttpCaller(node.at.http)
        try:
            outcomes = [make_call(caller, Call(spec.tenant, first, 1), reference) for first in range(NEWCOMER_CALLS)]
        finally:
            caller.close()
        right = sum(outcome.verdict is Verdict.RIGHT for outcome in outcomes)
        step.say(
            f"meanwhile {spec.tenant} joined: trained in {trained - started:.1f} s, compiled, proved and published in "
            f"{published - trained:.1f} s, first answer {outcomes[0].seconds * 1e3:.0f} ms after the first call, "
            f"{right} of {len(outcomes)} right"
        )
        return outcomes


def budget_for(manifests: Sequence[Manifest], resident: int) -> int:
    """Bytes that hold `resident` tenants of average size, and the largest tenant in any case."""
    sizes = [manifest.resident_bytes for manifest in manifests]
    return max(max(sizes), round(sum(sizes) / len(sizes) * resident))


def _megabytes(files: Iterator[Path] | Sequence[Path]) -> str:
    return f"{sum(file.stat().st_size for file in files) / 1e6:.1f} MB"
