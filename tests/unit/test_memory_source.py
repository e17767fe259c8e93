"""Whose memory is read, and what it could come to: from files as the kernel writes them, and from this kernel."""

import os
import socket
from pathlib import Path

import pytest
from sidecar.memory.cgroups import read_room
from sidecar.memory.processes import find_listener, read_process
from sidecar.memory.source import By, MemorySource, Reading

PAGE = os.sysconf("SC_PAGE_SIZE")
MB = 2**20
RECKONED = 200 * MB
HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


class Kernel:
    """A machine of 8 GB, 6 GB of which are available, with whatever processes and control groups are added."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.cgroups = folder / "proc", folder / "cgroup"
        (self.proc / "net").mkdir(parents=True)
        (self.proc / "meminfo").write_text("MemTotal: 8388608 kB\nMemAvailable: 6291456 kB\n")
        (self.proc / "net" / "tcp").write_text(HEADER)

    def listens(self, inode: int, port: int, table: str = "tcp") -> None:
        line = f"   0: 00000000:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 {inode} 1\n"
        with (self.proc / "net" / table).open("a") as file:
            file.write(line if file.tell() else HEADER + line)

    def runs(self, pid: int, name: str, rss: int, inode: int = 0, started: int = 5, cgroup: str = "") -> None:
        process = self.proc / str(pid)
        (process / "fd").mkdir(parents=True, exist_ok=True)
        (process / "comm").write_text(name + "\n")
        fields = ["S", *["0"] * 18, str(started), "0", str(rss // PAGE), "0"]
        (process / "stat").write_text(f"{pid} ({name} (odd) name) {' '.join(fields)}\n")
        (process / "cgroup").write_text(cgroup)
        if inode:
            (process / "fd" / "3").symlink_to(f"socket:[{inode}]")

    def group(self, path: str, files: dict[str, str]) -> None:
        folder = self.cgroups / path
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text + "\n")

    def read(self, limit: int | None = None) -> Reading | None:
        return MemorySource(8001, limit, self.proc, self.cgroups).read(RECKONED)


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


def v2(limit: str, current: int, inactive: int = 0) -> dict[str, str]:
    return {"memory.max": limit, "memory.current": str(current), "memory.stat": f"anon 1\ninactive_file {inactive}"}


def v1(limit: int, usage: int, inactive: int = 0) -> dict[str, str]:
    stat = f"inactive_file 3\ntotal_inactive_file {inactive}"
    return {"memory.limit_in_bytes": str(limit), "memory.usage_in_bytes": str(usage), "memory.stat": stat}


@pytest.mark.parametrize("table", ["tcp", "tcp6"])
def test_triton_is_whoever_listens_on_its_port(kernel: Kernel, table: str) -> None:
    kernel.listens(777, 8001, table)
    kernel.runs(10, "nginx", 50 * MB, inode=776)
    kernel.runs(11, "anything", 300 * MB, inode=777)
    reading = kernel.read()
    assert reading is not None
    assert (reading.used, reading.by) == (300 * MB, By.MEASURE)
    assert reading.limit == 300 * MB + 6144 * MB


def test_a_connection_to_the_port_is_not_a_listener(kernel: Kernel) -> None:
    line = "   1: 0100007F:1F41 0100007F:9C40 01 00000000:00000000 00:00000000 00000000 0 0 777 1\n"
    (kernel.proc / "net" / "tcp").write_text(HEADER + line)
    kernel.runs(11, "anything", 300 * MB, inode=777)
    assert find_listener(8001, "tritonserver", kernel.proc) is None


def test_or_the_only_one_called_tritonserver(kernel: Kernel) -> None:
    kernel.runs(11, "tritonserver", 300 * MB)
    kernel.runs(12, "nginx", MB)
    reading = kernel.read()
    assert reading is not None
    assert reading.used == 300 * MB


def test_of_two_called_so_neither_is_guessed_and_models_hold_what_they_are_reckoned_at(kernel: Kernel) -> None:
    kernel.runs(11, "tritonserver", 300 * MB)
    kernel.runs(12, "tritonserver", 400 * MB)
    assert kernel.read() == Reading(RECKONED, RECKONED + 6144 * MB)
    assert kernel.read(limit=500 * MB) == Reading(RECKONED, 500 * MB)


def test_a_triton_that_started_anew_is_found_again(kernel: Kernel) -> None:
    source = MemorySource(8001, None, kernel.proc, kernel.cgroups)
    kernel.listens(777, 8001)
    kernel.runs(11, "tritonserver", 300 * MB, inode=777)
    before = source.read(RECKONED)
    (kernel.proc / "11" / "fd" / "3").unlink()
    kernel.runs(11, "nginx", 1 * MB, started=9)
    kernel.runs(12, "tritonserver", 100 * MB, inode=777)
    after = source.read(RECKONED)
    assert before is not None
    assert after is not None
    assert (before.used, after.used) == (300 * MB, 100 * MB)


def test_a_limit_by_version_2_of_control_groups_counts_page_cache_as_free(kernel: Kernel) -> None:
    kernel.runs(11, "tritonserver", 300 * MB, cgroup="0::/orchard/triton\n")
    kernel.group("orchard/triton", v2("max", 900 * MB))
    kernel.group("orchard", v2(str(1000 * MB), 900 * MB, inactive=150 * MB))
    reading = kernel.read()
    assert reading is not None
    assert reading.limit == 300 * MB + 250 * MB


def test_a_limit_by_version_1(kernel: Kernel) -> None:
    kernel.runs(11, "tritonserver", 300 * MB, cgroup="7:cpu:/x\n4:memory:/docker/abc\n0::/\n")
    kernel.group("memory/docker/abc", v1(500 * MB, 400 * MB, inactive=20 * MB))
    kernel.group("memory", v1(9223372036854771712, 400 * MB))
    reading = kernel.read()
    assert reading is not None
    assert reading.limit == 300 * MB + 120 * MB


def test_a_container_sees_its_own_group_as_the_topmost(kernel: Kernel) -> None:
    kernel.runs(11, "tritonserver", 300 * MB, cgroup="0::/docker/of-the-host/abc\n")
    kernel.group("", v2(str(500 * MB), 400 * MB))
    assert read_room(11, kernel.proc, kernel.cgroups) == 100 * MB


def test_no_limit_and_no_sense_are_no_limit(kernel: Kernel) -> None:
    kernel.runs(11, "tritonserver", 300 * MB, cgroup="0::/a\n")
    kernel.group("a", v2("max", 1))
    kernel.group("", {"memory.max": "a lot", "memory.current": "1", "memory.stat": ""})
    assert read_room(11, kernel.proc, kernel.cgroups) is None


def test_a_limit_that_was_set_by_hand_counts_beside_the_others(kernel: Kernel) -> None:
    kernel.runs(11, "tritonserver", 300 * MB)
    for limit, expected in ((1000 * MB, 1000 * MB), (100_000 * MB, 6444 * MB), (200 * MB, 300 * MB)):
        reading = kernel.read(limit)
        assert reading is not None
        assert reading.limit == expected


def test_where_the_kernel_tells_nothing_there_is_no_reading(tmp_path: Path) -> None:
    assert MemorySource(8001, None, tmp_path / "none", tmp_path / "none").read(RECKONED) is None


def test_this_process_is_found_by_its_port_and_its_memory_is_that_of_the_status_file() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert find_listener(server.getsockname()[1], "no such name") == os.getpid()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    rss = 1024 * int(status["VmRSS"].split()[0])
    assert abs(read_process(os.getpid()).rss - rss) < 16 * MB


def test_this_process_s_control_groups_leave_it_some_memory() -> None:
    room = read_room(os.getpid())
    assert room is None or room > 0
