"""How `orchard status` words and orders what a node says."""

import io
from typing import Any

from rich.console import Console

from tools.status import render_status

NOW = 1_800_000_000.0


def tenant(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "tenant": name,
        "version": 7,
        "bytes": 12_340_000,
        "state": "resident",
        "pinned": False,
        "last_used": NOW - 5,
        "uses": 1,
        **changes,
    }


def shown(*tenants: dict[str, Any], **changes: Any) -> list[str]:
    status = {
        "budget_bytes": 100_000_000,
        "held_bytes": 25_000_000,
        "hits": 0,
        "misses": 0,
        "hit_ratio": None,
        "evictions": 0,
        "loads": 0,
        "triton_up": True,
        "quarantined": [],
        "tenants": list(tenants),
        **changes,
    }
    console = Console(file=io.StringIO(), width=120)
    with console.capture() as capture:
        console.print(render_status(status, NOW))
    return capture.get().splitlines()


def test_memory_is_shown_against_the_budget() -> None:
    assert "25 of 100 MB (25%) in 1 tenants" in shown(tenant("a"))[0]


def test_the_hit_ratio_is_a_share_of_all_requests_once_there_are_any() -> None:
    assert "none yet" in shown()[1]
    assert "4,000, hit ratio 98.5%" in shown(hits=3940, misses=60, hit_ratio=0.985)[1]


def test_the_tenant_used_last_comes_first_and_the_never_used_last() -> None:
    lines = shown(
        tenant("old", last_used=NOW - 7200), tenant("never", last_used=None), tenant("new", last_used=NOW - 61)
    )
    rows = [line.split() for line in lines[-3:]]
    assert [row[0] for row in rows] == ["new", "old", "never"]
    assert [" ".join(row[5:]) for row in rows] == ["1 min ago", "2 h ago", "never"]


def test_a_row_says_version_state_pin_size_and_uses() -> None:
    (row,) = shown(tenant("m1", pinned=True, uses=12345))[-1:]
    assert row.split() == ["m1", "7", "resident,", "pinned", "12.3", "12,345", "5", "s", "ago"]


def test_a_tenant_that_is_still_loading_has_no_version_yet() -> None:
    (row,) = shown(tenant("m1", version=None, state="loading", last_used=None, uses=0))[-1:]
    assert row.split() == ["m1", "loading", "12.3", "0", "never"]


def test_a_thousand_tenants_are_not_all_listed() -> None:
    lines = shown(*(tenant(f"m{number}", last_used=NOW - number) for number in range(1000)))
    assert len(lines) < 60
    assert "960 more" in lines[-1]


def test_what_is_wrong_is_said_with_what_to_do() -> None:
    assert not any("triton" in line or "trouble" in line for line in shown())
    lines = shown(triton_up=False, quarantined=[{"tenant": "m1", "version": 7}])
    assert any(line.startswith("triton    does not answer") for line in lines)
    assert "orchard release m1" in " ".join(lines)
