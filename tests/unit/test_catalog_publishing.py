"""Publishing, rolling back, pruning and deleting, one writer at a time, on the folder store."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bundles import make_bundle
from tools.catalog.bundle import BadBundleError, read_manifest
from tools.catalog.catalog import (
    BundleGoneError,
    Catalog,
    Live,
    NoSuchTenantError,
    NoSuchVersionError,
    VersionTakenError,
)
from tools.catalog.folder import FolderStore
from tools.catalog.live import BadPointerError, LivePointer
from tools.catalog.store import NOT_CHANGED
from tools.catalog.tenant import TenantId

Damage = Callable[[bytes], bytes]
M1 = TenantId("m1")


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore.connect(tmp_path / "store", create=True)


@pytest.fixture
def catalog(store: FolderStore) -> Catalog:
    return Catalog(store)


def live(catalog: Catalog, tenant: TenantId = M1) -> Live:
    found = catalog.live(tenant)
    assert found is not NOT_CHANGED
    return found


def publish(catalog: Catalog, folder: Path, *versions: int) -> list[Path]:
    bundles = [make_bundle(folder, "m1", version, b"trees of %d" % version) for version in versions]
    for bundle in bundles:
        catalog.publish(bundle)
    return bundles


def versions(catalog: Catalog, tenant: TenantId = M1) -> list[int]:
    return [stored.version for stored in catalog.versions(tenant)]


def fetched(catalog: Catalog, pointer: LivePointer, into: Path) -> bytes:
    into.mkdir()
    catalog.fetch(pointer, into)
    return (into / str(pointer.version) / "checkpoint.tl").read_bytes()


def test_a_published_tenant_is_live_and_its_entry_can_be_fetched(catalog: Catalog, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "m1", 3, b"trees")
    release = catalog.publish(bundle)
    assert release.changed
    found = live(catalog)
    assert found.pointer == release.pointer
    assert found.pointer.manifest == read_manifest(bundle)
    assert found.pointer.bundle_bytes == bundle.stat().st_size
    assert fetched(catalog, found.pointer, tmp_path / "out") == b"trees"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["3", "config.pbtxt", "manifest.json"]


def test_publishing_what_is_live_changes_nothing(catalog: Catalog, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "m1")
    catalog.publish(bundle)
    before = live(catalog)
    assert not catalog.publish(bundle).changed
    assert live(catalog) == before


def test_a_known_pointer_is_not_read_again_until_it_changes(catalog: Catalog, tmp_path: Path) -> None:
    publish(catalog, tmp_path, 1)
    etag = live(catalog).etag
    assert catalog.live(M1, etag) is NOT_CHANGED
    publish(catalog, tmp_path, 2)
    assert catalog.live(M1, etag) is not NOT_CHANGED


def test_a_tenant_that_was_never_published_is_unknown(catalog: Catalog) -> None:
    with pytest.raises(NoSuchTenantError, match="publish it first"):
        catalog.live(M1)
    assert versions(catalog) == []


def test_a_version_never_changes_its_bytes(catalog: Catalog, tmp_path: Path) -> None:
    publish(catalog, tmp_path, 1)
    before = live(catalog)
    other = make_bundle(tmp_path / "other", "m1", 1, b"other trees")
    with pytest.raises(VersionTakenError, match="compile the model again"):
        catalog.publish(other)
    assert live(catalog) == before
    assert fetched(catalog, before.pointer, tmp_path / "out") == b"trees of 1"


def test_an_upload_that_was_interrupted_is_finished_by_publishing_again(
    catalog: Catalog, store: FolderStore, tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path, "m1")
    store.put("m1/1.tar.zst", bundle)
    assert catalog.publish(bundle).changed
    assert fetched(catalog, live(catalog).pointer, tmp_path / "out") == b"trees"


@pytest.mark.parametrize("damage", [lambda body: body[:-5], lambda body: b"?" + body[1:], lambda _: b""])
def test_a_damaged_bundle_is_never_uploaded(
    catalog: Catalog, store: FolderStore, tmp_path: Path, damage: Damage
) -> None:
    bundle = make_bundle(tmp_path, "m1")
    bundle.write_bytes(damage(bundle.read_bytes()))
    with pytest.raises(BadBundleError):
        catalog.publish(bundle)
    assert list(store.list_folders()) == []


def test_rollback_goes_to_the_newest_version_older_than_the_live_one(catalog: Catalog, tmp_path: Path) -> None:
    bundles = publish(catalog, tmp_path, 1, 3, 20, 100)
    assert catalog.rollback(M1).version == 20
    assert catalog.rollback(M1).version == 3
    assert live(catalog).pointer.manifest == read_manifest(bundles[1])
    assert fetched(catalog, live(catalog).pointer, tmp_path / "out") == b"trees of 3"
    assert versions(catalog) == [1, 3, 20, 100]


def test_rollback_goes_to_any_version_asked_for(catalog: Catalog, tmp_path: Path) -> None:
    publish(catalog, tmp_path, 1, 2, 3)
    catalog.rollback(M1, to=1)
    assert live(catalog).pointer.version == 1
    catalog.rollback(M1, to=3)
    assert live(catalog).pointer.version == 3


def test_rollback_with_nowhere_to_go_says_so_and_changes_nothing(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(NoSuchTenantError):
        catalog.rollback(M1)
    publish(catalog, tmp_path, 5)
    with pytest.raises(NoSuchVersionError, match="no version older than the live one, 5"):
        catalog.rollback(M1)
    with pytest.raises(NoSuchVersionError, match=r"no version 4\. There are: 5"):
        catalog.rollback(M1, to=4)
    assert live(catalog).pointer.version == 5


def test_rollback_never_makes_a_damaged_bundle_live(catalog: Catalog, store: FolderStore, tmp_path: Path) -> None:
    publish(catalog, tmp_path, 1, 2)
    store.put("m1/1.tar.zst", b"rubbish")
    with pytest.raises(BadBundleError):
        catalog.rollback(M1)
    assert live(catalog).pointer.version == 2


def test_rollback_never_makes_a_misplaced_bundle_live(catalog: Catalog, store: FolderStore, tmp_path: Path) -> None:
    publish(catalog, tmp_path, 2)
    store.put("m1/1.tar.zst", make_bundle(tmp_path, "m2", 1))
    with pytest.raises(BadBundleError, match="another tenant"):
        catalog.rollback(M1)
    assert live(catalog).pointer.version == 2


def test_prune_keeps_the_newest(catalog: Catalog, tmp_path: Path) -> None:
    publish(catalog, tmp_path, 1, 2, 10, 9)
    catalog.rollback(M1, to=10)
    assert catalog.prune(M1, keep=2) == [1, 2]
    assert versions(catalog) == [9, 10]
    assert catalog.prune(M1, keep=2) == []


def test_prune_never_deletes_the_live_version(catalog: Catalog, tmp_path: Path) -> None:
    publish(catalog, tmp_path, 1, 2, 3, 4)
    catalog.rollback(M1, to=1)
    assert catalog.prune(M1, keep=1) == [2, 3]
    assert versions(catalog) == [1, 4]
    assert fetched(catalog, live(catalog).pointer, tmp_path / "out") == b"trees of 1"


def test_prune_keeps_at_least_one_and_needs_a_live_version(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(NoSuchTenantError):
        catalog.prune(M1, keep=1)
    publish(catalog, tmp_path, 1)
    with pytest.raises(ValueError, match="at least one"):
        catalog.prune(M1, keep=0)


def test_a_deleted_tenant_is_unknown_and_leaves_nothing(catalog: Catalog, store: FolderStore, tmp_path: Path) -> None:
    publish(catalog, tmp_path, 1, 2)
    catalog.publish(make_bundle(tmp_path, "m2"))
    catalog.delete(M1)
    with pytest.raises(NoSuchTenantError):
        catalog.live(M1)
    assert list(catalog.tenants()) == ["m2"]
    with pytest.raises(NoSuchTenantError, match="nothing to delete"):
        catalog.delete(M1)


@pytest.mark.parametrize("published", [True, False])
def test_deleting_a_tenant_takes_its_drop_in_archive_along(
    catalog: Catalog, store: FolderStore, tmp_path: Path, published: bool
) -> None:
    if published:
        catalog.publish(make_bundle(tmp_path, "m1"))
    for archive in ("m1.tar.gz", "m2.tar.gz"):
        store.put(archive, b"a model")
    assert catalog.has_drop_in(M1)
    catalog.delete(M1)
    assert not catalog.has_drop_in(M1)
    assert store.stat("m2.tar.gz") is not None


def test_a_deleted_tenant_can_be_published_again(catalog: Catalog, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "m1")
    catalog.publish(bundle)
    catalog.delete(M1)
    assert catalog.publish(bundle).changed
    assert live(catalog).pointer.version == 1


def test_a_reader_whose_version_was_pruned_or_deleted_is_told_to_read_again(catalog: Catalog, tmp_path: Path) -> None:
    publish(catalog, tmp_path, 1)
    old = live(catalog).pointer
    publish(catalog, tmp_path, 2)
    catalog.prune(M1, keep=1)
    with pytest.raises(BundleGoneError, match="read the live pointer again"):
        fetched(catalog, old, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    assert fetched(catalog, live(catalog).pointer, tmp_path / "again") == b"trees of 2"


def test_a_stored_bundle_with_other_bytes_is_never_fetched(
    catalog: Catalog, store: FolderStore, tmp_path: Path
) -> None:
    publish(catalog, tmp_path, 1)
    pointer = live(catalog).pointer
    body = bytearray((tmp_path / "m1" / "1.tar.zst").read_bytes())
    body[len(body) // 2] ^= 1
    store.put("m1/1.tar.zst", bytes(body))
    with pytest.raises(BadBundleError):
        fetched(catalog, pointer, tmp_path / "flipped")
    store.put("m1/1.tar.zst", bytes(body[:-1]))
    with pytest.raises(BadBundleError, match="as published"):
        fetched(catalog, pointer, tmp_path / "short")
    assert list((tmp_path / "flipped").iterdir()) == list((tmp_path / "short").iterdir()) == []


def test_a_damaged_pointer_says_so_and_is_replaced_by_publishing(
    catalog: Catalog, store: FolderStore, tmp_path: Path
) -> None:
    (bundle,) = publish(catalog, tmp_path, 1)
    store.put("m1/live.json", b"{}")
    with pytest.raises(BadPointerError, match="Publish it again"):
        catalog.live(M1)
    catalog.publish(bundle)
    assert live(catalog).pointer.version == 1


def test_objects_that_are_no_bundles_are_no_versions(catalog: Catalog, store: FolderStore, tmp_path: Path) -> None:
    publish(catalog, tmp_path, 1)
    for name in ("notes.txt", "x.tar.zst", "007.tar.zst", "0.tar.zst", "99999999999999999999.tar.zst"):
        store.put(f"m1/{name}", b"x")
    assert versions(catalog) == [1]


def test_folders_that_are_no_tenants_are_not_listed(catalog: Catalog, store: FolderStore, tmp_path: Path) -> None:
    publish(catalog, tmp_path, 1)
    store.put("Backup/x", b"x")
    assert list(catalog.tenants()) == ["m1"]


def test_a_whole_store_copied_elsewhere_still_serves(catalog: Catalog, tmp_path: Path) -> None:
    publish(catalog, tmp_path, 1)
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    copy = Catalog(FolderStore(tmp_path / "copy"))
    assert fetched(copy, live(copy).pointer, tmp_path / "out") == b"trees of 1"
