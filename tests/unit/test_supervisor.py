"""Starting, watching and stopping child processes, with small real ones."""

import http.server
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tools.process import Process
from tools.supervisor import ChildDiedError, NotReadyError, StoppedError, Supervisor

NOWHERE = "http://127.0.0.1:9/"


class Teapot(http.server.BaseHTTPRequestHandler):
    """Says 418 to everyone."""

    def do_GET(self) -> None:
        self.send_response(418)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""


@pytest.fixture(scope="module")
def teapot() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Teapot) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def shell(folder: Path, url: str, script: str, name: str = "child", grace: float = 5.0, ready: float = 5.0) -> Process:
    return Process(
        name=name,
        command=("sh", "-c", script),
        log=folder / f"{name}.log",
        ready_url=url,
        ready_status=418,
        ready_seconds=ready,
        grace_seconds=grace,
        environment={"GREETING": "hello"},
    )


def test_output_and_environment_of_a_child_are_its_own(tmp_path: Path, teapot: str) -> None:
    with Supervisor([shell(tmp_path, teapot, 'echo "$GREETING"; echo oops >&2; exec sleep 60')]) as running:
        wait_until(lambda: (tmp_path / "child.log").read_text() == "hello\noops\n")
    assert running.pids() == {}


def test_a_child_that_does_not_come_up_is_named_with_its_status_and_its_last_words(tmp_path: Path) -> None:
    script = "for n in $(seq 100); do echo line $n; done; exit 3"
    with pytest.raises(ChildDiedError) as died:
        Supervisor([shell(tmp_path, NOWHERE, script)]).start()
    message = str(died.value)
    assert message.startswith("child ended with status 3")
    assert "line 100" in message
    assert "line 50\n" not in message


def test_a_child_that_dies_is_started_again_and_the_other_lives_on(tmp_path: Path, teapot: str) -> None:
    said: list[str] = []
    changes: list[dict[str, int]] = []
    children = [shell(tmp_path, teapot, "echo up; exec sleep 60", name) for name in ("one", "other")]
    running = Supervisor(children, said.append, on_change=lambda: changes.append(running.pids()))
    with running:
        before = running.pids()
        os.kill(before["one"], signal.SIGKILL)
        mend_until(running, lambda: running.pids().get("one", before["one"]) != before["one"] and running.is_whole)
        assert running.pids()["other"] == before["other"]
        assert changes[-1] == running.pids()
    assert (tmp_path / "one.log").read_text() == "up\nup\n"
    assert any(line.startswith("one was killed by SIGKILL: it is started again in 0.1 s") for line in said)


def test_of_two_dead_children_the_second_waits_for_the_first(tmp_path: Path, teapot: str) -> None:
    children = [shell(tmp_path, teapot, "exec sleep 60", name) for name in ("one", "other")]
    with Supervisor(children) as running:
        # From now on nothing says that the first is ready.
        running._children["one"].process = replace(children[0], ready_url=NOWHERE)
        for pid in running.pids().values():
            os.kill(pid, signal.SIGKILL)
        mend_until(running, lambda: running.pids().keys() == {"one"})
        for _ in range(10):
            running.mend()
        assert running.pids().keys() == {"one"}
        running._children["one"].process = children[0]
        mend_until(running, lambda: running.is_whole)


def test_a_child_that_keeps_dying_is_tried_with_growing_pauses(tmp_path: Path, teapot: str) -> None:
    said: list[str] = []
    running = Supervisor([shell(tmp_path, teapot, "sleep 0.1; exit 1")], said.append)
    with running:
        mend_until(running, lambda: sum("is started again" in line for line in said) >= 3)
    pauses = [line.split(" again in ")[1].split(" ")[0] for line in said if "is started again" in line]
    assert pauses[:3] == ["0.1", "0.2", "0.4"]


def test_a_child_that_comes_up_no_more_is_tried_again_and_said_to_be_late(tmp_path: Path, teapot: str) -> None:
    said: list[str] = []
    once = tmp_path / "once"
    script = f"[ -e {once} ] && sleep 60; touch {once}; exec sleep 60"
    child = shell(tmp_path, teapot, script)
    with Supervisor([child], said.append) as running:
        # From now on nothing says that it is ready.
        running._children["child"].process = replace(child, ready_url=NOWHERE, ready_seconds=0.3)
        os.kill(running.pids()["child"], signal.SIGKILL)
        mend_until(running, lambda: sum("is started again" in line for line in said) >= 2)
    assert "did not answer" in said[-1]


def test_a_restart_that_is_asked_for_lets_the_child_finish_and_comes_without_a_pause(
    tmp_path: Path, teapot: str
) -> None:
    script = 'trap "sleep 0.2; echo done; exit" TERM; echo up; while :; do sleep 0.05; done'
    said: list[str] = []
    with Supervisor([shell(tmp_path, teapot, script)], said.append) as running:
        wait_until(lambda: (tmp_path / "child.log").read_text() == "up\n")
        running.restart("child")
        assert not running.is_ready("child")
        mend_until(running, lambda: running.is_ready("child"))
        wait_until(lambda: (tmp_path / "child.log").read_text() == "up\ndone\nup\n")
    assert not any("started again in" in line for line in said)


def test_a_restart_of_a_child_that_will_not_go_kills_it(tmp_path: Path, teapot: str) -> None:
    script = 'trap "" TERM; echo up; while :; do sleep 0.05; done'
    with Supervisor([shell(tmp_path, teapot, script, grace=0.3)]) as running:
        wait_until(lambda: (tmp_path / "child.log").read_text() == "up\n")
        first = running.pids()
        running.restart("child")
        mend_until(running, lambda: running.pids() != first and running.is_whole)
        assert not is_alive(first["child"])


def test_a_child_that_can_start_afresh_by_itself_keeps_its_process(tmp_path: Path, teapot: str) -> None:
    script = 'trap "echo afresh" HUP; echo up; while :; do sleep 0.05; done'
    child = replace(shell(tmp_path, teapot, script), reload_signal=signal.SIGHUP)
    with Supervisor([child]) as running:
        wait_until(lambda: (tmp_path / "child.log").read_text() == "up\n")
        first = running.pids()
        running.restart("child")
        running.mend()
        assert running.is_whole
        assert running.pids() == first
        wait_until(lambda: (tmp_path / "child.log").read_text() == "up\nafresh\n")


def test_when_the_second_does_not_come_up_the_first_is_stopped(tmp_path: Path, teapot: str) -> None:
    first = shell(tmp_path, teapot, "exec sleep 60", name="first")
    second = shell(tmp_path, NOWHERE, "echo waiting; exec sleep 60", name="second", ready=0.3)
    running = Supervisor([first, second])
    with pytest.raises(NotReadyError, match=r"(?s)second did not answer .*waiting"):
        running.start()
    assert running.pids() == {}


def test_being_told_to_stop_ends_the_starting(tmp_path: Path) -> None:
    running = Supervisor([shell(tmp_path, NOWHERE, "exec sleep 60")], told_to_stop=lambda: True)
    with pytest.raises(StoppedError):
        running.start()
    assert running.pids() == {}


def test_being_told_to_stop_ends_the_watching(tmp_path: Path, teapot: str) -> None:
    told: list[bool] = []
    with Supervisor([shell(tmp_path, teapot, "exec sleep 60")], told_to_stop=lambda: bool(told)) as running:
        threading.Timer(0.2, lambda: told.append(True)).start()
        running.watch()
        assert told


def test_a_child_may_finish_what_it_does_before_it_goes(tmp_path: Path, teapot: str) -> None:
    script = 'trap "sleep 0.3; echo done; exit" TERM; echo up; while :; do sleep 0.05; done'
    with Supervisor([shell(tmp_path, teapot, script)]):
        wait_until(lambda: (tmp_path / "child.log").read_text() == "up\n")
    assert (tmp_path / "child.log").read_text() == "up\ndone\n"


def test_a_child_that_will_not_go_is_killed_with_all_it_has_started(tmp_path: Path, teapot: str) -> None:
    script = 'trap "" TERM; sleep 60 & echo $!; while :; do sleep 0.05; done'
    with Supervisor([shell(tmp_path, teapot, script, grace=0.3)]) as running:
        wait_until(lambda: (tmp_path / "child.log").read_text().endswith("\n"))
        pids = [running.pids()["child"], int((tmp_path / "child.log").read_text())]
        began = time.monotonic()
    assert time.monotonic() - began < 3
    wait_until(lambda: not any(is_alive(pid) for pid in pids))


def test_what_a_dead_child_left_behind_is_gone_before_it_is_started_again(tmp_path: Path, teapot: str) -> None:
    with Supervisor([shell(tmp_path, teapot, "sleep 60 & echo $!; wait")]) as running:
        wait_until(lambda: (tmp_path / "child.log").read_text().endswith("\n"))
        grandchild = int((tmp_path / "child.log").read_text())
        os.kill(running.pids()["child"], signal.SIGKILL)
        assert is_alive(grandchild)
        mend_until(running, lambda: len((tmp_path / "child.log").read_text().split()) == 2)
        assert not is_alive(grandchild)


def test_the_last_child_started_stops_first(tmp_path: Path, teapot: str) -> None:
    order = tmp_path / "order"
    script = f'trap "echo -$0 >> {order}; exit" TERM; echo "+$0" >> {order}; while :; do sleep 0.05; done'
    children = [
        Process(name, ("sh", "-c", script, name), tmp_path / name, teapot, ready_status=418) for name in ("a", "b", "c")
    ]
    with Supervisor(children):
        wait_until(lambda: order.exists() and len(order.read_text().split()) == 3)
    assert order.read_text().split()[3:] == ["-c", "-b", "-a"]


def mend_until(running: Supervisor, condition: Callable[[], bool]) -> None:
    def mended() -> bool:
        running.mend()
        return condition()

    wait_until(mended, 10)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
