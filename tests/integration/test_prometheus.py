"""The whole chain on real parts: a node, Debian's Prometheus scraping it, and an alert that fires and clears."""

import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.integration.orchard import Orchard, settings_for
from tests.models import train
from tests.system_packages import require_program
from tools.ports import free_ports
from tools.process import Process
from tools.stack import Node
from tools.supervisor import Supervisor

OBSERVABILITY = Path(__file__).resolve().parents[2] / "triton" / "observability"
TENANTS = [f"t{number}" for number in range(6)]
ROOM_FOR = 2
WINDOW = "6s"


class Prometheus:
    """A running Prometheus, asked over its HTTP API."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, path: str, **parameters: str) -> Any:
        answer = requests.get(f"{self._url}/api/v1/{path}", params=parameters, timeout=10).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def firing(self) -> set[str]:
        return {each["labels"]["alertname"] for each in self.ask("alerts")["alerts"] if each["state"] == "firing"}

    def names(self) -> set[str]:
        return set(self.ask("label/__name__/values"))


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchard]:
    folder = tmp_path_factory.mktemp("watched")
    with Node(settings_for(folder, memory_budget=ROOM_FOR * 450_000)) as node:
        orchard = Orchard(folder, node)
        orchard.publish(**{name: train("binary:logistic", seed=n) for n, name in enumerate(TENANTS)})
        yield orchard


@pytest.fixture(scope="module")
def prometheus(orchard: Orchard, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus with the project's configuration and rules, at a pace that a test can wait for."""
    folder = tmp_path_factory.mktemp("prometheus")
    shutil.copytree(OBSERVABILITY / "prometheus", folder / "config")
    (folder / "config" / "nodes" / "compose.yml").write_text(json.dumps([{"targets": [orchard.node.at.admin]}]))
    hasten(folder / "config" / "prometheus.yml", r"_interval: 15s", "_interval: 1s")
    hasten(folder / "config" / "rules.yml", r"\[(10|30)m\]", f"[{WINDOW}]")
    hasten(folder / "config" / "rules.yml", r"for: \d+m", "for: 1s")
    (port,) = free_ports(1)
    program = require_program("prometheus", package="prometheus")
    process = Process(
        name="prometheus",
        command=(
            program,
            f"--config.file={folder}/config/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ),
        log=folder / "prometheus.log",
        ready_url=f"http://127.0.0.1:{port}/-/ready",
    )
    with Supervisor([process]):
        yield Prometheus(f"http://127.0.0.1:{port}")


def test_the_alert_of_a_low_hit_ratio_fires_and_clears(orchard: Orchard, prometheus: Prometheus) -> None:
    with calls(orchard, TENANTS):
        _until(lambda: "OrchardHitRatioLow" in prometheus.firing())
    (alert,) = [
        each for each in prometheus.ask("alerts")["alerts"] if each["labels"]["alertname"] == "OrchardHitRatioLow"
    ]
    assert orchard.node.at.admin in alert["annotations"]["summary"]
    with calls(orchard, TENANTS[:1]):
        _until(lambda: "OrchardHitRatioLow" not in prometheus.firing())
        (ratio,) = prometheus.ask("query", query="orchard:hit_ratio:10m")["result"]
        assert float(ratio["value"][1]) >= 0.75
    assert prometheus.firing() == set()


def test_everything_that_rules_and_dashboard_ask_for_is_there(prometheus: Prometheus) -> None:
    panels = json.loads((OBSERVABILITY / "grafana" / "dashboards" / "orchard.json").read_text())["panels"]
    groups = yaml.safe_load((OBSERVABILITY / "prometheus" / "rules.yml").read_text())["groups"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    asked += [rule["expr"] for group in groups for rule in group["rules"]]
    wanted = set(re.findall(r"\borchard[_:][a-z0-9_:]+", " ".join(asked)))
    assert len(wanted) > 20
    assert wanted - prometheus.names() == set()


@contextmanager
def calls(orchard: Orchard, tenants: list[str]) -> Iterator[None]:
    """Call `tenants` in turn, again and again, for as long as the block runs."""
    done = threading.Event()
    failed: list[int] = []

    def call() -> None:
        number = 0
        while not done.wait(0.02):
            answer = orchard.ask(tenants[number % len(tenants)])
            failed.extend([answer.status_code] if answer.status_code != 200 else [])
            number += 1

    caller = threading.Thread(target=call)
    caller.start()
    try:
        yield
    finally:
        done.set()
        caller.join()
    assert failed == []


def hasten(file: Path, pattern: str, quicker: str) -> None:
    """Replace what makes a rule wait."""
    text, count = re.subn(pattern, quicker, file.read_text())
    assert count
    file.write_text(text)


def _until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)
