"""`orchard render-gateway`: the front's configuration for an nginx that a container runtime starts."""

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tools.access.keys import add_key
from tools.catalog.tenant import tenant_id
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


def test_access_is_rendered_from_the_sidecars_own_variables(tmp_path: Path) -> None:
    limits, keys = tmp_path / "limits.yaml", tmp_path / "api-keys"
    limits.write_text("tenants: {m37: {rate: 5}}")
    secret, _ = add_key(keys, "shop", frozenset({tenant_id("m37")}))
    access = {"ORCHARD_LIMITS": str(limits), "ORCHARD_API_KEYS": str(keys), "ORCHARD_CERTIFICATE": ""}
    asked = ["render-gateway", "--out", str(tmp_path / "out"), "--folder", str(tmp_path), "--njs", "built-in"]
    rendered = CliRunner().invoke(app, asked, env=access)
    assert rendered.exit_code == 0, rendered.output
    configuration = (tmp_path / "out" / "nginx.conf").read_text()
    assert "rate=5r/s" in configuration
    assert f'include "{tmp_path}/out/keys.conf"' in configuration
    assert '"shop:m37"' in (tmp_path / "out" / "keys.conf").read_text()
    assert secret not in (tmp_path / "out" / "keys.conf").read_text()


def test_keys_that_nginx_could_not_check_are_refused(tmp_path: Path) -> None:
    keys = tmp_path / "api-keys"
    add_key(keys, "shop", None)
    refused = CliRunner().invoke(app, ["render-gateway", "--out", str(tmp_path / "out"), "--api-keys", str(keys)])
    assert refused.exit_code == 2
    assert "JavaScript" in refused.output
    keys.write_text("a line\n")
    asked = ["render-gateway", "--out", str(tmp_path / "out"), "--api-keys", str(keys), "--njs", "built-in"]
    refused = CliRunner().invoke(app, asked)
    assert refused.exit_code == 2
    assert "line 1" in refused.output
    assert not (tmp_path / "out").exists()
