"""Tenants that move between pools while calls arrive, and pools that die."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from typer.testing import CliRunner

from tests.integration.fleets import address, calling, describe, kill_node, residents, running_fleet
from tests.integration.orchard import publish, settings_for
from tests.models import Trained, train
from tools.cli import app
from tools.fleet.description import read_fleet, write_fleet
from tools.fleet.running import Fleet

TENANTS = ["m1", "m2", "m3", "m4"]
POOLS = {"shared": {"memory_budget": "64MiB"}, "whales": {"memory_budget": "64MiB"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pools")


@pytest.fixture(scope="module")
def models(folder: Path) -> dict[str, Trained]:
    models = {tenant: train("binary:logistic", seed=seed) for seed, tenant in enumerate(TENANTS)}
    publish(folder, models, settings_for(folder).store)
    return models


@pytest.fixture(scope="module")
def fleet(folder: Path, models: dict[str, Trained]) -> Iterator[Fleet]:
    write_fleet(folder / "fleet.yaml", describe(POOLS, dedicated={"m4": "whales"}))
    with running_fleet(folder, POOLS, dedicated={"m4": "whales"}) as running:
        yield running


def _orchard(folder: Path, *arguments: str) -> tuple[int, str]:
    where = ("--fleet", str(folder / "fleet.yaml"), "--state", str(folder / "state"))
    done = CliRunner().invoke(app, [*arguments, *where])
    return done.exit_code, done.output


def _serves(fleet: Fleet, pool: str, tenant: str) -> int:
    """How many calls for the tenant the pool's Triton has answered."""
    url = f"http://{fleet.nodes[pool][0].triton_http}/v2/models/{tenant}/stats"
    answer = requests.get(url, timeout=10)
    return int(answer.json()["model_stats"][0]["inference_count"]) if answer.ok else 0


def test_a_dedicated_tenant_is_in_its_pools_memory_before_anyone_calls(fleet: Fleet) -> None:
    give_up = time.monotonic() + 10
    while "m4" not in residents(fleet.nodes["whales"][0]) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert residents(fleet.nodes["whales"][0]) == {"m4"}


def test_no_call_fails_while_a_tenant_moves_to_a_pool_and_back(
    folder: Path, fleet: Fleet, models: dict[str, Trained]
) -> None:
    stored = {path: path.read_bytes() for path in (folder / "store").rglob("*") if path.is_file()}
    with calling(address(fleet), models, TENANTS) as calls:
        for _ in range(5):
            assert _orchard(folder, "promote", "m1", "--pool", "whales") == (0, "m1 is dedicated to pool whales\n")
            before = _serves(fleet, "shared", "m1"), _serves(fleet, "whales", "m1")
            calls.await_more(100)
            assert _serves(fleet, "whales", "m1") > before[1]
            assert _orchard(folder, "demote", "m1") == (0, "m1 is shared\n")
            before = _serves(fleet, "shared", "m1"), _serves(fleet, "whales", "m1")
            calls.await_more(100)
            assert _serves(fleet, "shared", "m1") > before[0]
    assert calls.problems == []
    assert calls.right > 1000
    assert {path: path.read_bytes() for path in (folder / "store").rglob("*") if path.is_file()} == stored
    print(f"\n10 moves, {calls.right} calls, all right")


def test_the_fleet_file_says_where_a_tenant_has_moved(folder: Path, fleet: Fleet) -> None:
    _orchard(folder, "promote", "m2", "--pool", "whales")
    assert read_fleet(folder / "fleet.yaml").dedicated == {"m2": "whales", "m4": "whales"}
    _orchard(folder, "demote", "m2")
    assert read_fleet(folder / "fleet.yaml").dedicated == {"m4": "whales"}


@pytest.mark.parametrize(
    ("tenant", "pool", "status", "complaint"),
    [
        pytest.param("nobody", "whales", 1, "not in the store", id="unknown tenant"),
        pytest.param("m1", "minnows", 2, "which is not there (there is whales)", id="unknown pool"),
        pytest.param("M 1", "whales", 2, "tenant id", id="no tenant id"),
    ],
)
def test_a_move_that_cannot_be_changes_nothing(
    folder: Path, fleet: Fleet, tenant: str, pool: str, status: int, complaint: str
) -> None:
    file, routes = folder / "fleet.yaml", folder / "state" / "front" / "nginx.conf"
    before = file.read_bytes(), routes.read_bytes()
    code, output = _orchard(folder, "promote", tenant, "--pool", pool)
    assert code == status
    assert complaint in output
    assert (file.read_bytes(), routes.read_bytes()) == before


def test_a_dead_pools_tenants_are_served_by_the_shared_one_until_it_is_back(
    fleet: Fleet, models: dict[str, Trained]
) -> None:
    whale = fleet.nodes["whales"][0]
    with calling(address(fleet), models, ["m4"]) as calls:
        kill_node(whale)
        calls.await_more(100)
        assert "m4" in residents(fleet.nodes["shared"][0])
        fleet.mend()
        calls.await_more(20)
        give_up = time.monotonic() + 15
        while _serves(fleet, "whales", "m4") == 0 and time.monotonic() < give_up:
            time.sleep(0.1)
        assert _serves(fleet, "whales", "m4") > 0
    assert calls.problems == []


def test_a_tenant_may_be_called_what_means_something_to_nginx(
    folder: Path, fleet: Fleet, models: dict[str, Trained]
) -> None:
    publish(folder, {"default": models["m3"]}, settings_for(folder).store)
    assert _orchard(folder, "promote", "default", "--pool", "whales")[0] == 0
    with calling(address(fleet), {**models, "default": models["m3"]}, ["default", "m3"]) as calls:
        calls.await_more(20)
    assert calls.problems == []
    assert _serves(fleet, "whales", "default") > 0
    assert _serves(fleet, "whales", "m3") == 0
    _orchard(folder, "demote", "default")
