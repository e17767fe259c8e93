"""The machine's memory, as the kernel reckons it."""

from dataclasses import dataclass
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class MachineMemory:
    """In bytes; `available` is what can be had without swapping. See proc_meminfo(5)."""

    total: int
    available: int


def read_machine_memory(source: Path = _MEMINFO) -> MachineMemory:
    """Read the kernel's figures.

    Raises:
        OSError: they cannot be read.
    """
    lines = dict(line.split(":", 1) for line in source.read_text().splitlines())
    total, available = (1024 * int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    return MachineMemory(total, available)
