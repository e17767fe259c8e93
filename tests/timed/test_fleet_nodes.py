"""Three nodes as one: each holds its own part of the tenants, and one that dies is not missed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtests.kserve import HttpCaller
from tests.integration.fleets import address, ask, calling, kill_node, residents, running_fleet, status
from tests.integration.orchard import publish, settings_for
from tests.models import Trained, train
from tools.eviction.named import PolicyName
from tools.fleet.running import Fleet

NODES = 3
TENANTS = [f"t{number:03}" for number in range(180)]
CALLS = 1500
HOT = TENANTS[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nodes")


@pytest.fixture(scope="module")
def models() -> dict[str, Trained]:
    few = [train("binary:logistic", seed=seed) for seed in range(4)]
    return {tenant: few[number % len(few)] for number, tenant in enumerate(TENANTS)}


@pytest.fixture(scope="module")
def room(folder: Path, models: dict[str, Trained]) -> int:
    """Bytes of memory for a third of the tenants."""
    manifests = publish(folder, models, settings_for(folder).store)
    return sum(manifest.resident_bytes for manifest in manifests.values()) // 3


def _fleet(folder: Path, nodes: int, room: int, **parts: Any) -> Any:
    pools = {"shared": {"nodes": nodes, "memory_budget": str(room // nodes)}}
    return running_fleet(folder, pools, policy=PolicyName.LRU, **parts)


@pytest.fixture(scope="module")
def fleet(folder: Path, models: dict[str, Trained], room: int) -> Iterator[Fleet]:
    with _fleet(folder, NODES, room, copies={HOT: 2}) as running:
        yield running


def _hit_ratio(fleet: Fleet, models: dict[str, Trained]) -> float:
    """Of `CALLS` calls whose frequencies follow Zipf's law, one after the other."""
    frequency = 1 / np.arange(1, len(TENANTS) + 1)
    drawn = np.random.default_rng(1).choice(TENANTS[1:] + TENANTS[:1], CALLS, p=frequency / frequency.sum())
    caller = HttpCaller(address(fleet))
    problems = [problem for tenant in drawn if (problem := ask(caller, models, str(tenant)))]
    caller.close()
    assert problems == []
    counted = [status(node) for node in fleet.nodes["shared"]]
    hits, misses = (sum(each[what] for each in counted) for what in ("hits", "misses"))
    assert hits + misses == CALLS
    return float(hits / CALLS)


def test_three_nodes_hit_as_often_as_one_with_all_their_memory(
    folder: Path, fleet: Fleet, models: dict[str, Trained], room: int, tmp_path: Path
) -> None:
    three = _hit_ratio(fleet, models)
    (tmp_path / "store").symlink_to(folder / "store")
    with _fleet(tmp_path, 1, room) as single:
        one = _hit_ratio(single, models)
    print(f"\nhit ratio: three nodes {three:.3f}, one with their memory {one:.3f}")
    assert three == pytest.approx(one, abs=0.03)
    assert one < 0.95, "with so much memory there is nothing to compare"


def test_each_tenant_is_in_the_memory_of_one_node(fleet: Fleet, models: dict[str, Trained]) -> None:
    caller = HttpCaller(address(fleet))
    for tenant in TENANTS[1:]:
        ask(caller, models, tenant)
    caller.close()
    held = [residents(node) - {HOT} for node in fleet.nodes["shared"]]
    assert all(held)
    assert sum(len(each) for each in held) == len(set().union(*held))


def test_a_tenant_with_copies_is_in_the_memory_of_as_many_nodes(fleet: Fleet, models: dict[str, Trained]) -> None:
    caller = HttpCaller(address(fleet))
    for _ in range(20):
        assert ask(caller, models, HOT) == ""
    caller.close()
    assert sum(HOT in residents(node) for node in fleet.nodes["shared"]) == 2


def test_no_call_fails_when_a_node_dies_and_its_tenants_come_back_to_it(
    fleet: Fleet, models: dict[str, Trained]
) -> None:
    nodes = fleet.nodes["shared"]
    few = [HOT, *TENANTS[1:23]]
    with calling(address(fleet), models, few) as calls:
        calls.await_more(500)  # so that every one of the few has been called
        dead, *others = nodes
        its_own = residents(dead) & set(few[1:])
        assert its_own
        kill_node(dead)
        calls.await_more(400)
        assert its_own <= residents(others[0]) | residents(others[1])
        moved = {tenant for other in others for tenant in residents(other)} & its_own
        assert len({tenant in residents(others[0]) for tenant in moved}) == 2, "one node got all of them"

        fleet.mend()
        calls.await_more(500)
        assert residents(dead) & set(few[1:]) == its_own
    assert calls.problems == []
    print(f"\n{calls.right} calls while a node died and came back, all right")
