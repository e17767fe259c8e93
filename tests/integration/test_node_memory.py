"""Memory that is really short: more tenants called than fit, and a Triton that uses more than it may."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from loadtests.bench.processes import resident_bytes
from loadtests.crowd import Crowd
from loadtests.fraud_data import Floats
from loadtests.kserve import HttpCaller
from loadtests.models import Reference
from loadtests.pressure import Pressure
from loadtests.publishing import compile_all, publish_all
from loadtests.synthetic import SyntheticSpec
from loadtests.watch import Watch
from tests.integration.orchard import settings_for
from tools.catalog.tenant import TenantId
from tools.node_parts import sidecar
from tools.stack import Node
from tools.supervisor import Supervisor

PINNED = TenantId("pinned")
LARGE = 5_000_000  # bytes of a checkpoint
MB = 10**6


def publish_crowd(folder: Path, store: str, names: list[TenantId]) -> tuple[Floats, dict[TenantId, Reference], int]:
    """Small models, published; their rows, XGBoost's answers, and the bytes of the largest."""
    crowd = Crowd()
    crowd.write(folder / "models", range(len(names)), names.__getitem__)
    manifests = publish_all(compile_all(sorted((folder / "models").iterdir()), folder / "bundles"), store)
    references = {name: crowd.reference(number) for number, name in enumerate(names)}
    return crowd.rows, references, max(manifest.resident_bytes for manifest in manifests)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[TenantId, Reference]]:
    """A store with six models of `LARGE` bytes, and XGBoost's answers."""
    folder, references = tmp_path_factory.mktemp("large"), {}
    (folder / "models").mkdir()
    for number in range(6):
        name = TenantId(f"large-{number}")
        made = SyntheticSpec(name, LARGE, number).make()
        (folder / "models" / f"{name}.ubj").write_bytes(made.ubj)
        references[name] = made.reference
    store = str(folder / "store")
    publish_all(compile_all(sorted((folder / "models").iterdir()), folder / "bundles"), store)
    return store, references


def test_under_thrashing_every_call_is_answered_right_or_politely_refused_and_pins_are_always_answered(
    tmp_path: Path,
) -> None:
    names = [PINNED, *(TenantId(f"t{number:02}") for number in range(16))]
    settings = settings_for(tmp_path, pinned=(PINNED,), parallel_loads=2)
    rows, references, size = publish_crowd(tmp_path, settings.store, names)

    def choose(draw: random.Random) -> TenantId:
        return PINNED if draw.random() < 0.2 else draw.choice(names)

    with Node(replace(settings, memory_budget=5 * size)) as node:
        _until(lambda: PINNED in _residents(node))
        with Watch(node) as watch, Pressure(node.at.http, rows, choose, threads=12) as pressure:
            time.sleep(3.0)
        metrics = _metrics(node)

    replies = pressure.replies
    assert metrics["orchard_evictions_total"] > 5, "it did not thrash"
    assert watch.most_held <= 5 * size
    assert {reply.status for reply in replies} <= {200, 503}, Counter(reply.error for reply in replies)
    assert all(reply.retry_after for reply in replies if reply.status == 503)
    assert {reply.status for reply in replies if reply.tenant == PINNED} == {200}
    wrong = [
        reply for reply in replies if reply.output is not None if not _agrees(references, reply.tenant, reply.output)
    ]
    assert wrong == []


def test_a_triton_that_uses_more_than_it_may_has_models_evicted_until_it_does_not(
    large: tuple[str, dict[TenantId, Reference]], tmp_path: Path
) -> None:
    store, references = large
    settings = settings_for(tmp_path, store=store, memory_budget="60MB", pinned=("large-0",))
    with Node(settings) as node:
        _until(lambda: "large-0" in _residents(node))
        time.sleep(3.0)
        one = resident_bytes(node.pid("triton"))
        _call_each(node, references)
        _until(lambda: len(_residents(node)) == 6)
        time.sleep(3.0)  # until what loading took beside the models is given back
        all_six = resident_bytes(node.pid("triton"))
        assert _metrics(node)["orchard_ceiling_bytes"] == 60 * MB
        assert _metrics(node)['orchard_memory_used_bytes{by="measure"}'] > 0

        # The marks are moved to where it is above the high one: at two models less than it uses.
        _stop_sidecar(node)
        high = all_six - (all_six - one) * 2 // 5
        low = all_six - (all_six - one) * 3 // 5
        limit = int(high / 0.9)
        short = replace(settings, memory_limit=limit, memory_high="90%", memory_low=f"{100 * low // limit}%")
        with Supervisor([sidecar(node.log("sidecar"), short, node.at)]):
            _until(lambda: _metrics(node)['orchard_departures_total{cause="shed"}'] >= 2, 30)
            metrics = _metrics(node)
            assert metrics["orchard_ceiling_bytes"] < metrics["orchard_budget_bytes"]
            residents = _residents(node)
            assert "large-0" in residents
            assert len(residents) < 6
            assert "memory is short" in node.log("sidecar").read_text()
            _call_each(node, references)


def test_what_a_load_really_added_corrects_what_it_counts_as_and_is_kept_across_restarts(
    large: tuple[str, dict[TenantId, Reference]], tmp_path: Path
) -> None:
    store, references = large
    settings = settings_for(tmp_path, store=store)
    first, second, *_ = ({name: reference} for name, reference in references.items())
    with Node(settings) as node:
        _call_each(node, first)
        time.sleep(5.0)  # what it holds is known, and what the first one added beside itself is no news
        _call_each(node, second)
        reckoned = _metrics(node)["orchard_held_bytes"]
        _until(lambda: _metrics(node)["orchard_held_bytes"] != reckoned, 30)
        corrected = _metrics(node)["orchard_held_bytes"]
        assert 0.5 * reckoned <= corrected <= 1.5 * reckoned
        _stop_sidecar(node)
        with Supervisor([sidecar(node.log("sidecar"), settings, node.at)]):
            assert abs(_metrics(node)["orchard_held_bytes"] - corrected) < 0.01 * corrected


def _agrees(references: dict[TenantId, Reference], tenant: TenantId, output: Floats) -> bool:
    return references[tenant].agrees(0, output)


def _call_each(node: Node, references: dict[TenantId, Reference]) -> None:
    caller = HttpCaller(node.at.http)
    for tenant, reference in references.items():
        assert reference.agrees(0, caller.infer(tenant, reference.rows[:3]).output)
    caller.close()


def _stop_sidecar(node: Node) -> None:
    """With SIGTERM, at which it writes down what it knows. Nobody starts it again."""
    pid = node.pid("sidecar")
    os.kill(pid, signal.SIGTERM)
    _until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")


def _residents(node: Node) -> set[str]:
    status = requests.get(f"{node.admin_url}/status", timeout=10).json()
    return {slot["tenant"] for slot in status["tenants"] if slot["state"] == "resident"}


def _metrics(node: Node) -> dict[str, float]:
    text = requests.get(f"{node.admin_url}/metrics", timeout=10).text
    return {
        sample.name + "".join(f'{{{name}="{value}"}}' for name, value in sample.labels.items()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if len(sample.labels) < 2
    }


def _until(holds: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
