"""The Locust suites in short form, on one node that has everybody's tenants: passing, and made to fail on purpose."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loadtests.suites.fraud_population import few_merchants
from loadtests.suites.node import node_on
from loadtests.suites.population import publish_population
from loadtests.suites.suite import MB, SUITES, Budgets, suite_named
from tools.stack import Node

# Room for all nine merchants, for a third of the forty churn tenants, and for three or four of the cold ones.
BUDGETS = Budgets(memory=10 * MB, disk=14 * MB, pinned=few_merchants().groups["whales"])


@dataclass(frozen=True, slots=True)
class Ran:
    """A finished suite: its exit status, what it printed, and where its report is."""

    status: int
    output: str
    report: Path

    def summary(self, suite: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.report / f"{suite}.json").read_text())
        return found


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("suites")
    store = folder / "objects" / "models"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fraud", "cold", "churn"):
            publish_population(suite_named(name).populate(short=True), str(store), folder / name, lambda _: None)
        patch.setenv("ORCHARD_S3_ENDPOINT_URL", "")  # node_on sets it; what it was comes back
        with node_on(store, BUDGETS, folder, on_s3=True) as node:
            yield node


def start(suite: str, host: str, report: Path, *options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "loadtests.suites", suite, "--short", "--host", host, "--report", str(report)]
    # Of its own session, so that Locust can be ended with it.
    return subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def finish(process: "subprocess.Popen[str]", report: Path) -> Ran:
    try:
        output, _ = process.communicate(timeout=90)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return Ran(process.returncode, output, report)


def run(suite: str, host: str, report: Path, *options: str) -> Ran:
    return finish(start(suite, host, report, *options), report)


# The promised times are for a machine that does nothing else; these say whether the suites work.
@pytest.mark.parametrize(
    ("suite", "options"),
    [
        ("warm", ("--rate", "100", "--seconds", "3", "--workers", "2")),
        ("cold", ("--rate", "6", "--seconds", "4")),
        ("fraud", ("--rate", "120", "--seconds", "5")),
        ("churn", ("--rate", "80", "--seconds", "4")),
        ("noisy", ("--rate", "300", "--seconds", "3", "--api", "sagemaker")),
    ],
)
def test_a_suite_passes_and_writes_its_report(node: Node, tmp_path: Path, suite: str, options: tuple[str, ...]) -> None:
    ran = run(suite, node.http_url, tmp_path, "--slack", "20", *options)
    assert ran.status == 0, ran.output
    assert "PASSED" in ran.output
    summary = ran.summary(suite)
    assert summary["passed"]
    assert summary["calls"] == pytest.approx(float(options[1]) * float(options[3]), rel=0.4)
    assert all(promise["kept"] and promise["calls"] > 0 for promise in summary["promises"])
    page = (tmp_path / f"{suite}.html").read_text()
    assert '<section id="verdict">' in page
    assert 'class="kept">passed' in page


def test_every_suite_fails_when_it_is_promised_too_much(node: Node, tmp_path: Path) -> None:
    options = ("--slack", "0.001", "--seconds", "2", "--rate", "40")
    running = {suite: start(suite, node.http_url, tmp_path, *options) for suite in SUITES}
    for suite, process in running.items():
        ran = finish(process, tmp_path)
        assert ran.status == 1, f"{suite}: {ran.output}"
        assert "FAILED" in ran.output
        assert "promised" in ran.output
        assert not ran.summary(suite)["passed"]


def test_suites_fail_on_a_node_that_stops(node: Node, tmp_path: Path) -> None:
    options = ("--seconds", "6", "--rate", "20", "--slack", "20")
    running = {suite: start(suite, node.http_url, tmp_path, *options) for suite in ("fraud", "churn")}
    time.sleep(4)
    node.stop()
    for suite, process in running.items():
        ran = finish(process, tmp_path)
        assert ran.status == 1, f"{suite}: {ran.output}"
        assert "no answer" in ran.output
