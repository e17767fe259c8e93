"""`orchard doctor`, as a user runs it: on a machine without a node, and beside one that runs."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from loadtests.s3_server import BUCKET, S3Server
from tests.integration.crashes import wait_until
from tests.integration.orchard import publish, settings_for
from tests.models import train
from tools.catalog.store import open_store
from tools.ports import free_ports
from tools.stack import Node

ORCHARD = str(Path(sys.executable).with_name("orchard"))


def test_without_a_node_the_machine_is_checked_and_a_missing_store_is_wrong(tmp_path: Path) -> None:
    code, said = doctor(tmp_path, "--store", str(tmp_path / "nowhere"), "--disk-budget", "1MiB")
    assert code == 1
    assert "wrong" in said
    assert str(tmp_path / "nowhere") in said
    assert "1 thing is wrong" in said


def test_what_would_work_is_fine_and_nothing_is_changed(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    code, said = doctor(
        tmp_path, "--store", str(tmp_path / "store"), "--disk-budget", "1MiB", "--memory-budget", "1MiB"
    )
    assert code == 0, said
    assert "nothing is wrong" in said
    assert "is free for http" in said
    assert [entry.name for entry in tmp_path.iterdir()] == ["store"]


def test_a_running_node_is_checked_by_its_own_settings_and_a_dead_part_is_found(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, disk_budget="1MiB")
    publish(tmp_path, {"a": train("reg:squarederror")}, settings.store)
    with Node(settings) as node:
        code, said = doctor(tmp_path, "--state", str(settings.state), "--store", "elsewhere")
        assert code == 0, said
        assert "it is running, and Triton answers" in said
        assert "2.51.0" in said
        assert settings.store in said
        os.kill(node.pid("triton"), signal.SIGKILL)
        wait_until(lambda: "Triton does not answer" in doctor(tmp_path, "--state", str(settings.state))[1])
        assert doctor(tmp_path, "--state", str(settings.state))[0] == 1


def test_a_store_on_s3_is_asked_for_its_time(tmp_path: Path) -> None:
    with S3Server(tmp_path) as server:
        environment = {**os.environ, **server.environment}
        arguments = ("--store", f"s3://{BUCKET}/prefix", "--disk-budget", "1MiB", "--memory-budget", "1MiB")
        code, said = doctor(tmp_path, *arguments, environment=environment)
        assert code == 0, said
        assert "as the store's" in said


def test_a_folder_has_no_clock_of_its_own(tmp_path: Path) -> None:
    assert open_store(str(tmp_path)).clock() is None


def doctor(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Exit status, and what was said on one long line."""
    ports = (str(port) for port in free_ports(3))
    options = [
        word for name, port in zip(("http", "grpc", "admin"), ports, strict=True) for word in (f"--{name}-port", port)
    ]
    done = subprocess.run(
        [ORCHARD, "doctor", *options, *arguments],
        cwd=folder,
        env={**(environment or os.environ), "COLUMNS": "1000"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    return done.returncode, " ".join(done.stdout.split())
