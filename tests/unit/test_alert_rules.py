"""The alert rules, by promtool; and the dashboard, whose every question Prometheus must understand."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.system_packages import require_program

OBSERVABILITY = Path(__file__).resolve().parents[2] / "triton" / "observability"
PROMETHEUS = OBSERVABILITY / "prometheus"
DASHBOARD = OBSERVABILITY / "grafana" / "dashboards" / "orchard.json"


@pytest.fixture(scope="module")
def promtool() -> str:
    return require_program("promtool", package="prometheus")


def run(*command: str) -> None:
    finished = subprocess.run(command, cwd=PROMETHEUS, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def test_prometheus_takes_the_configuration(promtool: str) -> None:
    run(promtool, "check", "config", "prometheus.yml")


def test_alerts_fire_when_they_should_and_not_otherwise(promtool: str) -> None:
    run(promtool, "test", "rules", "rules.test.yml")


def test_every_alert_is_tested_to_fire_and_says_what_is_wrong_and_how_bad() -> None:
    tests = yaml.safe_load((PROMETHEUS / "rules.test.yml").read_text())["tests"]
    expected = [each for test in tests for each in test["alert_rule_test"]]
    fire = {each["alertname"] for each in expected if each["exp_alerts"]}
    assert fire == {alert["alert"] for alert in alerts()}
    for alert in alerts():
        assert alert["labels"]["severity"] in ("warning", "critical")
        assert alert["annotations"].keys() == {"summary", "description"}


def test_the_dashboard_asks_nothing_that_prometheus_does_not_understand(promtool: str, tmp_path: Path) -> None:
    rules = [{"record": "asked", "expr": expression} for expression in dashboard_expressions()]
    assert len(rules) > 20
    (tmp_path / "asked.yml").write_text(json.dumps({"groups": [{"name": "asked", "rules": rules}]}))
    run(promtool, "check", "rules", "--lint=none", str(tmp_path / "asked.yml"))


def test_no_two_panels_of_the_dashboard_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def dashboard_expressions() -> Iterator[str]:
    """What the panels ask, with Grafana's variables filled in."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            yield re.sub(r"\$node", ".*", target["expr"])
