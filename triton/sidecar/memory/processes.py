"""Processes of this machine, as /proc shows them. See proc(5) and proc_net_tcp in the kernel's documentation."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

_LISTENING = "0A"
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Fields of /proc/<pid>/stat, counted after the name in parentheses, which may hold anything.
_STARTED, _RSS = 19, 21


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """`rss` is in bytes. `started` tells the process from a later one with the same number."""

    pid: int
    started: int
    rss: int


def read_process(pid: int, proc: Path = PROC) -> ProcessMemory:
    """What a process holds now.

    Raises:
        OSError: there is no such process.
    """
    fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return ProcessMemory(pid, int(fields[_STARTED]), _PAGE_BYTES * int(fields[_RSS]))


def find_listener(port: int, name: str, proc: Path = PROC) -> int | None:
    """The process that listens on the TCP `port`; else the only one called `name`; else None.

    Whose sockets they are can be seen of one's own processes only, names of all. None when it runs on another machine
    or in a container of its own.
    """
    wanted = {f"socket:[{inode}]" for inode in _listening_inodes(port, proc)}
    try:
        pids = sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdecimal())
    except OSError:
        return None
    for pid in pids:
        if wanted and not wanted.isdisjoint(_open_files(proc / str(pid))):
            return pid
    named = [pid for pid in pids if _name(proc / str(pid)) == name]
    return named[0] if len(named) == 1 else None


def _listening_inodes(port: int, proc: Path) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _open_files(process: Path) -> Iterator[str]:
    try:
        for link in (process / "fd").iterdir():
            yield str(link.readlink())
    except OSError:  # it has ended, has closed the file, or is somebody else's
        return


def _name(process: Path) -> str | None:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return None
