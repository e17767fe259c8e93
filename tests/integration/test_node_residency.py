"""What is loaded, what is kept, what goes: a whole node under calls, with room for a few tenants only."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.integration.orchard import COLD_HEADER, Orchard, settings_for
from tests.models import train
from tools.eviction.named import PolicyName
from tools.node_parts import sidecar
from tools.stack import Node
from tools.supervisor import Supervisor

TENANTS = [f"t{number}" for number in range(6)]
ROOM_FOR = 3


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchard]:
    folder = tmp_path_factory.mktemp("residency")
    with Node(settings_for(folder, memory_budget=10**9, pinned=("pinned",))) as node:
        orchard = Orchard(folder, node)
        models = {tenant: train("binary:logistic", seed=number) for number, tenant in enumerate(TENANTS)}
        manifests = orchard.publish(pinned=train("reg:squarederror"), **models)
        size = max(manifest.resident_bytes for manifest in manifests.values())
    settings = settings_for(
        folder, memory_budget=int((ROOM_FOR + 1.5) * size), pinned=("pinned",), policy=PolicyName.LRU
    )
    with Node(settings) as node:
        orchard.node = node
        yield orchard


@pytest.fixture(autouse=True)
def empty(orchard: Orchard) -> None:
    for tenant in orchard.residents() - {"pinned"}:
        orchard.unload(tenant)


def test_pinned_tenants_are_resident_before_anyone_calls(orchard: Orchard) -> None:
    _until(lambda: "pinned" in orchard.residents())
    assert COLD_HEADER not in orchard.check("pinned").headers


def test_the_first_call_is_cold_and_says_so_and_the_next_is_warm(orchard: Orchard) -> None:
    assert orchard.check("t0").headers[COLD_HEADER] in ("fetch", "disk")
    assert COLD_HEADER not in orchard.check("t0").headers


def test_what_was_evicted_comes_back_from_disk(orchard: Orchard) -> None:
    orchard.check("t0")
    orchard.unload("t0")
    assert orchard.check("t0").headers[COLD_HEADER] == "disk"


def test_the_least_recently_called_goes_though_its_calls_never_passed_the_sidecar(orchard: Orchard) -> None:
    for tenant in ("t0", "t1", "t2"):
        orchard.check(tenant)
    time.sleep(0.01)
    orchard.check("t0")
    orchard.check("t3")
    assert orchard.residents() == {"pinned", "t0", "t2", "t3"}


def test_the_budget_holds_while_more_tenants_are_called_than_fit(orchard: Orchard) -> None:
    highest = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.wait(0.005):
            highest = max(highest, orchard.status()["held_bytes"])

    with ThreadPoolExecutor(8) as pool:
        watching = pool.submit(watch)
        list(pool.map(orchard.check, TENANTS * 6))
        done.set()
        watching.result()
    assert 0 < highest <= orchard.status()["budget_bytes"]
    assert "pinned" in orchard.residents()


def test_fifty_first_calls_at_once_cause_one_load(orchard: Orchard) -> None:
    before = orchard.loads()
    with ThreadPoolExecutor(50) as pool:
        responses = list(pool.map(lambda _: orchard.check("t4"), range(50)))
    assert len(responses) == 50
    assert orchard.loads() == before + 1


def test_calls_in_flight_while_their_tenant_is_evicted_all_succeed(orchard: Orchard) -> None:
    def call(number: int) -> None:
        orchard.check("t0", orchard.models["t0"].rows[:150])
        if number % 10 == 0:
            orchard.check(TENANTS[1 + number // 10 % 5])

    evictions = orchard.status()["evictions"]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(call, range(400)))
    for tenant in TENANTS[1:]:
        orchard.check(tenant)
    assert orchard.status()["evictions"] > evictions


def test_what_can_never_fit_is_a_507_that_says_what_to_do(orchard: Orchard) -> None:
    orchard.publish(large=train("binary:logistic", rounds=400, depth=9, learning_rate=0.01))
    orchard.check("t0")
    before = orchard.residents()
    response = orchard.ask("large")
    assert response.status_code == 507
    assert "raise the memory budget" in response.json()["error"]
    assert orchard.residents() == before


def test_metrics_add_up(orchard: Orchard) -> None:
    orchard.check("t0")
    orchard.check("t0")
    text = requests.get(f"{orchard.node.admin_url}/metrics", timeout=10).text
    metrics = {line.split(" ")[0]: float(line.split(" ")[1]) for line in text.splitlines() if not line.startswith("#")}
    status = orchard.status()
    assert metrics["orchard_budget_bytes"] == status["budget_bytes"]
    assert metrics["orchard_evictions_total"] == status["evictions"]
    assert metrics["orchard_requests_total"] >= metrics['orchard_cold_calls_total{origin="disk"}'] > 0
    assert metrics['orchard_models{state="resident"}'] == len(orchard.residents())


def test_a_killed_sidecar_is_not_noticed_by_resident_tenants_and_adopts_them_when_back(orchard: Orchard) -> None:
    orchard.check("t0")
    node = orchard.node
    before = {slot["tenant"]: slot for slot in orchard.status()["tenants"]}
    os.kill(node.pid("sidecar"), signal.SIGKILL)
    for _ in range(50):
        orchard.check("t0")
    with Supervisor([sidecar(node.log("sidecar"), node.settings, node.at)]):
        after = {slot["tenant"]: slot for slot in orchard.status()["tenants"]}
        assert after.keys() >= before.keys()
        assert after["t0"]["bytes"] == before["t0"]["bytes"]
        assert after["t0"]["last_used"] > before["t0"]["last_used"]
        assert COLD_HEADER not in orchard.check("t0").headers
        assert orchard.check("t5").headers[COLD_HEADER]


def _until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
