"""The disk tier: entries are whole or not there, and the budget is kept by recency."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sidecar.disk import DamagedEntryError, DiskTier

from tests.bundles import make_entry
from tools.catalog.manifest import MANIFEST_NAME, Manifest
from tools.catalog.tenant import TenantId

A, B, C = TenantId("a"), TenantId("b"), TenantId("c")


@pytest.fixture
def disk(tmp_path: Path) -> DiskTier:
    tier = DiskTier(tmp_path / "repository", budget=1000)
    assert tier.open() == []
    return tier


def place(disk: DiskTier, tenant: TenantId, version: int = 1, checkpoint: bytes = b"trees") -> Manifest:
    with disk.staging(tenant) as folder:
        manifest = make_entry(folder, tenant, version, checkpoint)
        (folder / MANIFEST_NAME).write_text(manifest.to_json())
        disk.place(folder, manifest)
    return manifest


def test_a_placed_entry_is_what_triton_reads(disk: DiskTier) -> None:
    manifest = place(disk, A)
    assert (disk.root / "a" / "config.pbtxt").is_file()
    assert (disk.root / "a" / "1" / "checkpoint.tl").read_bytes() == b"trees"
    assert disk.manifest(A) == manifest
    disk.verify(manifest)


def test_an_entry_survives_a_restart(disk: DiskTier) -> None:
    manifest = place(disk, A)
    again = DiskTier(disk.root, disk.budget)
    assert again.open() == []
    assert again.manifest(A) == manifest


def test_a_newer_version_takes_the_place_of_the_older_one_whole(disk: DiskTier) -> None:
    place(disk, A, version=1)
    newer = place(disk, A, version=2)
    assert disk.manifest(A) == newer
    assert sorted(path.name for path in (disk.root / "a").iterdir()) == ["2", "config.pbtxt", "manifest.json"]


def test_what_a_killed_process_left_in_staging_is_swept_away(disk: DiskTier) -> None:
    (disk.root / ".staging" / "a.half").mkdir()
    DiskTier(disk.root, disk.budget).open()
    assert list((disk.root / ".staging").iterdir()) == []


def test_staging_is_removed_when_the_fetch_fails(disk: DiskTier) -> None:
    def fail() -> None:
        with disk.staging(A) as folder:
            (folder / "config.pbtxt").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list((disk.root / ".staging").iterdir()) == []
    assert disk.manifest(A) is None


def cut(folder: Path) -> None:
    os.truncate(folder / "1" / "checkpoint.tl", 3)


def flip(folder: Path) -> None:
    (folder / "1" / "checkpoint.tl").write_bytes(b"treez")


def lose(folder: Path) -> None:
    (folder / "config.pbtxt").unlink()


def add_a_version(folder: Path) -> None:
    (folder / "9").mkdir()
    (folder / "9" / "checkpoint.tl").write_bytes(b"other")


def link_away(folder: Path) -> None:
    (folder / "1" / "checkpoint.tl").rename(folder.parent / "elsewhere")
    (folder / "1" / "checkpoint.tl").symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize("damage", [cut, flip, lose, add_a_version, link_away])
def test_a_damaged_entry_is_found_before_a_load_and_removed(disk: DiskTier, damage: Callable[[Path], None]) -> None:
    manifest = place(disk, A)
    damage(disk.root / "a")
    with pytest.raises(DamagedEntryError):
        disk.verify(manifest)
    assert disk.manifest(A) is None
    assert not (disk.root / "a").exists()


@pytest.mark.parametrize("damage", [cut, lose, add_a_version, link_away])
def test_an_entry_that_is_not_whole_is_swept_away_on_start(disk: DiskTier, damage: Callable[[Path], None]) -> None:
    place(disk, A)
    damage(disk.root / "a")
    again = DiskTier(disk.root, disk.budget)
    assert again.open() == ["a"]
    assert again.manifest(A) is None
    assert not (disk.root / "a").exists()


def test_the_least_recently_used_entries_make_room_and_needed_ones_stay(disk: DiskTier) -> None:
    entries = {tenant: place(disk, tenant, checkpoint=bytes(300)) for tenant in (A, B, C)}
    disk.verify(entries[A])
    disk.verify(entries[C])
    removed = disk.make_room(300, is_needed=lambda tenant: tenant == B)
    assert removed == [A]
    assert disk.manifest(B) == entries[B]
    assert disk.manifest(C) == entries[C]


def test_recency_survives_a_restart(disk: DiskTier) -> None:
    entries = {tenant: place(disk, tenant, checkpoint=bytes(300)) for tenant in (A, B)}
    os.utime(disk.root / "a" / "manifest.json", (1000, 1000))
    os.utime(disk.root / "b" / "manifest.json", (500, 500))
    again = DiskTier(disk.root, disk.budget)
    again.open()
    again.verify(entries[A])
    assert again.make_room(500, is_needed=lambda _: False) == [B]
