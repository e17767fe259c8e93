"""The sidecar's settings come from the environment, and a wrong one is named."""

import pytest
from sidecar.memory.marks import Marks
from sidecar.settings import Address, BadSettingError, Settings, parse_size


def test_an_empty_environment_gives_a_working_default() -> None:
    settings = Settings.from_environment({})
    assert settings.admin == Address("127.0.0.1", 8080)
    assert settings.memory_budget == 2 * 2**30
    assert settings.pinned == frozenset()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1000", 1000),
        ("512MiB", 512 * 2**20),
        ("2 GB", 2 * 10**9),
        ("1.5KiB", 1536),
        ("3gib", 3 * 2**30),
        ("4g", 2**32),
    ],
)
def test_sizes_are_read_with_their_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ORCHARD_MEMORY_BUDGET", "lots"),
        ("ORCHARD_MEMORY_BUDGET", "0"),
        ("ORCHARD_DISK_BUDGET", "-1"),
        ("ORCHARD_ADMIN", "8080"),
        ("ORCHARD_ADMIN", "127.0.0.1:99999"),
        ("ORCHARD_PARALLEL_LOADS", "0"),
        ("ORCHARD_LOAD_DEADLINE", "soon"),
        ("ORCHARD_LOAD_DEADLINE", "nan"),
        ("ORCHARD_MINIMUM_RESIDENCE", "-1"),
        ("ORCHARD_MEMORY_LIMIT", "some"),
        ("ORCHARD_MEMORY_HIGH", "0.85"),
        ("ORCHARD_MEMORY_HIGH", "0%"),
        ("ORCHARD_MEMORY_LOW", "101%"),
        ("ORCHARD_MEMORY_LOW", "90%"),
        ("ORCHARD_COLD_QUEUE", "0"),
        ("ORCHARD_PINNED", "m1,../m2"),
        ("ORCHARD_POLICY", "fifo"),
        ("ORCHARD_WARM_SCHEDULE", "every morning"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(BadSettingError, match=name):
        Settings.from_environment({name: value})


def test_marks_and_limits_of_memory_are_read() -> None:
    settings = Settings.from_environment(
        {"ORCHARD_MEMORY_LIMIT": "11Gi", "ORCHARD_MEMORY_HIGH": "90%", "ORCHARD_MEMORY_LOW": "90%"}
    )
    assert settings.memory_limit == 11 * 2**30
    assert settings.memory_marks == Marks(0.9, 0.9)
    assert Settings.from_environment({"ORCHARD_MINIMUM_RESIDENCE": "0"}).minimum_residence == 0.0


def test_pinned_tenants_are_a_list_with_commas() -> None:
    assert Settings.from_environment({"ORCHARD_PINNED": "m1, m2,"}).pinned == {"m1", "m2"}
