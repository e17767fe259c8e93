"""How a soak's replies and footprints are judged."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from loadtests.models import Reference
from loadtests.pressure import Reply
from loadtests.soak.footprint import Footprint, Growth, files_below, leaks, processes_of
from loadtests.soak.ledger import Ledger
from loadtests.soak.run import Soak
from tools.catalog.tenant import TenantId

A = TenantId("a")
ROWS = np.zeros((1, 2), np.float32)
ANSWERS = [np.full(1, value, np.float32) for value in (1.0, 2.0, 3.0)]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger({A: [Reference(ROWS, answer) for answer in ANSWERS]})


def answered(version: int) -> Reply:
    now = time.monotonic()
    return Reply(A, now - 0.01, now, 200, ANSWERS[version])


def failed(status: int, asked: float | None = None) -> Reply:
    now = time.monotonic()
    return Reply(A, now if asked is None else asked, now, status, error="no")


def test_an_answer_of_a_version_that_was_live_is_right_though_another_is_now(ledger: Ledger) -> None:
    ledger.publishing(A, 1)
    for version in (0, 1):
        ledger.take(answered(version))
    assert (ledger.close().right, ledger.close().wrong) == (2, 0)
    assert ledger.is_newest(answered(1))
    assert not ledger.is_newest(answered(0))


def test_an_answer_of_a_version_not_published_yet_or_of_none_is_wrong(ledger: Ledger) -> None:
    early = answered(2)
    ledger.publishing(A, 2)
    ledger.take(early)
    ledger.take(Reply(A, 0.0, time.monotonic(), 200, np.full(1, 9.0, np.float32)))
    assert ledger.close().wrong == 2


def test_a_call_may_fail_while_something_is_down_with_a_status_that_says_so(ledger: Ledger) -> None:
    with ledger.disrupted("triton"):
        ledger.take(failed(503))
        ledger.take(failed(502))
        ledger.take(failed(500))
        ledger.take(failed(0))
    tally = ledger.close()
    assert tally.excused == {503: 1, 502: 1}
    assert tally.failed == 2
    assert len(tally.complaints) == 2


def test_one_that_ended_before_or_began_after_may_not(ledger: Ledger) -> None:
    ledger.take(failed(503))
    with ledger.disrupted("triton"):
        time.sleep(0.001)
    ledger.take(failed(503))
    assert ledger.close().failed == 2


def test_a_call_that_was_on_its_way_when_something_died_may_fail_too(ledger: Ledger) -> None:
    asked = time.monotonic()
    with ledger.disrupted("triton"):
        time.sleep(0.001)
    ledger.take(failed(502, asked))
    assert ledger.close().failed == 0


def test_what_has_grown_by_more_than_it_may_is_named() -> None:
    before = Footprint(processes=1, rss=100, threads=10, descriptors=20)
    allowed = Growth(rss_share=0.1, rss_bytes=5, threads=2, descriptors=3)
    assert leaks("triton", before, Footprint(1, 115, 12, 23), allowed) == []
    found = leaks("triton", before, Footprint(2, 116, 13, 24), allowed)
    assert [each.split()[1] for each in found] == ["processes", "rss", "threads", "descriptors"]


def test_a_footprint_counts_what_a_process_and_its_children_hold() -> None:
    before = Footprint.of(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        after = Footprint.of(os.getpid())
    finally:
        child.communicate()
    assert after.processes == before.processes + 1
    assert after.threads > before.threads
    assert after.descriptors > before.descriptors
    assert after.rss > 0


def test_processes_that_name_a_folder_are_found_by_their_environment_too(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "input()"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, "HERE": str(tmp_path / "inside")})
    try:
        assert set(processes_of(tmp_path)) == {child.pid}
    finally:
        child.communicate()
    assert processes_of(tmp_path) == {}


def test_a_report_is_json() -> None:
    ledger = Ledger({A: [Reference(ROWS, answer) for answer in ANSWERS]})
    with ledger.disrupted("triton"):
        ledger.take(failed(503))
    held = {"triton": Footprint(1, 2, 3, 4)}
    soaked = Soak(
        minutes=1.0,
        deeds={"published": 1},
        tally=ledger.close(),
        disruptions=ledger.disruptions,
        before=held,
        after=held,
        own_before=held["triton"],
        own_after=held["triton"],
        files_before={"a": 1},
        files_after={"a": 2},
        temporary=[],
        left_running={7: "sleep"},
        stale=[],
        budget=10,
        most_held=10,
    )
    report = json.loads(json.dumps(soaked.report()))
    assert report["tally"]["excused"] == {"503": 1}
    assert report["broken"] == ["there were calls", "no process stays behind", "nothing is left over on disk"]


def test_files_are_counted_by_the_folder_they_are_in(tmp_path: Path) -> None:
    for path in ("one", "a/two", "a/b/three", "c/four"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert files_below(tmp_path) == {".": 1, "a": 2, "c": 1}
