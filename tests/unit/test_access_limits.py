"""The limits file: what it may say, and what each tenant gets."""

from pathlib import Path
from typing import Any

import pytest

from tools.access.limits import NO_LIMITS, BadLimitsError, Limit, Limits, parse_limits, read_limits, write_limits
from tools.catalog.tenant import tenant_id
from tools.gateway import GatewaySettings, render

ROOT = Path(__file__).resolve().parents[2]
M37, M38, M39 = tenant_id("m37"), tenant_id("m38"), tenant_id("m39")


def test_nothing_gives_everybody_the_default() -> None:
    assert parse_limits(None) == Limits()
    assert parse_limits({}).of(M37) == Limit()


def test_a_tenant_has_its_own_limit_and_the_defaults_for_what_it_leaves_out() -> None:
    limits = parse_limits(
        {
            "default": {"rate": 100, "concurrency": 9},
            "tenants": {"m37": {"rate": 50}, "m38": {"burst": 3}, "m39": "off"},
        }
    )
    assert limits.of(tenant_id("other")) == Limit(100, 100, 9)
    assert limits.of(M37) == Limit(50, 50, 9)
    assert limits.of(M38) == Limit(100, 3, 9)
    assert limits.of(M39) is None


def test_yamls_own_off_is_off(tmp_path: Path) -> None:
    (tmp_path / "limits.yaml").write_text("default: off\ntenants:\n  7: {rate: 1}\n")
    limits = read_limits(tmp_path / "limits.yaml")
    assert limits.of(M37) is None
    assert limits.of(tenant_id("7")) == Limit(1, 1, 256)


def test_the_file_that_compose_mounts_says_the_defaults() -> None:
    assert read_limits(ROOT / "deploy" / "access" / "limits.yaml") == Limits()


@pytest.mark.parametrize("limits", [Limits(), NO_LIMITS, Limits(Limit(1, 2, 3), {M37: None, M38: Limit(4, 0, 5)})])
def test_what_is_written_is_read_back(tmp_path: Path, limits: Limits) -> None:
    write_limits(tmp_path / "limits.yaml", limits)
    assert read_limits(tmp_path / "limits.yaml") == limits


@pytest.mark.parametrize(
    ("described", "named"),
    [
        ("everything", "limits"),
        ({"defaults": {}}, "defaults"),
        ({"default": {"rate": 0}}, "default, rate"),
        ({"default": {"rate": 1.5}}, "default, rate"),
        ({"default": {"rate": True}}, "default, rate"),
        ({"default": {"burst": -1}}, "default, burst"),
        ({"default": {"concurrency": 70_000}}, "default, concurrency"),
        ({"default": "on"}, "default"),
        ({"tenants": ["m37"]}, "tenants"),
        ({"tenants": {"M37": {}}}, "M37"),
        ({"tenants": {"m37": {"speed": 1}}}, "m37: 'speed'"),
    ],
)
def test_what_cannot_be_is_named(described: Any, named: str) -> None:
    with pytest.raises(BadLimitsError, match=named):
        parse_limits(described)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadLimitsError, match=r"limits\.yaml cannot be read"):
        read_limits(tmp_path / "limits.yaml")


def test_without_limits_nginx_counts_nothing(tmp_path: Path) -> None:
    front = GatewaySettings("127.0.0.1:1", "t:1", "s:1", tmp_path, tmp_path / "log", limits=NO_LIMITS)
    assert "limit_req zone" not in render(front)
    assert render(front).count("limit_req_zone") == 0
