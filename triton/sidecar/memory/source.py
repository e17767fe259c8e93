"""How much memory Triton uses, and how much it could have."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from sidecar.memory.cgroups import MOUNT, read_room
from sidecar.memory.machine import MachineMemory, read_machine_memory
from sidecar.memory.processes import PROC, ProcessMemory, find_listener, read_process

_SERVER = "tritonserver"


class By(Enum):
    """How it is known what Triton uses."""

    MEASURE = "measure"
    RECKONING = "reckoning"


@dataclass(frozen=True, slots=True)
class Reading:
    """In bytes. `limit` is what could be used in all: `used`, and what the machine and the control groups leave.

    `process` is Triton's, when what it uses was measured.
    """

    used: int
    limit: int
    process: ProcessMemory | None = None

    @property
    def by(self) -> By:
        return By.RECKONING if self.process is None else By.MEASURE


class MemorySource:
    """Reads Triton's resident set where its process can be seen, and what memory is left to it.

    It can be seen when it listens on `port` of this machine, or is the only tritonserver here. In a container of its
    own it cannot, and neither can its control group: the one of this process says nothing of Triton. `limit` is what
    Triton is given by whoever set it up, beside what the kernel knows of.
    """

    def __init__(self, port: int, limit: int | None = None, proc: Path = PROC, cgroups: Path = MOUNT) -> None:
        self._port = port
        self._limit = limit
        self._proc = proc
        self._cgroups = cgroups
        self._found: ProcessMemory | None = None

    def read(self, reckoned: int) -> Reading | None:
        """What is used now; None when nothing tells how much there is. `reckoned` is what models should use.

        Takes milliseconds while Triton has to be found.
        """
        process, machine = self._triton(), self._machine()
        used = process.rss if process else reckoned
        rooms = (
            machine.available if machine else None,
            read_room(process.pid, self._proc, self._cgroups) if process else None,
            max(self._limit - used, 0) if self._limit is not None else None,
        )
        known = [room for room in rooms if room is not None]
        return Reading(used, used + min(known), process) if known else None

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
