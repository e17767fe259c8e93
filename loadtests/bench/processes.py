"""What the kernel says of running processes: processor time and resident memory."""

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def with_children(pid: int) -> list[int]:
    """`pid` and every process below it: nginx's master and its workers. See proc_pid_task(5)."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += with_children(int(child))
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time, user and system, that the processes have used so far. See proc_pid_stat(5)."""
    total = 0
    for pid in pids:
        # The second field, the command's name in brackets, may hold spaces.
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        user, system = after_name[11], after_name[12]
        total += int(user) + int(system)
    return total / _TICKS_PER_SECOND


def resident_bytes(pid: int) -> int:
    """The process's resident set. See proc_pid_status(5)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(f"process {pid} has no memory: it has ended")
