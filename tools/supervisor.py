"""Child processes that live and die together: started in order, watched, and stopped in reverse.

Every child leads a process group of its own, so that a Ctrl-C in the terminal reaches only us and stopping a child
stops what it has started. Children also end when this process is killed without a chance to stop them.
"""

import contextlib
import os
import resource
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

TAIL_LINES = 15
_POLL_SECONDS = 0.05


class ChildDiedError(RuntimeError):
    """A child ended by itself. The message says which, how, and ends with the tail of its log."""


class NotReadyError(RuntimeError):
    """A child did not answer in time. The message ends with the tail of its log."""


class StoppedError(RuntimeError):
    """Told to stop before everything had started."""


@dataclass(frozen=True, slots=True)
class Process:
    """One child: what to run, how to see that it is ready, and how to stop it.

    It is ready when a GET of `ready_url` answers `ready_status`. `environment` is added to ours. Standard output and
    error are appended to `log`. After `stop_signal` it has `grace_seconds` to end before its group is killed. It may
    use the CPUs in `cpus`, or when there are none those that we may.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    ready_url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_status: int = 200
    ready_seconds: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0
    cpus: frozenset[int] = frozenset()


class Supervisor:
    """Runs `processes`; what happens when one of them dies is decided in `watch`, and nowhere else.

    `told_to_stop` is asked all the time. It lets a signal handler end things without interrupting anything.
    """

    def __init__(
        self,
        processes: Iterable[Process],
        progress: Callable[[str], None] = lambda _: None,
        told_to_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._processes = tuple(processes)
        self._progress = progress
        self._told_to_stop = told_to_stop
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start each process once the one before it is ready; on failure stop what was started.

        Raises:
            ChildDiedError, NotReadyError: one of them did not come up.
            StoppedError: told to stop meanwhile.
        """
        try:
            for process in self._processes:
                began = time.monotonic()
                self._progress(f"starting {process.name}")
                self._running[process.name] = _spawn(process)
                self._wait_ready(process)
                self._progress(f"{process.name} is ready after {time.monotonic() - began:.1f} s")
        except BaseException:
            self.stop()
            raise

    def watch(self) -> None:
        """Block while all children live and nobody tells us to stop.

        Raises:
            ChildDiedError: one has ended. The caller stops the others.
        """
        while not self._told_to_stop():
            self.check()
            time.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """Raise `ChildDiedError` if a child has ended."""
        for process in self._processes:
            running = self._running.get(process.name)
            if running is not None and running.poll() is not None:
                raise ChildDiedError(f"{process.name} {_ending(running.returncode)}{_tail(process.log)}")

    def stop(self) -> None:
        """Stop all children, the last started first. Does nothing for those that are gone."""
        for process in reversed(self._processes):
            running = self._running.pop(process.name, None)
            if running is not None:
                _stop(process, running)

    def pids(self) -> dict[str, int]:
        """The process id of each child that was started, by name."""
        return {name: running.pid for name, running in self._running.items()}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _wait_ready(self, process: Process) -> None:
        deadline = time.monotonic() + process.ready_seconds
        while _status_of(process.ready_url) != process.ready_status:
            self.check()
            if self._told_to_stop():
                raise StoppedError(f"told to stop while {process.name} was starting")
            if time.monotonic() > deadline:
                raise NotReadyError(
                    f"{process.name} did not answer {process.ready_url} in {process.ready_seconds:.0f} s"
                    f"{_tail(process.log)}"
                )
            time.sleep(_POLL_SECONDS)


def _spawn(process: Process) -> subprocess.Popen[bytes]:
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


def _stop(process: Process, running: subprocess.Popen[bytes]) -> None:
    if running.poll() is None:
        running.send_signal(process.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(process.grace_seconds)
    # Whatever the child left behind is still in its group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def _status_of(url: str) -> int | None:
    try:
        with urllib.request.urlopen(url, timeout=2.0) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code
    except OSError:
        return None


def _ending(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with status {code}"


def _tail(log: Path) -> str:
    lines = _last_bytes(log, 16_384).decode(errors="replace").splitlines()[-TAIL_LINES:]
    return "".join(f"\n  {line}" for line in [f"the end of {log}:", *lines])


def _last_bytes(path: Path, count: int) -> bytes:
    file: BinaryIO
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - count))
        return file.read()
