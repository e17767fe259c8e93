"""The machine's memory is read as the kernel writes it."""

from pathlib import Path

from sidecar.memory.machine import MachineMemory, read_machine_memory


def test_total_and_available_are_read_in_bytes(tmp_path: Path) -> None:
    source = tmp_path / "meminfo"
    source.write_text("MemTotal:       24589012 kB\nMemFree:  1 kB\nMemAvailable:   22000000 kB\nHugePages_Total:  0\n")
    assert read_machine_memory(source) == MachineMemory(24_589_012 * 1024, 22_000_000 * 1024)


def test_this_machine_has_memory_and_not_all_of_it_is_used() -> None:
    memory = read_machine_memory()
    assert 0 < memory.available < memory.total
