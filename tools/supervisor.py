"""Child processes started in order, brought back when they die, and stopped in reverse."""

import subprocess
import time
from collections.abc import Callable, Iterable
from enum import Enum
from types import TracebackType
from typing import Self

from tools.backoff import BackOff
from tools.process import Process, ending, is_ready, kill_group, spawn, stop, tail

_POLL_SECONDS = 0.05


class ChildDiedError(RuntimeError):
    """A child ended while it was starting for the first time. The message ends with the tail of its log."""


class NotReadyError(RuntimeError):
    """A child did not answer in time. The message ends with the tail of its log."""


class StoppedError(RuntimeError):
    """Told to stop before everything had started."""


class _Phase(Enum):
    """stopped → starting → ready → (stopping →) resting → starting …"""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"  # asked to, and to be started again at once
    RESTING = "resting"  # it died, and is started again when it is due


class Supervisor:
    """Runs `processes`.

    What cannot come up at the start fails the start. From then on `mend`, called again and again, as `watch` does,
    starts again each child that has died, and leaves the others alone; without it a dead child stays dead. Of several
    dead ones each waits for those before it, as at the start.
    `told_to_stop` is asked all the time. It lets a signal handler end things without interrupting anything.
    `progress` is told in words what happens, `on_change` that `pids` has changed since the start.
    """

    def __init__(
        self,
        processes: Iterable[Process],
        progress: Callable[[str], None] = lambda _: None,
        told_to_stop: Callable[[], bool] = lambda: False,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._children = {process.name: _Child(process, progress) for process in processes}
        self._progress = progress
        self._told_to_stop = told_to_stop
        self._on_change = on_change

    def start(self) -> None:
        """Start each process once the one before it is ready; on failure stop what was started.

        Raises:
            ChildDiedError, NotReadyError: one of them did not come up.
            StoppedError: told to stop meanwhile.
        """
        try:
            for child in self._children.values():
                self._progress(f"starting {child.process.name}")
                child.spawn()
                while not child.is_ready:
                    for started in self._children.values():
                        started.check()
                    if self._told_to_stop():
                        raise StoppedError(f"told to stop while {child.process.name} was starting")
                    time.sleep(_POLL_SECONDS)
        except BaseException:
            self.stop()
            raise

    def watch(self) -> None:
        """Bring back whatever dies, until told to stop."""
        while not self._told_to_stop():
            self.mend()
            time.sleep(_POLL_SECONDS)

    def mend(self) -> None:
        """Look at each child once, and take the next step towards all of them being ready. Never waits for one."""
        before = self.pids()
        in_order = True
        for child in self._children.values():
            child.look(may_start=in_order)
            in_order = in_order and child.phase is not _Phase.RESTING and child.phase is not _Phase.STARTING
        if self.pids() != before:
            self._on_change()

    def restart(self, name: str) -> None:
        """Begin to end a child and start it again; `mend` does the rest. Does nothing for one that is not ready."""
        self._children[name].restart()

    def is_ready(self, name: str) -> bool:
        """Whether the child was ready when last looked at."""
        return self._children[name].phase is _Phase.READY

    @property
    def is_whole(self) -> bool:
        """Whether all children were ready when last looked at."""
        return all(child.phase is _Phase.READY for child in self._children.values())

    def stop(self) -> None:
        """Stop all children, the last started first. Does nothing for those that are gone."""
        for child in reversed(self._children.values()):
            child.stop()

    def pids(self) -> dict[str, int]:
        """The process id of each child that was started and not yet found dead, by name."""
        return {name: child.running.pid for name, child in self._children.items() if child.running is not None}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


class _Child:
    """One process through its lives. `since` is when its phase began, on the monotonic clock."""

    def __init__(self, process: Process, progress: Callable[[str], None]) -> None:
        self.process = process
        self.phase = _Phase.STOPPED
        self.running: subprocess.Popen[bytes] | None = None
        self._progress = progress
        self._since = 0.0
        self._back_off = BackOff()

    def spawn(self) -> None:
        self.running = spawn(self.process)
        self._enter(_Phase.STARTING)

    def check(self) -> None:
        """Become ready if it is. Raises `ChildDiedError` or `NotReadyError` for one that will not."""
        if self.running is None:
            return
        if (code := self.running.poll()) is not None:
            raise ChildDiedError(f"{self.process.name} {ending(code)}{tail(self.process.log)}")
        if self._becomes_ready():
            return
        if self._is_late():
            raise NotReadyError(f"{self._lateness()}{tail(self.process.log)}")

    def look(self, may_start: bool) -> None:
        """Notice what has happened, and do what is due. One that is dead stays so unless it `may_start`."""
        if self.running is not None and (code := self.running.poll()) is not None:
            self._died(code)
        match self.phase:
            case _Phase.STARTING if not self._becomes_ready() and self._is_late():
                self._rest(self._lateness())
            case _Phase.STOPPING if self._age() > self.process.grace_seconds:
                self._kill()
                self._start_again()
            case _Phase.RESTING if may_start and self._age() >= self._back_off.pause:
                self._start_again()

    def restart(self) -> None:
        if self.phase is not _Phase.READY or self.running is None:
            return
        self._progress(f"{self.process.name} is restarted, as asked")
        if self.process.reload_signal is not None:
            self.running.send_signal(self.process.reload_signal)
            return
        self.running.send_signal(self.process.stop_signal)
        self._enter(_Phase.STOPPING)

    def stop(self) -> None:
        if self.running is not None:
            stop(self.process, self.running)
            self.running = None
        self._enter(_Phase.STOPPED)

    @property
    def is_ready(self) -> bool:
        return self.phase is _Phase.READY

    def _becomes_ready(self) -> bool:
        if self.phase is _Phase.STARTING and is_ready(self.process):
            self._progress(f"{self.process.name} is ready after {self._age():.1f} s")
            self._enter(_Phase.READY)
        return self.phase is _Phase.READY

    def _is_late(self) -> bool:
        return self.phase is _Phase.STARTING and self._age() > self.process.ready_seconds

    def _lateness(self) -> str:
        return f"{self.process.name} did not answer {self.process.ready_url} in {self.process.ready_seconds:.0f} s"

    def _died(self, code: int) -> None:
        if self.phase is _Phase.STOPPING:
            self._kill()
            self._start_again()
        else:
            self._rest(f"{self.process.name} {ending(code)}")

    def _rest(self, why: str) -> None:
        lived = self._age() if self.phase is _Phase.READY else 0.0
        self._kill()
        self._back_off = self._back_off.died(lived)
        self._enter(_Phase.RESTING)
        self._progress(f"{why}: it is started again in {self._back_off.pause:g} s; its log is {self.process.log}")

    def _start_again(self) -> None:
        try:
            self.spawn()
        except OSError as error:
            self._rest(f"{self.process.name} cannot be started ({error})")

    def _kill(self) -> None:
        if self.running is not None:
            kill_group(self.running)
            self.running = None

    def _enter(self, phase: _Phase) -> None:
        self.phase = phase
        self._since = time.monotonic()

    def _age(self) -> float:
        return time.monotonic() - self._since
