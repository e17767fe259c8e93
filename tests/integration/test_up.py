"""`orchard up` and `orchard status`, as a user runs them: starting, stopping, and what can go wrong."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

ORCHARD = str(Path(sys.executable).with_name("orchard"))
PARTS = ("triton", "sidecar", "nginx")


class Up:
    """`orchard up` in a folder of its own, on free ports."""

    def __init__(self, folder: Path, *options: str) -> None:
        (folder / "store").mkdir(exist_ok=True)
        self.state = folder / ".orchard"
        ports = ("--http-port", "0", "--grpc-port", "0", "--admin-port", "0")
        self.process = subprocess.Popen(
            [ORCHARD, "up", *ports, *options],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_ready(self) -> dict[str, Any]:
        """What node.json says once it is there."""
        wait_for((self.state / "node.json").exists, 30)
        described: dict[str, Any] = json.loads((self.state / "node.json").read_text())
        return described

    def pids(self) -> dict[str, int]:
        """The process ids of the parts now."""
        described: dict[str, dict[str, int]] = json.loads((self.state / "node.json").read_text())
        return described["pids"]

    def finish(self, seconds: float = 20.0) -> tuple[int, str, str]:
        """Exit status, standard output and error."""
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, err

    def kill(self) -> None:
        """Make sure that it is gone."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start_one(*options: str) -> Up:
        started.append(Up(tmp_path, *options))
        return started[-1]

    yield start_one
    for up in started:
        up.kill()


def test_all_addresses_answer_and_stopping_leaves_nothing_behind(start: Callable[..., Up], tmp_path: Path) -> None:
    up = start()
    node = up.wait_ready()
    at = node["addresses"]
    assert status_of(f"http://{at['http']}/v2/health/ready") == 200
    assert status_of(f"http://{at['admin']}/ping") == 200
    socket.create_connection(address(at["grpc"]), timeout=2).close()
    up.process.send_signal(signal.SIGINT)
    code, out, err = up.finish()
    assert (code, err) == (0, "")
    assert at["http"] in out
    assert at["grpc"] in out
    assert at["admin"] in out
    assert members_of(node["pids"].values()) == []
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".orchard", "model_repository", "store"]
    assert sorted(log.name for log in (up.state / "logs").iterdir()) == [f"{part}.log" for part in sorted(PARTS)]
    assert not (up.state / "node.json").exists()


def test_a_part_that_dies_is_started_again_and_the_others_live_on(start: Callable[..., Up]) -> None:
    up = start()
    node = up.wait_ready()
    for part in PARTS:
        before = up.pids()
        os.kill(before[part], signal.SIGKILL)
        wait_for(lambda before=before, part=part: up.pids().get(part, before[part]) != before[part], 30)  # type: ignore[misc]
        assert {other: pid for other, pid in up.pids().items() if other != part} == {
            other: pid for other, pid in before.items() if other != part
        }
        wait_for(lambda: answers(f"http://{node['addresses']['http']}/v2/health/ready"), 30)
        wait_for(lambda: answers(f"http://{node['addresses']['admin']}/ping"), 30)
    last = up.pids()
    up.process.send_signal(signal.SIGINT)
    code, out, err = up.finish()
    assert (code, err) == (0, "")
    for part in PARTS:
        assert f"{part} was killed by SIGKILL: it is started again" in out
        assert f"{part}.log" in out
    assert members_of([*node["pids"].values(), *last.values()]) == []


def test_being_told_to_stop_while_a_part_is_away_leaves_nothing_behind(start: Callable[..., Up]) -> None:
    up = start()
    node = up.wait_ready()
    os.kill(node["pids"]["triton"], signal.SIGKILL)
    up.process.send_signal(signal.SIGINT)
    code, _, err = up.finish()
    assert (code, err) == (0, "")
    assert members_of(node["pids"].values()) == []


def test_killing_up_itself_leaves_nothing_behind(start: Callable[..., Up]) -> None:
    up = start()
    node = up.wait_ready()
    up.kill()
    wait_for(lambda: members_of(node["pids"].values()) == [], 15)


def test_a_node_can_start_where_one_was_killed(start: Callable[..., Up]) -> None:
    first = start()
    pids = first.wait_ready()["pids"]
    first.kill()
    wait_for(lambda: members_of(pids.values()) == [], 15)
    second = start()
    wait_for(lambda: second.state.joinpath("node.json").exists() and second.wait_ready()["pids"] != pids, 30)
    second.process.send_signal(signal.SIGTERM)
    assert second.finish()[0] == 0


def test_being_told_to_stop_while_starting_leaves_nothing_behind(start: Callable[..., Up], tmp_path: Path) -> None:
    up = start()
    wait_for((up.state / "logs" / "triton.log").exists, 30)
    up.process.send_signal(signal.SIGTERM)
    up.process.send_signal(signal.SIGINT)
    code, out, err = up.finish()
    assert (code, err) == (0, "")
    assert "ready" not in out
    assert [pid for pid in all_pids() if str(tmp_path).encode() in environment_of(pid)] == []


def test_a_second_up_in_the_same_folder_is_refused(start: Callable[..., Up]) -> None:
    first = start()
    first.wait_ready()
    code, _, err = start().finish()
    assert code == 2
    assert "already running" in err
    assert str(first.state) in err
    assert first.process.poll() is None
    assert (first.state / "node.json").exists()


def test_a_port_in_use_is_refused_by_name(start: Callable[..., Up]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = start("--grpc-port", str(port)).finish()
    assert code == 2
    assert f"port {port}" in err


def test_a_bad_setting_is_said_by_the_part_that_refused_it(start: Callable[..., Up]) -> None:
    up = start("--memory-budget", "plenty")
    code, _, err = up.finish()
    assert code == 1
    assert "sidecar ended with status 2" in err
    assert "'plenty' is not a size" in err


def test_status_shows_the_node_of_the_folder(start: Callable[..., Up], tmp_path: Path) -> None:
    assert "no node is running" in status(tmp_path).stderr
    up = start("--memory-budget", "300MB")
    up.wait_ready()
    shown = status(tmp_path)
    assert shown.returncode == 0
    assert "0 of 300 MB" in shown.stdout
    answered = json.loads(status(tmp_path, "--json").stdout)
    assert answered["budget_bytes"] == 300_000_000
    up.kill()
    gone = status(tmp_path)
    assert gone.returncode == 1
    assert "no node answers" in gone.stderr


def test_a_folder_whose_path_has_spaces_and_quotes_is_fine(tmp_path: Path) -> None:
    folder = tmp_path / "a b'c"
    folder.mkdir()
    up = Up(folder)
    try:
        up.wait_ready()
        up.process.send_signal(signal.SIGTERM)
        assert up.finish()[0] == 0
    finally:
        up.kill()
        shutil.rmtree(folder)


def status(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ORCHARD, "status", *options], cwd=folder, capture_output=True, text=True, check=False, timeout=30
    )


def status_of(url: str) -> int:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return int(answer.status)


def answers(url: str) -> bool:
    try:
        return status_of(url) == 200
    except OSError:
        return False


def address(text: str) -> tuple[str, int]:
    host, port = text.split(":")
    return host, int(port)


def all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def members_of(groups: Iterable[int]) -> list[int]:
    """The living processes of these process groups."""
    wanted = set(groups)
    return [pid for pid in all_pids() if _group_of(pid) in wanted]


def _group_of(pid: int) -> int | None:
    try:
        state, _, group = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return None
    return None if state == "Z" else int(group)


def environment_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
