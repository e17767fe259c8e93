"""What a node holds of its machine: processes, memory, threads, open files, and files on disk. See proc(5)."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench.processes import resident_bytes, with_children

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Footprint:
    """One part of a node, with the processes it has started."""

    processes: int
    rss: int
    threads: int
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> "Footprint":
        """What the process `pid` and those below it hold now."""
        pids = with_children(pid)
        return cls(
            processes=len(pids),
            rss=sum(resident_bytes(each) for each in pids),
            threads=sum(len(list((_PROC / str(each) / "task").iterdir())) for each in pids),
            descriptors=sum(len(list((_PROC / str(each) / "fd").iterdir())) for each in pids),
        )


@dataclass(frozen=True, slots=True)
class Growth:
    """How much more a part may hold at the end: pools, caches and kept connections come and go."""

    rss_share: float = 0.10
    rss_bytes: int = 16 * 2**20
    threads: int = 8
    descriptors: int = 24


def leaks(part: str, before: Footprint, after: Footprint, allowed: Growth) -> list[str]:
    """What has grown by more than it may, in words."""
    most = {
        "processes": before.processes,
        "rss": round(before.rss * (1 + allowed.rss_share)) + allowed.rss_bytes,
        "threads": before.threads + allowed.threads,
        "descriptors": before.descriptors + allowed.descriptors,
    }
    return [
        f"{part}: {what} grew from {getattr(before, what):,} to {getattr(after, what):,}"
        for what, bound in most.items()
        if getattr(after, what) > bound
    ]


def processes_of(folder: Path) -> dict[int, str]:
    """The processes whose command line or environment names `folder`, by number, but for this one and its parents."""
    wanted = str(folder).encode()
    found = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and int(entry.name) not in _own():
            try:
                command = (entry / "cmdline").read_bytes()
                if command and wanted in command + (entry / "environ").read_bytes():
                    found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")[:120]
            except OSError:  # it has ended, or is somebody else's
                continue
    return found


def files_below(folder: Path) -> Counter[str]:
    """How many files there are in each folder right below `folder`, and in it itself as ``.``."""
    counts: Counter[str] = Counter()
    for path in folder.rglob("*"):
        if path.is_file():
            inside = path.relative_to(folder).parts
            counts[inside[0] if len(inside) > 1 else "."] += 1
    return counts


def _own() -> set[int]:
    pids, pid = set[int](), "self"
    while pid not in ("0", ""):
        status = dict(line.split(":", 1) for line in (_PROC / pid / "status").read_text().splitlines())
        pids.add(int(status["Pid"]))
        pid = status["PPid"].strip()
    return pids
