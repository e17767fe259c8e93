"""The disk tier: entries are whole or not there, and the budget is kept by recency."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sidecar.disk import DamagedEntryError, DiskTier

from tests.bundles import make_entry
from tools.catalog.manifest import MANIFEST_NAME, Manifest
from tools.catalog.tenant import TenantId

A, B, C, D = (TenantId(name) for name in "abcd")


@pytest.fixture
def in_memory() -> set[TenantId]:
    return set()


@pytest.fixture
def disk(tmp_path: Path, in_memory: set[TenantId]) -> DiskTier:
    tier = DiskTier(tmp_path / "repository", 1000, in_memory.__contains__)
    assert tier.open() == []
    return tier


def restarted(disk: DiskTier) -> DiskTier:
    return DiskTier(disk.root, disk.budget, lambda _: False)


def place(disk: DiskTier, tenant: TenantId, version: int = 1, checkpoint: bytes = b"trees") -> Manifest:
    with disk.staging(tenant) as staging:
        manifest = make_entry(staging.folder, tenant, version, checkpoint)
        (staging.folder / MANIFEST_NAME).write_text(manifest.to_json())
        staging.reserve(manifest.entry_bytes)
        staging.place(staging.folder, manifest)
    return manifest


def test_a_placed_entry_is_what_triton_reads(disk: DiskTier) -> None:
    manifest = place(disk, A)
    assert (disk.root / "a" / "config.pbtxt").is_file()
    assert (disk.root / "a" / "1" / "checkpoint.tl").read_bytes() == b"trees"
    assert disk.manifest(A) == manifest
    disk.verify(manifest)


def test_an_entry_survives_a_restart(disk: DiskTier) -> None:
    manifest = place(disk, A)
    again = restarted(disk)
    assert again.open() == []
    assert again.manifest(A) == manifest


def test_a_newer_version_takes_the_place_of_the_older_one_whole(disk: DiskTier) -> None:
    place(disk, A, version=1)
    newer = place(disk, A, version=2)
    assert disk.manifest(A) == newer
    assert sorted(path.name for path in (disk.root / "a").iterdir()) == ["2", "config.pbtxt", "manifest.json"]


def test_what_a_killed_process_left_in_staging_is_swept_away(disk: DiskTier) -> None:
    (disk.root / ".staging" / "a.half").mkdir()
    restarted(disk).open()
    assert list((disk.root / ".staging").iterdir()) == []


def test_staging_is_removed_when_the_fetch_fails(disk: DiskTier) -> None:
    def fail() -> None:
        with disk.staging(A) as staging:
            staging.reserve(100)
            (staging.folder / "config.pbtxt").write_text("half")
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
    again = restarted(disk)
    assert again.open() == ["a"]
    assert again.manifest(A) is None
    assert not (disk.root / "a").exists()


def test_the_least_recently_used_entries_make_room_and_needed_ones_stay(
    disk: DiskTier, in_memory: set[TenantId]
) -> None:
    entries = {tenant: place(disk, tenant, checkpoint=bytes(280)) for tenant in (A, B, C)}
    disk.verify(entries[A])
    in_memory.add(B)
    place(disk, D, checkpoint=bytes(280))
    assert disk.tenants() == (B, A, D)
    assert not (disk.root / "c").exists()


def test_what_is_needed_stays_even_when_the_budget_is_exceeded_for_it(disk: DiskTier, in_memory: set[TenantId]) -> None:
    in_memory.update((A, B))
    for tenant in (A, B, C):
        place(disk, tenant, checkpoint=bytes(400))
    assert disk.tenants() == (A, B, C)
    place(disk, D, checkpoint=bytes(400))
    assert disk.tenants() == (A, B, D)


def test_entries_put_together_at_the_same_time_share_the_budget(disk: DiskTier) -> None:
    for tenant in (A, B):
        place(disk, tenant, checkpoint=bytes(300))
    with disk.staging(C) as first, disk.staging(D) as second:
        first.reserve(500)
        assert disk.tenants() == (B,)
        second.reserve(500)
        assert disk.tenants() == ()


def test_what_was_reserved_is_free_again_when_the_fetch_fails(disk: DiskTier) -> None:
    place(disk, A, checkpoint=bytes(300))
    with disk.staging(B) as staging:
        staging.reserve(500)
    place(disk, C, checkpoint=bytes(500))
    assert disk.tenants() == (A, C)


def test_a_replaced_entry_counts_once(disk: DiskTier) -> None:
    newer = [place(disk, A, version, bytes(100 * version)) for version in (1, 2, 3)][-1]
    assert disk.used_bytes == newer.entry_bytes
    disk.remove(A)
    assert disk.used_bytes == 0


def test_recency_survives_a_restart(disk: DiskTier) -> None:
    for tenant in (A, B, C):
        place(disk, tenant)
    for tenant, at in ((A, 1000), (B, 500), (C, 750)):
        os.utime(disk.root / tenant / "manifest.json", (at, at))
    again = restarted(disk)
    again.open()
    assert again.tenants() == (B, C, A)


def test_a_flipped_bit_is_found_by_a_check_and_the_entry_removed(disk: DiskTier) -> None:
    place(disk, A)
    place(disk, B)
    flip(disk.root / "a")
    again = restarted(disk)
    assert again.open() == []
    assert [again.check(tenant) for tenant in (A, B, C)] == [False, True, True]
    assert again.tenants() == (B,)
    assert not (disk.root / "a").exists()


def test_a_check_leaves_alone_what_is_in_memory(disk: DiskTier, in_memory: set[TenantId]) -> None:
    place(disk, A)
    flip(disk.root / "a")
    in_memory.add(A)
    assert disk.check(A)
    assert disk.tenants() == (A,)


def test_a_check_is_no_use_of_the_entry(disk: DiskTier) -> None:
    for tenant in (A, B):
        place(disk, tenant)
    assert disk.check(A)
    assert disk.tenants() == (A, B)
