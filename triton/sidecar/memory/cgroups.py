"""The memory that control groups leave to a process, in version 1 and version 2 of their files.

See cgroup-v2.rst and cgroup-v1/memory.rst in the kernel's documentation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sidecar.memory.processes import PROC

MOUNT = Path("/sys/fs/cgroup")
# What version 1 says when there is no limit is the largest number of whole pages.
_NO_LIMIT = 1 << 60


@dataclass(frozen=True, slots=True)
class _Files:
    limit: str
    used: str
    reclaimable: str  # of memory.stat: file pages that are the first to go


_V1 = _Files("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = _Files("memory.max", "memory.current", "inactive_file")


def read_room(pid: int, proc: Path = PROC, mount: Path = MOUNT) -> int | None:
    """Bytes that the process's control groups, all the way up, let it have beside what is in use; None: no limit."""
    rooms = [room for folder, files in _groups(pid, proc, mount) if (room := _room(folder, files)) is not None]
    return min(rooms, default=None)


def _groups(pid: int, proc: Path, mount: Path) -> Iterator[tuple[Path, _Files]]:
    """The groups' folders, as far as they are there: a container sees its own as the topmost."""
    try:
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        hierarchy, controllers, path = line.split(":", 2)
        if hierarchy == "0":
            yield from ((folder, _V2) for folder in _upwards(mount, path))
        elif "memory" in controllers.split(","):
            yield from ((folder, _V1) for folder in _upwards(mount / "memory", path))


def _upwards(top: Path, path: str) -> Iterator[Path]:
    names = [name for name in path.split("/") if name not in ("", "..")]
    for length in range(len(names), -1, -1):
        yield top.joinpath(*names[:length])


def _room(folder: Path, files: _Files) -> int | None:
    try:
        limit = (folder / files.limit).read_text().strip()
        if limit == "max" or int(limit) >= _NO_LIMIT:
            return None
        used = int((folder / files.used).read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return max(int(limit) - used + int(stat.get(files.reclaimable, 0)), 0)
    except (OSError, ValueError):
        return None
