"""How much memory Triton uses, and how much it could have."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from sidecar.memory.cgroups import MOUNT, read_room
from sidecar.memory.machine import MachineMemory, read_machine_memory
from sidecar.memory.processes import PROC, ProcessMemory, find_listener, read_process

_SERVER = "tritonserver"


class Whose(Enum):
    """Whose memory is read."""

    TRITON = "triton"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class Reading:
    """In bytes. `limit` is what could be used in all: `used`, and what the machine and the control groups leave.

    `process` is Triton's, when its own memory is what was read.
    """

    used: int
    limit: int
    whose: Whose
    process: ProcessMemory | None = None


class MemorySource:
    """Reads Triton's resident set where its process can be seen, and the whole machine's use where it cannot.

    It can when it listens on `port` of this machine, or is the only tritonserver here. In a container of its own it
    cannot, and neither can its control group: the one of this process says nothing of Triton. `limit` is what Triton
    is given by whoever set it up, beside what the kernel knows of.
    """

    def __init__(self, port: int, limit: int | None = None, proc: Path = PROC, cgroups: Path = MOUNT) -> None:
        self._port = port
        self._limit = limit
        self._proc = proc
        self._cgroups = cgroups
        self._found: ProcessMemory | None = None

    def read(self) -> Reading | None:
        """What is used now; None when this machine does not tell. Takes milliseconds while Triton has to be found."""
        process, machine = self._triton(), self._machine()
        if process is None:
            return Reading(machine.total - machine.available, machine.total, Whose.MACHINE) if machine else None
        rooms = (
            machine.available if machine else None,
            read_room(process.pid, self._proc, self._cgroups),
            max(self._limit - process.rss, 0) if self._limit is not None else None,
        )
        known = [room for room in rooms if room is not None]
        return Reading(process.rss, process.rss + min(known), Whose.TRITON, process) if known else None

    def _triton(self) -> ProcessMemory | None:
        if self._found is not None:
            now = self._process(self._found.pid)
            if now is not None and now.started == self._found.started:
                return now
        pid = find_listener(self._port, _SERVER, self._proc)
        self._found = self._process(pid) if pid is not None else None
        return self._found

    def _process(self, pid: int) -> ProcessMemory | None:
        try:
            return read_process(pid, self._proc)
        except OSError:
            return None

    def _machine(self) -> MachineMemory | None:
        try:
            return read_machine_memory(self._proc / "meminfo")
        except OSError:
            return None
