"""`orchard render-gateway`: the front's configuration for an nginx that a container runtime starts."""

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tools.cli import app
from tools.gateway import nginx_binary


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="parts on loopback"),
        pytest.param(["--triton", "triton:8500", "--sidecar", "sidecar:8090", "--resolver", "127.0.0.11"], id="names"),
        pytest.param(["--forward", "127.0.0.1:29001=127.0.0.1:29002"], id="grpc passed on"),
    ],
)
def test_nginx_takes_what_is_rendered(tmp_path: Path, options: list[str]) -> None:
    out = tmp_path / "gateway"
    asked = ["render-gateway", "--out", str(out), "--listen", "127.0.0.1:29000", "--folder", str(tmp_path), *options]
    rendered = CliRunner().invoke(app, asked)
    assert rendered.exit_code == 0, rendered.output

    check = [str(nginx_binary()), "-t", "-p", str(tmp_path), "-e", "stderr", "-c", str(out / "nginx.conf")]
    checked = subprocess.run(check, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_the_scripts_lie_beside_the_configuration_that_loads_them(tmp_path: Path) -> None:
    out = tmp_path / "gateway"
    rendered = CliRunner().invoke(app, ["render-gateway", "--out", str(out), "--njs", "built-in"])
    assert rendered.exit_code == 0, rendered.output
    assert f'"{out}/sagemaker.js"' in (out / "nginx.conf").read_text()
    assert (out / "sagemaker.js").is_file()


def test_a_forward_without_a_target_is_refused(tmp_path: Path) -> None:
    refused = CliRunner().invoke(app, ["render-gateway", "--out", str(tmp_path), "--forward", "0.0.0.0:8001"])
    assert refused.exit_code == 2
    assert "sidecar:8001" in refused.output
    assert not (tmp_path / "nginx.conf").exists()
