"""The S3 store against a real S3 server."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from loadtests.s3_server import BUCKET, S3Server
from tools.catalog.ranges import RangedStream
from tools.catalog.retry import Retrying
from tools.catalog.s3 import S3Store
from tools.catalog.store import (
    NOT_CHANGED,
    SMALL_OBJECT_BYTES,
    ObjectChangedError,
    SmallObject,
    StoreDeniedError,
    StoreDownError,
    StoreError,
    open_store,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(autouse=True)
def environment(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    return f"s3://{BUCKET}/some/{abs(hash(request.node.name))}"


@pytest.fixture
def store(address: str) -> S3Store:
    return S3Store.connect(address)


def stream_of(store: S3Store, key: str) -> RangedStream:
    found = store.open(key)
    assert isinstance(found, RangedStream)
    return found


def whole(stream: RangedStream) -> bytes:
    with stream:
        return b"".join(iter(lambda: stream.read(70_000), b""))


def put_meanwhile(store: S3Store, key: str, bodies: list[bytes], stop: threading.Event) -> None:
    while not stop.is_set():
        for body in bodies:
            store.put(key, body)
            time.sleep(0.01)


def test_an_object_is_read_as_it_was_put(store: S3Store) -> None:
    etag = store.put("m1/live.json", b"one")
    found = store.read("m1/live.json")
    assert found == SmallObject(b"one", str(etag))
    stat = store.stat("m1/live.json")
    assert stat is not None
    assert (stat.key, stat.bytes, stat.etag) == ("m1/live.json", 3, etag)


def test_nothing_is_read_where_nothing_is(store: S3Store) -> None:
    store.put("m1/live.json", b"one")
    for key in ("m2/live.json", "m1"):
        assert store.read(key) is None
        assert store.open(key) is None
        assert store.stat(key) is None
    store.delete("m2/live.json")


def test_a_known_etag_is_not_sent_again(store: S3Store) -> None:
    etag = store.put("m1/live.json", b"one")
    assert store.read("m1/live.json", etag) is NOT_CHANGED
    assert store.open("m1/live.json", etag) is NOT_CHANGED
    store.put("m1/live.json", b"two")
    assert isinstance(store.read("m1/live.json", etag), SmallObject)


@pytest.mark.parametrize("size", [0, 1, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, (13 << 20) + 7])
def test_an_object_of_any_size_streams_whole_and_in_order(store: S3Store, tmp_path: Path, size: int) -> None:
    body = os.urandom(size)
    (tmp_path / "body").write_bytes(body)
    etag = store.put("m1/1.tar.zst", tmp_path / "body")
    stream = stream_of(store, "m1/1.tar.zst")
    assert (stream.stat.bytes, stream.stat.etag) == (size, etag)
    assert whole(stream) == body


def test_a_large_object_is_fetched_in_parts_and_a_small_one_at_once(store: S3Store, server: S3Server) -> None:
    store.put("m1/large", bytes(9 << 20))
    store.put("m1/small", bytes(1 << 20))
    server.forget_requests()
    whole(stream_of(store, "m1/large"))
    whole(stream_of(store, "m1/small"))
    gets = Counter(request.key.rpartition("/")[2] for request in server.requests() if request.verb == "GET")
    assert gets == {"large": 5, "small": 1}


def test_a_reader_that_stops_early_leaves_most_of_the_object(store: S3Store, server: S3Server) -> None:
    store.put("m1/large", bytes(64 << 20))
    server.forget_requests()
    with stream_of(store, "m1/large") as stream:
        stream.read(100)
    time.sleep(0.3)
    assert len(server.requests()) <= 5


def test_many_streams_at_once_do_not_starve_each_other(store: S3Store) -> None:
    bodies = {f"m{number}/1.tar.zst": os.urandom((5 << 20) + number) for number in range(12)}
    for key, body in bodies.items():
        store.put(key, body)
    with ThreadPoolExecutor(12) as pool:
        read = dict(zip(bodies, pool.map(lambda key: whole(stream_of(store, key)), bodies), strict=True))
    assert read == bodies


def test_an_object_replaced_while_it_is_read_is_an_error_and_never_a_mixture(store: S3Store) -> None:
    store.put("m1/1.tar.zst", b"1" * (20 << 20))
    stream = stream_of(store, "m1/1.tar.zst")
    stream.read(1000)
    store.put("m1/1.tar.zst", b"2" * (20 << 20))
    with pytest.raises(ObjectChangedError, match="replaced or removed"):
        whole(stream)


def test_an_object_deleted_while_it_is_read_is_an_error(store: S3Store) -> None:
    store.put("m1/1.tar.zst", bytes(20 << 20))
    stream = stream_of(store, "m1/1.tar.zst")
    store.delete("m1/1.tar.zst")
    with pytest.raises(ObjectChangedError):
        whole(stream)


def test_a_reader_never_sees_a_part_of_a_small_object(store: S3Store) -> None:
    one, two = b"1" * 2_000, b"2" * 2_000
    store.put("m1/live.json", one)
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(put_meanwhile, store, "m1/live.json", [two, one], stop)
        found = [store.read("m1/live.json") for _ in range(150)]
        stop.set()
        writer.result()
    assert {read.body for read in found if isinstance(read, SmallObject)} <= {one, two}
    assert None not in found


def test_an_object_put_if_absent_is_not_replaced(store: S3Store) -> None:
    assert store.put("m1/1.tar.zst", b"one", if_absent=True) is not None
    assert store.put("m1/1.tar.zst", b"two", if_absent=True) is None
    found = store.read("m1/1.tar.zst")
    assert isinstance(found, SmallObject)
    assert found.body == b"one"


def test_listing_goes_page_by_page_and_stays_in_its_folder(store: S3Store, server: S3Server) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.put(f"m2/{number:04}.tar.zst", b"12"), range(1, 1206)))
    for key in ("m1/live.json", "m21/live.json", "m3/live.json"):
        store.put(key, b"x")
    server.forget_requests()
    found = list(store.list("m2"))
    assert [stat.key for stat in found] == [f"m2/{number:04}.tar.zst" for number in range(1, 1206)]
    assert all(stat.bytes == 2 for stat in found)
    assert [request.verb for request in server.requests()] == ["LIST", "LIST"]
    assert list(store.list("m9")) == []
    assert list(store.list_folders()) == ["m1", "m2", "m21", "m3"]


def test_a_listed_etag_is_the_one_an_object_is_read_with(store: S3Store) -> None:
    etag = store.put("m1/live.json", b"one")
    assert [stat.etag for stat in store.list("m1")] == [etag]


def test_an_object_too_large_for_a_small_one_is_not_read(store: S3Store) -> None:
    store.put("m1/live.json", bytes(SMALL_OBJECT_BYTES + 1))
    with pytest.raises(StoreError, match="larger than 1 MiB"):
        store.read("m1/live.json")


def test_a_store_without_a_prefix_is_the_whole_bucket(store: S3Store) -> None:
    store.put("m1/live.json", b"x")
    assert "some" in list(S3Store.connect(f"s3://{BUCKET}").list_folders())


def test_the_endpoint_is_found_where_boto3_users_put_it(
    server: S3Server, address: str, store: S3Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store.put("m1/live.json", b"x")
    monkeypatch.delenv("ORCHARD_S3_ENDPOINT_URL")
    assert open_store(address, server.url).read("m1/live.json") is not None
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    assert open_store(address).read("m1/live.json") is not None
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    (tmp_path / "config").write_text(
        f"[profile orchard]\nendpoint_url = {server.url}\n"
        f"aws_access_key_id = {server.environment['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {server.environment['AWS_SECRET_ACCESS_KEY']}\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "orchard")
    assert open_store(address).read("m1/live.json") is not None


def every_call(store: S3Store) -> list[Callable[[], object]]:
    return [
        lambda: store.read("m1/live.json"),
        lambda: store.open("m1/live.json"),
        lambda: store.stat("m1/live.json"),
        lambda: store.put("m1/live.json", b"x"),
        lambda: store.delete("m1/live.json"),
        lambda: list(store.list("m1")),
        lambda: list(store.list_folders()),
    ]


def test_wrong_keys_are_refused_at_once_and_say_what_to_check(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    for call in every_call(S3Store.connect(address)):
        with pytest.raises(StoreDeniedError, match="Check the access key"):
            call()


def test_missing_credentials_say_what_to_set(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreDeniedError, match="AWS_PROFILE"):
        S3Store.connect(address).read("m1/live.json")


def test_a_missing_bucket_is_no_missing_tenant() -> None:
    with pytest.raises(StoreError, match="Make the bucket first"):
        S3Store.connect("s3://no-such-bucket/x").read("m1/live.json")


def test_an_address_without_a_bucket_or_with_a_wild_prefix_is_refused() -> None:
    with pytest.raises(StoreError, match="names no bucket"):
        open_store("s3://")
    with pytest.raises(StoreError, match="dots only"):
        open_store(f"s3://{BUCKET}/../x")


def test_a_server_that_is_gone_is_down_soon_and_works_again_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with S3Server(tmp_path / "s3") as server:
        monkeypatch.setenv("ORCHARD_S3_ENDPOINT_URL", server.url)
        store = S3Store.connect(f"s3://{BUCKET}/p")
        store.put("m1/live.json", b"x")
        server.kill()
        for call in every_call(store):
            started = time.monotonic()
            with pytest.raises(StoreDownError, match="does not answer"):
                call()
            assert time.monotonic() - started < 2
        server.start()
        assert isinstance(store.read("m1/live.json"), SmallObject)


def test_a_server_that_hangs_is_down_after_a_few_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with S3Server(tmp_path / "s3") as server:
        monkeypatch.setenv("ORCHARD_S3_ENDPOINT_URL", server.url)
        connected = S3Store.connect(f"s3://{BUCKET}/p")
        store = S3Store(connected._client, BUCKET, "p", Retrying(attempts=1))
        server.freeze()
        started = time.monotonic()
        with pytest.raises(StoreDownError, match="does not answer"):
            store.read("m1/live.json")
        assert time.monotonic() - started < 8


def test_a_server_that_dies_in_the_middle_of_a_stream_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with S3Server(tmp_path / "s3") as server:
        monkeypatch.setenv("ORCHARD_S3_ENDPOINT_URL", server.url)
        store = S3Store.connect(f"s3://{BUCKET}/p")
        store.put("m1/large", bytes(64 << 20))
        with stream_of(store, "m1/large") as stream:
            stream.read(1000)
            server.kill()
            with pytest.raises(StoreDownError):
                whole(stream)


def test_a_server_that_restarts_in_the_middle_of_a_stream_is_hardly_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with S3Server(tmp_path / "s3") as server:
        monkeypatch.setenv("ORCHARD_S3_ENDPOINT_URL", server.url)
        connected = S3Store.connect(f"s3://{BUCKET}/p")
        store = S3Store(connected._client, BUCKET, "p", Retrying(attempts=40, longest_pause=0.2))
        body = os.urandom(24 << 20)
        store.put("m1/large", body)
        with stream_of(store, "m1/large") as stream:
            start = stream.read(1000)
            server.kill()
            server.start()
            assert start + whole(stream) == body
