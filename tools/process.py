"""One child process: what to run, how it is started and stopped, and how to see that it is ready.

Every child leads a process group of its own, so that a Ctrl-C in the terminal reaches only us and stopping a child
stops what it has started. Children also end when this process is killed without a chance to stop them.
"""

import contextlib
import os
import resource
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

TAIL_LINES = 15
_ASK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Process:
    """One child: what to run, how to see that it is ready, and how to stop it.

    It is ready when a GET of `ready_url` answers `ready_status`. `environment` is added to ours. Standard output and
    error are appended to `log`. After `stop_signal` it has `grace_seconds` to end before its group is killed. With a
    `reload_signal` it starts afresh by itself, without ending, when it is told to restart. It may use the CPUs in
    `cpus`, or when there are none those that we may.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    ready_url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_status: int = 200
    ready_seconds: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    reload_signal: signal.Signals | None = None
    grace_seconds: float = 10.0
    cpus: frozenset[int] = frozenset()


def spawn(process: Process) -> subprocess.Popen[bytes]:
    """Start it. Raises OSError when it cannot be."""
    process.log.parent.mkdir(parents=True, exist_ok=True)
    # setpriv, not a preexec_fn: that needs a true fork, in whose child gRPC's fork handlers may abort.
    leash: tuple[str, ...] = ("setpriv", "--pdeathsig", process.stop_signal.name)
    if process.cpus:
        leash += ("taskset", "--cpu-list", ",".join(str(cpu) for cpu in sorted(process.cpus)))
    with process.log.open("ab") as log:
        child = subprocess.Popen(
            (*leash, *process.command),
            env={**os.environ, **process.environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (descriptors, descriptors))
    return child


def stop(process: Process, running: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and see that it and all it has started are gone."""
    if running.poll() is None:
        running.send_signal(process.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(process.grace_seconds)
    kill_group(running)


def kill_group(running: subprocess.Popen[bytes]) -> None:
    """Kill the child, if it lives, and whatever it has left behind: that is still in its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def is_ready(process: Process) -> bool:
    """Whether it says so now. Takes half a second when it does not answer."""
    return _status_of(process.ready_url) == process.ready_status


def ending(code: int) -> str:
    """An exit status in words."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with status {code}"


def tail(log: Path) -> str:
    """The end of a log, to go after a message."""
    lines = _last_bytes(log, 16_384).decode(errors="replace").splitlines()[-TAIL_LINES:]
    return "".join(f"\n  {line}" for line in [f"the end of {log}:", *lines])


def _status_of(url: str) -> int | None:
    try:
        with urllib.request.urlopen(url, timeout=_ASK_SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code
    except OSError:
        return None


def _last_bytes(path: Path, count: int) -> bytes:
    file: BinaryIO
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - count))
        return file.read()
