"""What README tells a newcomer to type is typed here, against a real node."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.integration.orchard import Orchard, settings_for
from tests.models import Rows, train
from tools.fleet.description import parse_fleet
from tools.node_parts import ROOT
from tools.stack import Node

README = (ROOT / "README.md").read_text()
TENANT = "merchant-001"


def blocks(language: str) -> list[str]:
    """README's code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


CALLS = [block for block in blocks("sh") if block.startswith("curl")]
SNIPPETS = blocks("python")
# Asked of a node that runs, or may run.
OF_A_NODE = ("status", "doctor", "restart")
COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("orchard ")]
TARGETS = sorted(set(re.findall(r"^make ([a-z-]+)", "\n".join(blocks("sh")), re.MULTILINE)))


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchard]:
    folder = tmp_path_factory.mktemp("readme")
    with Node(settings_for(folder)) as node:
        orchard = Orchard(folder, node)
        orchard.publish(merchant_001=train("binary:logistic", features=20))
        yield orchard


def at_node(text: str, orchard: Orchard) -> str:
    """README's text with the addresses of this node."""
    return text.replace("localhost:8000", orchard.node.at.http).replace("localhost:8001", orchard.node.at.grpc)


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        input="y\n",  # `orchard delete` asks
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_readme_shows_every_way_to_call() -> None:
    shown = "\n".join((*CALLS, *SNIPPETS))
    assert all(way in shown for way in ("curl", "tritonclient.http", "tritonclient.grpc", "sagemaker-runtime"))


@pytest.mark.parametrize("call", CALLS)
def test_the_curl_call_is_answered(orchard: Orchard, call: str) -> None:
    ran = run(["sh", "-c", at_node(call, orchard).replace("curl ", "curl -sS --fail-with-body ", 1)], orchard.folder)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert '"output__0"' in ran.stdout


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_the_python_snippets_are_answered(orchard: Orchard, snippet: str) -> None:
    ran = run([sys.executable, "-c", at_node(snippet, orchard)], orchard.folder)
    assert ran.returncode == 0, ran.stderr
    rows: Rows = np.zeros((3, 20), np.float32)
    expected = orchard.models[TENANT].expected(rows)
    if "numpy.zeros" in snippet:
        assert f"{expected[0]:.5f}"[:6] in ran.stdout
    else:
        assert re.search(r"b'0\.\d+'", ran.stdout)


def test_the_commands_do_what_readme_says(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    for seed, tenant in enumerate((TENANT, "merchant-002")):
        train("binary:logistic", seed=seed).booster.save_model(models / f"{tenant}.ubj")
    for command in COMMANDS:
        line = command.split("#")[0].split()
        if line[1] in OF_A_NODE:
            continue
        if line[1] == "push-folder":
            train("binary:logistic", seed=9).booster.save_model(models / f"{TENANT}.ubj")
        ran = run(line, tmp_path)
        assert ran.returncode == 0, f"{command}\n{ran.stdout}{ran.stderr}"


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.split()[1] in OF_A_NODE])
def test_the_commands_about_a_node_do_what_readme_says(orchard: Orchard, command: str) -> None:
    state = ["--state", str(orchard.node.settings.state.resolve())]
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(run, [*command.split("#")[0].split(), *state], orchard.folder)
        while not running.done():
            # What `orchard up` does all the time.
            orchard.node.mend()
            time.sleep(0.05)
    ran = running.result()
    assert ran.returncode == 0, f"{command}\n{ran.stdout}{ran.stderr}"


@pytest.mark.parametrize("fleet", blocks("yaml"))
def test_the_fleet_file_is_one(fleet: str) -> None:
    assert parse_fleet(yaml.safe_load(fleet)).pools.keys() >= {"shared"}


@pytest.mark.parametrize("target", TARGETS)
def test_the_make_targets_exist(target: str) -> None:
    assert run(["make", "--dry-run", target], ROOT).returncode == 0
