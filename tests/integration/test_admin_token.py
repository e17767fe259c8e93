"""A sidecar's admin port with a token, and one that would be open to the world."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests
from typer.testing import CliRunner

from tests.integration.orchard import settings_for
from tools.admin import TOKEN_VARIABLE
from tools.cli import app
from tools.stack import Node

TOKEN = "as long as it likes"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(TOKEN_VARIABLE, TOKEN)
        with Node(settings_for(tmp_path_factory.mktemp("token"))) as node:
            yield node


def test_without_the_token_only_ping_is_answered(node: Node) -> None:
    assert requests.get(f"{node.admin_url}/ping", timeout=10).status_code == 200
    for method, path in (
        ("GET", "/"),
        ("GET", "/status"),
        ("GET", "/metrics"),
        ("GET", "/models"),
        ("POST", "/models"),
    ):
        assert requests.request(method, node.admin_url + path, timeout=10).status_code == 401, path


def test_the_token_opens_it_to_programs_and_to_browsers(node: Node) -> None:
    for path in ("/", "/status", "/metrics", "/models"):
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert requests.get(node.admin_url + path, headers=bearer, timeout=10).status_code == 200, path
        assert requests.get(node.admin_url + path, auth=("anybody", TOKEN), timeout=10).status_code == 200, path


def test_orchard_status_sends_the_token_of_its_environment(node: Node) -> None:
    asked = ["status", "--state", str(node.settings.state)]
    assert CliRunner().invoke(app, asked, env={TOKEN_VARIABLE: TOKEN}).exit_code == 0
    refused = CliRunner().invoke(app, asked, env={TOKEN_VARIABLE: "another"})
    assert refused.exit_code == 1
    assert "401" in refused.output


def test_a_sidecar_whose_admin_port_the_internet_could_reach_does_not_start_without_a_token() -> None:
    environment = {**os.environ, "ORCHARD_ADMIN": "8.8.8.8:8080", TOKEN_VARIABLE: ""}
    ran = subprocess.run([sys.executable, "-m", "sidecar"], env=environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 2
    assert "8.8.8.8" in ran.stderr
    assert TOKEN_VARIABLE in ran.stderr
