"""Many writers and readers of one tenant at once, on both stores. The S3 server heeds no conditional PUT."""

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import TypeVar

import pytest

from loadtests.s3_server import BUCKET, S3Server
from tests.bundles import make_bundle
from tools.catalog.catalog import (
    Catalog,
    CatalogError,
    ConflictError,
    NoSuchTenantError,
    NoSuchVersionError,
    VersionTakenError,
)
from tools.catalog.live import BadPointerError, LivePointer
from tools.catalog.store import NOT_CHANGED, StoreDownError, open_store
from tools.catalog.tenant import TenantId

Result = TypeVar("Result")
M1 = TenantId("m1")
CHAOS_SECONDS = 5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(params=["folder", "s3"])
def address(request: pytest.FixtureRequest, server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return str(tmp_path / "store") if request.param == "folder" else f"s3://{BUCKET}/{tmp_path.name}"


@pytest.fixture
def catalog(address: str) -> Catalog:
    return Catalog(open_store(address, create=True))


def live(catalog: Catalog) -> LivePointer:
    found = catalog.live(M1)
    assert found is not NOT_CHANGED
    return found.pointer


def checkpoint_of(version: int) -> bytes:
    return b"trees of %d" % version


def fetched(catalog: Catalog, pointer: LivePointer, into: Path) -> bytes:
    into.mkdir()
    catalog.fetch(pointer, into)
    return (into / str(pointer.version) / "checkpoint.tl").read_bytes()


def together(works: list[Callable[[], Result]]) -> list[Result]:
    """The results of all, started at the same moment."""
    start = threading.Barrier(len(works))

    def run(work: Callable[[], Result]) -> Result:
        start.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def test_concurrent_publishers_of_different_versions_lose_nothing(catalog: Catalog, tmp_path: Path) -> None:
    bundles = [make_bundle(tmp_path, "m1", version, checkpoint_of(version)) for version in range(1, 13)]
    together([lambda bundle=bundle: catalog.publish(bundle) for bundle in bundles])  # type: ignore[misc]
    assert [stored.version for stored in catalog.versions(M1)] == list(range(1, 13))
    pointer = live(catalog)
    assert fetched(catalog, pointer, tmp_path / "out") == checkpoint_of(pointer.version)


def test_concurrent_publishers_in_different_processes_lose_nothing(
    catalog: Catalog, address: str, tmp_path: Path
) -> None:
    code = "import sys; from tools.cli import app; app(sys.argv[1:])"
    bundles = [make_bundle(tmp_path, "m1", version, checkpoint_of(version)) for version in range(1, 5)]
    publish = [sys.executable, "-c", code, "publish", "--store", address]
    processes = [subprocess.Popen([*publish, str(bundle)], stdout=subprocess.PIPE) for bundle in bundles]
    assert [process.communicate() and process.returncode for process in processes] == [0, 0, 0, 0]
    assert [stored.version for stored in catalog.versions(M1)] == [1, 2, 3, 4]
    pointer = live(catalog)
    assert fetched(catalog, pointer, tmp_path / "out") == checkpoint_of(pointer.version)


@pytest.mark.parametrize("attempt", range(4))
def test_concurrent_publishers_of_one_version_leave_a_pointer_that_agrees_with_its_bundle(
    catalog: Catalog, tmp_path: Path, attempt: int
) -> None:
    bundles = [make_bundle(tmp_path / str(number), "m1", 1, os.urandom(100_000)) for number in range(6)]

    def publish(bundle: Path) -> bool:
        try:
            return catalog.publish(bundle).changed
        except VersionTakenError:
            return False

    won = together([lambda bundle=bundle: publish(bundle) for bundle in bundles])  # type: ignore[misc]
    assert True in won
    pointer = live(catalog)
    assert len(fetched(catalog, pointer, tmp_path / "out")) == 100_000


def test_the_same_bundle_published_by_many_is_published_once(catalog: Catalog, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "m1")
    together([lambda: catalog.publish(bundle)] * 8)
    assert fetched(catalog, live(catalog), tmp_path / "out") == b"trees"


def repeat(work: Callable[[], object], tolerated: tuple[type[Exception], ...]) -> int:
    """How often `work` succeeded in `CHAOS_SECONDS`."""
    done, end = 0, time.monotonic() + CHAOS_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(*tolerated):
            work()
            done += 1
    return done


def test_whatever_writers_do_at_once_the_pointer_names_a_bundle_that_is_there(
    catalog: Catalog, address: str, tmp_path: Path
) -> None:
    numbers = count(1)

    def publish() -> None:
        version = next(numbers)
        catalog.publish(make_bundle(tmp_path, "m1", version, checkpoint_of(version)))

    def read() -> None:
        pointer = live(catalog)
        assert fetched(catalog, pointer, tmp_path / f"read-{next(numbers)}") == checkpoint_of(pointer.version)

    actions: list[Callable[[], object]] = [
        publish,
        publish,
        lambda: catalog.rollback(M1),
        lambda: catalog.rollback(M1, to=random.choice(catalog.versions(M1)).version),
        lambda: catalog.prune(M1, keep=2),
    ]
    writers, tolerated = 4, tuple[type[Exception], ...]((CatalogError, IndexError))
    if address.startswith("s3://"):
        # While one object is written by several, rclone now and then answers 500, or a part of it, where S3 would not.
        writers, tolerated = 2, (*tolerated, StoreDownError, BadPointerError)
    else:
        actions.append(lambda: catalog.delete(M1))
    for _ in range(3):
        publish()
    works = [lambda: repeat(lambda: random.choice(actions)(), tolerated)] * writers
    works += [lambda: repeat(read, tolerated)] * 2
    assert min(together(works)) > 0
    versions = [stored.version for stored in catalog.versions(M1)]
    try:
        pointer = live(catalog)
    except NoSuchTenantError:
        return
    assert pointer.version in versions
    assert fetched(catalog, pointer, tmp_path / "out") == checkpoint_of(pointer.version)


@pytest.mark.parametrize("attempt", range(8))
def test_a_publish_and_a_delete_at_once_leave_all_or_nothing(catalog: Catalog, tmp_path: Path, attempt: int) -> None:
    old, new = (make_bundle(tmp_path, "m1", version, checkpoint_of(version)) for version in (1, 2))
    catalog.publish(old)
    together([lambda: catalog.publish(new), lambda: catalog.delete(M1)])
    try:
        pointer = live(catalog)
    except NoSuchTenantError:
        return
    assert fetched(catalog, pointer, tmp_path / "out") == checkpoint_of(pointer.version)


@pytest.mark.parametrize("attempt", range(8))
def test_a_rollback_and_a_prune_at_once_leave_a_live_bundle(catalog: Catalog, tmp_path: Path, attempt: int) -> None:
    for version in (1, 2, 3):
        catalog.publish(make_bundle(tmp_path, "m1", version, checkpoint_of(version)))

    def outcome(work: Callable[[], object]) -> type[object]:
        try:
            return type(work())
        except CatalogError as error:
            return type(error)

    rolled, pruned = together(
        [lambda: outcome(lambda: catalog.rollback(M1, to=1)), lambda: outcome(lambda: catalog.prune(M1, keep=1))]
    )
    assert rolled in (LivePointer, NoSuchVersionError, ConflictError)
    assert pruned in (list, ConflictError)
    pointer = live(catalog)
    assert fetched(catalog, pointer, tmp_path / "out") == checkpoint_of(pointer.version)
