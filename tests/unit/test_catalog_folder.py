"""The folder store: whole objects or none, and keys that never lead out."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.catalog.folder import FileStream, FolderStore
from tools.catalog.store import (
    NOT_CHANGED,
    SMALL_OBJECT_BYTES,
    BadKeyError,
    SmallObject,
    StoreDownError,
    StoreError,
    checked_key,
    open_store,
)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore.connect(tmp_path / "store", create=True)


def body_of(store: FolderStore, key: str) -> bytes | None:
    found = store.read(key)
    return found.body if isinstance(found, SmallObject) else None


def test_an_object_is_read_as_it_was_put(store: FolderStore) -> None:
    etag = store.put("m1/live.json", b"one")
    assert store.read("m1/live.json") == SmallObject(b"one", str(etag))


def test_a_file_is_put_whole(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(3 << 20) + b"end")
    store.put("m1/1.tar.zst", tmp_path / "big")
    stream = store.open("m1/1.tar.zst")
    assert isinstance(stream, FileStream)
    with stream:
        assert stream.stat.bytes == (3 << 20) + 3
        assert stream.read(4 << 20) == bytes(3 << 20) + b"end"


def test_nothing_is_read_where_nothing_is(store: FolderStore) -> None:
    store.put("m1/live.json", b"one")
    for key in ("m2/live.json", "m1", "m1/live.json/x"):
        assert store.read(key) is None
        assert store.open(key) is None
        assert store.stat(key) is None


def test_a_known_etag_is_not_read_again(store: FolderStore) -> None:
    etag = store.put("m1/live.json", b"one")
    assert store.read("m1/live.json", etag) is NOT_CHANGED
    assert store.open("m1/live.json", etag) is NOT_CHANGED
    store.put("m1/live.json", b"two")
    assert body_of(store, "m1/live.json") == b"two"
    assert store.read("m1/live.json", etag) is not NOT_CHANGED


def test_quick_replacements_of_equal_size_never_share_an_etag(store: FolderStore) -> None:
    etags = {store.put("m1/live.json", b"%03d" % number) for number in range(300)}
    assert len(etags) == 300


def test_an_object_put_if_absent_is_never_replaced(store: FolderStore) -> None:
    assert store.put("m1/1.tar.zst", b"one", if_absent=True) is not None
    assert store.put("m1/1.tar.zst", b"two", if_absent=True) is None
    assert body_of(store, "m1/1.tar.zst") == b"one"


def test_one_of_many_concurrent_writers_if_absent_wins(store: FolderStore) -> None:
    for round_ in range(20):
        start = threading.Barrier(8)

        def put(number: int, key: str = f"m1/{round_}.tar.zst", start: threading.Barrier = start) -> bool:
            start.wait()
            return store.put(key, b"%d" % number, if_absent=True) is not None

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(put, range(8)))
        assert won.count(True) == 1
        assert body_of(store, f"m1/{round_}.tar.zst") == b"%d" % won.index(True)


def test_a_reader_never_sees_a_part_and_an_open_stream_keeps_its_version(store: FolderStore) -> None:
    one, two = b"1" * 200_000, b"2" * 200_000
    store.put("m1/live.json", one)
    stream = store.open("m1/live.json")
    assert isinstance(stream, FileStream)
    stop = threading.Event()

    def rewrite() -> None:
        while not stop.is_set():
            store.put("m1/live.json", two)
            store.put("m1/live.json", one)

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(rewrite)
        seen = {body_of(store, "m1/live.json") for _ in range(300)}
        stop.set()
        writer.result()
    assert seen <= {one, two}
    assert stream.read(300_000) == one


def test_a_put_that_fails_leaves_nothing(store: FolderStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        store.put("m1/1.tar.zst", tmp_path / "not there")
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


def test_deleting_removes_the_object_and_its_empty_folder(store: FolderStore) -> None:
    store.put("m1/1.tar.zst", b"one")
    store.put("m1/live.json", b"two")
    store.delete("m1/1.tar.zst")
    assert list(store.list_folders()) == ["m1"]
    store.delete("m1/live.json")
    store.delete("m1/live.json")
    assert list(store.list_folders()) == []


def test_puts_and_deletes_of_one_folder_do_not_disturb_each_other(store: FolderStore) -> None:
    def work(number: int) -> None:
        for _ in range(100):
            store.put(f"m1/{number}.json", b"x")
            assert store.stat(f"m1/{number}.json") is not None
            store.delete(f"m1/{number}.json")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert list(store.list("m1")) == []


def test_listing_gives_objects_in_order_and_nothing_hidden(store: FolderStore, tmp_path: Path) -> None:
    for key in ("m2/live.json", "m2/10.tar.zst", "m1/live.json"):
        store.put(key, b"123")
    (tmp_path / "store" / "m2" / ".live.json.swp").write_bytes(b"x")
    assert [(stat.key, stat.bytes) for stat in store.list("m2")] == [("m2/10.tar.zst", 3), ("m2/live.json", 3)]
    assert list(store.list("m3")) == []
    assert list(store.list_folders()) == ["m1", "m2"]


def test_a_large_object_is_not_read_as_a_small_one(store: FolderStore) -> None:
    store.put("m1/live.json", bytes(SMALL_OBJECT_BYTES + 1))
    with pytest.raises(StoreError, match="larger than 1 MiB"):
        store.read("m1/live.json")


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.read("m1/live.json"),
        lambda store: store.stat("m1/live.json"),
        lambda store: store.open("m1/live.json"),
        lambda store: list(store.list("m1")),
        lambda store: list(store.list_folders()),
    ],
)
def test_a_store_folder_that_is_not_there_is_a_store_that_is_down(
    tmp_path: Path, call: Callable[[FolderStore], object]
) -> None:
    with pytest.raises(StoreDownError, match="mount it, or publish"):
        call(FolderStore(tmp_path / "unmounted"))


@pytest.mark.parametrize("key", ["", ".", "..", "../x", "m1/../../x", "/etc/x", "m1//x", "m1/.x", "m1\\x", "m1/x\n"])
def test_a_key_that_could_lead_out_is_refused_by_every_operation(store: FolderStore, key: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.read(key),
        lambda: store.open(key),
        lambda: store.stat(key),
        lambda: store.put(key, b"x"),
        lambda: store.delete(key),
        lambda: list(store.list(key)),
    ]
    for call in calls:
        with pytest.raises(BadKeyError):
            call()


@given(st.text(alphabet="./\\a\0\n", max_size=12))
def test_every_accepted_key_stays_inside(key: str) -> None:
    root = Path("/store")
    try:
        path = root / checked_key(key)
    except BadKeyError:
        return
    assert path.resolve().is_relative_to(root)
    assert path != root


def test_an_address_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(StoreError, match="s3://bucket/prefix"):
        open_store("gs://bucket/prefix")
