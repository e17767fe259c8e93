"""`orchard publish`, `list`, `rollback`, `prune` and `delete` on a folder store."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.bundles import make_bundle
from tools.catalog.catalog import Catalog
from tools.catalog.folder import FolderStore
from tools.catalog.store import NOT_CHANGED
from tools.catalog.tenant import TenantId
from tools.cli import app


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORCHARD_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "store"


def orchard(*arguments: object, status: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def listed(*arguments: object) -> Any:
    return json.loads(orchard("list", *arguments, "--json").stdout)


def live_version(store: Path, tenant: str) -> int:
    live = Catalog(FolderStore(store)).live(TenantId(tenant))
    assert live is not NOT_CHANGED
    return live.pointer.version


def test_bundles_of_a_folder_are_published_and_listed(store: Path, tmp_path: Path) -> None:
    for number in range(30):
        make_bundle(tmp_path / "bundles", f"m{number:02}")
    assert "30 published" in orchard("publish", tmp_path / "bundles").output
    shown = orchard("list").output
    assert "m07" in shown
    assert "binary:logistic" in shown
    assert "30 tenants" in shown
    assert [row["tenant"] for row in listed()] == [f"m{number:02}" for number in range(30)]
    assert listed()[0]["features"] == 4
    assert listed()[0]["version"] == 1


def test_publishing_again_changes_nothing(store: Path, tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundles", "m1")
    orchard("publish", tmp_path / "bundles")
    before = (store / "m1" / "live.json").stat()
    assert "0 published" in orchard("publish", tmp_path / "bundles").output
    assert (store / "m1" / "live.json").stat() == before


def test_one_bad_bundle_fails_alone_and_is_named(store: Path, tmp_path: Path) -> None:
    for number in range(5):
        make_bundle(tmp_path / "bundles", f"m{number}")
    short, junk = tmp_path / "bundles" / "m2" / "1.tar.zst", tmp_path / "bundles" / "m3" / "1.tar.zst"
    short.write_bytes(short.read_bytes()[:-3])
    junk.write_bytes(b"junk")
    output = orchard("publish", tmp_path / "bundles", status=1).output
    assert "3 published" in output
    assert "2 failed" in output
    assert "cut short" in output
    assert [row["tenant"] for row in listed()] == ["m0", "m1", "m4"]


def test_of_several_versions_in_a_folder_the_newest_is_published(store: Path, tmp_path: Path) -> None:
    for version in (9, 100, 20):
        make_bundle(tmp_path / "bundles", "m1", version)
    assert "2 left out" in orchard("publish", tmp_path / "bundles").output
    assert live_version(store, "m1") == 100


def test_the_versions_of_a_tenant_are_listed_with_the_live_one_marked(store: Path, tmp_path: Path) -> None:
    for version in (1, 2, 3):
        orchard("publish", make_bundle(tmp_path, "m1", version))
    orchard("rollback", "m1", "--to", 2)
    assert [(row["version"], row["live"]) for row in listed("m1")] == [(1, False), (2, True), (3, False)]
    assert [line.split()[:2] for line in orchard("list", "m1").output.splitlines()[1:4]][1] == ["2", "live"]


def test_rollback_says_which_version_is_live(store: Path, tmp_path: Path) -> None:
    for version in (1, 2):
        orchard("publish", make_bundle(tmp_path, "m1", version))
    assert "version 1 of m1 is live" in orchard("rollback", "m1").output
    assert "no version older" in orchard("rollback", "m1", status=1).output


def test_prune_works_on_all_tenants_or_on_those_named(store: Path, tmp_path: Path) -> None:
    for tenant in ("m1", "m2"):
        for version in (1, 2, 3):
            orchard("publish", make_bundle(tmp_path, tenant, version))
    assert "1 old versions deleted" in orchard("prune", "m1", "--keep", 2).output
    assert "3 old versions deleted" in orchard("prune", "--keep", 1).output
    assert [row["version"] for row in listed("m2")] == [3]


def test_a_tenant_that_cannot_be_pruned_fails_alone(store: Path, tmp_path: Path) -> None:
    for tenant in ("m1", "m2"):
        for version in (1, 2):
            orchard("publish", make_bundle(tmp_path, tenant, version))
    (store / "m1" / "live.json").write_text("{}")
    output = orchard("prune", "--keep", 1, status=1).output
    assert "1 old versions deleted" in output
    assert "1 failed" in output
    assert listed()[0]["tenant"] == "m1"
    assert "Publish it again" in listed()[0]["problem"]
    assert "Publish it again" in orchard("list").output


def test_delete_says_that_a_drop_in_archive_goes_too(store: Path, tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundles", "m1")
    orchard("publish", tmp_path / "bundles")
    (store / "m1.tar.gz").write_bytes(b"a model")
    assert "its 1 versions and its drop-in archive" in orchard("delete", "m1", status=1).output
    orchard("delete", "m1", "--yes")
    assert not (store / "m1.tar.gz").exists()


def test_delete_asks_first(store: Path, tmp_path: Path) -> None:
    orchard("publish", make_bundle(tmp_path, "m1"))
    orchard("delete", "m1", status=1)
    assert live_version(store, "m1") == 1
    orchard("delete", "m1", "--yes")
    assert listed() == []


@pytest.mark.parametrize("verb", [("list",), ("rollback",), ("delete", "--yes")])
def test_an_unknown_tenant_is_an_error_and_an_impossible_one_is_a_wrong_call(
    store: Path, tmp_path: Path, verb: tuple[str, ...]
) -> None:
    orchard("publish", make_bundle(tmp_path, "m1"))
    assert "there is no tenant 'm2'" in orchard(*verb, "m2", status=1).output
    assert "is not a tenant id" in orchard(*verb, "M2", status=2).output


def test_a_store_that_is_not_there_is_told_in_one_line(store: Path) -> None:
    output = orchard("list", status=1).output
    assert output.startswith("orchard list: the store")
    assert output.count("\n") == 1


def test_a_store_of_an_unknown_kind_is_told_in_one_line(tmp_path: Path) -> None:
    output = orchard("publish", make_bundle(tmp_path, "m1"), "--store", "gs://x", status=1).output
    assert "use a folder's path or s3://bucket/prefix" in output
