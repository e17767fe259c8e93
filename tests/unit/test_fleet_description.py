"""The fleet file: what it may say, and what is said of the rest."""

from pathlib import Path
from typing import Any

import pytest

from tools.access.limits import parse_limits
from tools.catalog.tenant import TenantId
from tools.fleet.description import BadFleetError, FleetDescription, Pool, parse_fleet, read_fleet, write_fleet
from tools.fleet.front import nodes_of

POOLS: dict[str, Any] = {"shared": {"nodes": 3}, "whales": {"nodes": 1, "memory_budget": "1GiB", "cpus": "2-3,5"}}
M01, M02, M03 = TenantId("m01"), TenantId("m02"), TenantId("m03")


def _fleet(**parts: Any) -> FleetDescription:
    return parse_fleet({"pools": POOLS, **parts})


def test_everything_a_fleet_can_say_is_read() -> None:
    fleet = _fleet(dedicated={"m01": "whales"}, pinned=["m02"], copies={"m03": 2})
    assert fleet.pools["whales"] == Pool(1, "1GiB", frozenset({2, 3, 5}))
    assert fleet.pinned_in("whales") == {M01}
    assert fleet.pinned_in("shared") == {M02}
    assert fleet.copies == {M03: 2}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    fleet = _fleet(dedicated={"m01": "whales"}, pinned=["m02"], copies={"m03": 2})
    write_fleet(tmp_path / "fleet.yaml", fleet)
    assert read_fleet(tmp_path / "fleet.yaml") == fleet
    assert list(tmp_path.iterdir()) == [tmp_path / "fleet.yaml"]


def test_a_promoted_tenant_is_nothing_but_dedicated() -> None:
    fleet = _fleet(pinned=["m02"], copies={"m03": 2}).promote(M02, "whales").promote(M03, "whales")
    assert fleet.dedicated == {M02: "whales", M03: "whales"}
    assert not fleet.pinned
    assert not fleet.copies


def test_a_demoted_tenant_is_shared() -> None:
    fleet = _fleet(dedicated={"m01": "whales"}, pinned=["m02"]).demote(M01).demote(M02)
    assert not fleet.dedicated
    assert not fleet.pinned


def test_who_is_shared_cannot_be_demoted() -> None:
    with pytest.raises(BadFleetError, match="m03 is neither dedicated nor pinned"):
        _fleet().demote(M03)


@pytest.mark.parametrize(
    ("described", "complaint"),
    [
        pytest.param(["pools"], "write it as", id="a list"),
        pytest.param({"pool": {}}, "'pool' is unknown: there is copies, dedicated, limits", id="a typing error"),
        pytest.param({"pools": {"whales": {}}}, "no pool named shared", id="no shared pool"),
        pytest.param({"pools": {"shared": {"nodes": 0}}}, "at least 1", id="no nodes"),
        pytest.param({"pools": {"shared": {"nodes": True}}}, "at least 1", id="a truth value of nodes"),
        pytest.param({"pools": {"shared": {"nodes": ["10.0.0.1"]}}}, "host:port", id="an address without a port"),
        pytest.param({"pools": {"shared": {"nodes": ["a:1", "a:1"]}}}, "each node once", id="a node twice"),
        pytest.param({"pools": {"shared": {"cpus": "all"}}}, "not a set of CPUs", id="no CPUs"),
        pytest.param({"pools": {"Shared": {}}}, "no name for a pool", id="a pool's name"),
        pytest.param(
            {"pools": POOLS, "dedicated": {"m01": "wales"}}, "'wales', which is not there .* whales", id="pool"
        ),
        pytest.param({"pools": POOLS, "dedicated": {"m01": "shared"}}, "list it under pinned", id="dedicated to all"),
        pytest.param({"pools": POOLS, "dedicated": {"M 1": "whales"}}, "dedicated: ", id="no tenant"),
        pytest.param({"pools": POOLS, "pinned": "m01"}, "a list of tenants", id="not a list"),
        pytest.param(
            {"pools": POOLS, "pinned": ["m01"], "dedicated": {"m01": "whales"}}, "neither pinned", id="contradiction"
        ),
        pytest.param({"pools": POOLS, "copies": {"m01": 4}}, "the shared pool has 3 nodes", id="too many copies"),
        pytest.param({"pools": POOLS, "copies": {"m01": 1}}, "at least 2", id="one copy"),
    ],
)
def test_a_fleet_that_cannot_be_is_refused_with_the_reason(described: Any, complaint: str) -> None:
    with pytest.raises(BadFleetError, match=complaint):
        parse_fleet(described)


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text("pools: [")
    with pytest.raises(BadFleetError, match=r"fleet\.yaml is not YAML"):
        read_fleet(path)


def test_a_node_that_leaves_moves_only_the_copies_it_had() -> None:
    nodes = [f"10.0.0.{number}:8000" for number in range(5)]
    tenants = [TenantId(f"m{number}") for number in range(200)]
    for tenant in tenants:
        before = nodes_of(tenant, nodes, 2)
        after = nodes_of(tenant, nodes[:-1], 2)
        assert len(set(before)) == 2
        assert set(before) - {nodes[-1]} <= set(after)


def test_limits_are_read_kept_and_named_when_they_cannot_be(tmp_path: Path) -> None:
    limits = {"default": {"rate": 100, "burst": 5, "concurrency": 7}, "tenants": {"m01": "off"}}
    fleet = parse_fleet({"pools": {"shared": {}}, "limits": limits})
    assert fleet.limits == parse_limits(limits)
    write_fleet(tmp_path / "fleet.yaml", fleet)
    assert read_fleet(tmp_path / "fleet.yaml") == fleet
    with pytest.raises(BadFleetError, match="limits: default, rate"):
        parse_fleet({"pools": {"shared": {}}, "limits": {"default": {"rate": "fast"}}})
