"""How tritonserver is started: launch.sh with a server that only shows what it was given."""

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

LAUNCH = Path(__file__).resolve().parents[2] / "triton" / "server" / "launch.sh"

Launch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """Run launch.sh in a complete setting, changed by `settings`; None takes a variable away."""
    server = tmp_path / "bin" / "tritonserver"
    server.parent.mkdir()
    server.write_text('#!/bin/sh\nfor word; do echo "$word"; done\nenv\n')
    server.chmod(0o755)
    (tmp_path / "repository").mkdir()
    (tmp_path / "backends" / "fil").mkdir(parents=True)
    (tmp_path / "backends" / "fil" / "libtriton_fil.so").touch()
    complete = {
        "PATH": os.environ["PATH"],
        "TRITON_BIN": str(server),
        "MODEL_REPOSITORY": str(tmp_path / "repository"),
        "TRITON_BACKENDS": str(tmp_path / "backends"),
        "TRITON_PRELOAD": "",
    }

    def run(*arguments: str, settings: Mapping[str, str | None] | None = None) -> subprocess.CompletedProcess[str]:
        chosen = {key: value for key, value in {**complete, **(settings or {})}.items() if value is not None}
        return subprocess.run(["sh", LAUNCH, *arguments], env=chosen, capture_output=True, text=True, check=False)

    return run


def test_only_the_sidecar_loads_models_and_one_failed_load_leaves_the_server_ready(launch: Launch) -> None:
    words = launch().stdout.splitlines()
    assert "--model-control-mode=explicit" in words
    assert "--strict-readiness=false" in words
    assert "--disable-auto-complete-config" in words


def test_addresses_go_to_their_flags(launch: Launch) -> None:
    words = launch(settings={"TRITON_HTTP": "0.0.0.0:8000", "TRITON_GRPC": "[::1]:8001"}).stdout.splitlines()
    assert {"--http-address=0.0.0.0", "--http-port=8000", "--grpc-address=[::1]", "--grpc-port=8001"} <= set(words)


def test_there_are_no_metrics_unless_they_are_asked_for(launch: Launch) -> None:
    assert "--allow-metrics=false" in launch().stdout.splitlines()
    words = launch(settings={"TRITON_METRICS": "127.0.0.1:8502"}).stdout.splitlines()
    assert "--allow-metrics=false" not in words
    assert {"--metrics-address=127.0.0.1", "--metrics-port=8502"} <= set(words)


def test_further_arguments_are_the_servers(launch: Launch) -> None:
    assert "--log-verbose=1" in launch("--log-verbose=1").stdout.splitlines()


def test_an_allocator_is_preloaded_with_its_settings(launch: Launch) -> None:
    words = launch(settings={"TRITON_PRELOAD": "/lib/none.so"}).stdout.splitlines()
    assert "LD_PRELOAD=/lib/none.so" in words
    assert "MALLOC_CONF=background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0" in words


def test_an_empty_preload_is_glibcs_allocator(launch: Launch) -> None:
    assert "LD_PRELOAD" not in launch().stdout
    assert launch().stderr == ""


def test_pypis_server_gets_the_libraries_beside_it(launch: Launch, tmp_path: Path) -> None:
    server = tmp_path / "site" / "pytriton" / "tritonserver" / "bin" / "tritonserver"
    server.parent.mkdir(parents=True)
    (tmp_path / "bin" / "tritonserver").rename(server)
    (tmp_path / "site" / "nvidia_pytriton.libs").mkdir()
    words = launch(settings={"TRITON_BIN": str(server)}).stdout.splitlines()
    assert f"LD_LIBRARY_PATH={tmp_path}/site/nvidia_pytriton.libs" in words


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"TRITON_BIN": "/nowhere/tritonserver"}, "TRITON_BIN: /nowhere/tritonserver is not a program"),
        ({"TRITON_BIN": None, "PYTHON": "/bin/false"}, "no tritonserver: pip install --no-deps nvidia-pytriton"),
        ({"MODEL_REPOSITORY": "/nowhere"}, "MODEL_REPOSITORY: /nowhere is not a folder"),
        ({"TRITON_BACKENDS": "/nowhere"}, "no FIL backend in /nowhere: run make setup"),
    ],
)
def test_what_is_missing_is_named(launch: Launch, settings: dict[str, str | None], message: str) -> None:
    started = launch(settings=settings)
    assert started.returncode == 1
    assert message in started.stderr
