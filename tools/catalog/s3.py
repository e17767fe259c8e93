"""A store in a bucket of any S3-compatible server."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from tools.catalog.ranges import RangedStream
from tools.catalog.retry import Deadline, Retrying
from tools.catalog.s3_errors import CALL_ERRORS, AnswerError, explained
from tools.catalog.store import (
    NOT_CHANGED,
    SMALL_OBJECT_BYTES,
    NotChanged,
    ObjectChangedError,
    ObjectStat,
    SmallObject,
    StoreError,
    checked_key,
)

T = TypeVar("T")

ENDPOINT_VARIABLE = "ORCHARD_S3_ENDPOINT_URL"

_PART_BYTES = 2 << 20
_PARTS_AHEAD = 4
# Four loads at once, each with its parts ahead; the connections of small requests come on top.
_PART_THREADS = 16
_CONNECTIONS = 64
_CONNECT_SECONDS = 2
_READ_SECONDS = 5
_BODY_PIECE = 256 << 10
_NOT_MODIFIED = {"304", "NotModified"}
_ABSENT = {"404", "NoSuchKey"}
_EXISTS = {"412", "PreconditionFailed"}
_NO_SUCH_RANGE = {"416", "InvalidRange"}
_NO_CONDITIONS = {"501", "NotImplemented"}


class S3Store:
    """Objects under `prefix` in `bucket`. `client` is a boto3 S3 client that does not retry on its own."""

    def __init__(
        self, client: Any, bucket: str, prefix: str, retrying: Retrying | None = None, part_bytes: int = _PART_BYTES
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._root = f"{prefix}/" if prefix else ""
        self._retrying = retrying or Retrying()
        self._part_bytes = part_bytes
        self._parts = ThreadPoolExecutor(_PART_THREADS, "s3-part")

    @classmethod
    def connect(cls, address: str, endpoint_url: str | None = None) -> "S3Store":
        """The store at `s3://bucket/prefix`. Makes no request yet. See `open_store` for where settings come from.

        Raises:
            StoreError: the address names no bucket, or boto3's own settings are wrong.
        """
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        prefix = prefix.strip("/")
        if not bucket:
            raise StoreError(f"{address!r} names no bucket: use s3://bucket/prefix")
        if prefix and not {"", ".", ".."}.isdisjoint(prefix.split("/")):
            raise StoreError(f"{address!r} is not a store: its prefix has an empty part, or one of dots only")
        try:
            return cls(_client(endpoint_url or os.environ.get(ENDPOINT_VARIABLE)), bucket, prefix)
        except (BotoCoreError, ValueError) as error:
            raise StoreError(f"the S3 settings are wrong: {error}") from error

    def read(self, key: str, known: str | None = None) -> SmallObject | NotChanged | None:
        """See `Store.read`. One GET."""

        def attempt(deadline: Deadline) -> SmallObject:
            response = self._call("get_object", key, **_unless(known))
            with closing(_Body(self._place(key), response["Body"])) as body:
                if response["ContentLength"] > SMALL_OBJECT_BYTES:
                    raise StoreError(f"{self._place(key)} is not what its name says: it is larger than 1 MiB")
                return SmallObject(_whole(body, deadline), _etag(response))

        return _found(lambda: self._retrying.run(attempt))

    def open(self, key: str, known: str | None = None) -> RangedStream | NotChanged | None:
        """See `Store.open`. One GET for every 2 MiB, several at a time."""
        response = _found(lambda: self._retrying.run(lambda _: self._first_part(key, known)))
        if response is None or response is NOT_CHANGED:
            return response
        first_bytes = response["ContentLength"]
        total = int(response.get("ContentRange", f"/{first_bytes}").rpartition("/")[2])
        stat = ObjectStat(key, total, _etag(response))
        return RangedStream(
            stat,
            _Body(self._place(key), response["Body"]),
            first_bytes,
            lambda start, end: self._retrying.run(lambda deadline: self._part(stat, start, end, deadline)),
            self._parts,
            self._part_bytes,
            _PARTS_AHEAD,
        )

    def stat(self, key: str) -> ObjectStat | None:
        """See `Store.stat`. One HEAD."""
        found = _found(lambda: self._retrying.run(lambda _: self._call("head_object", key)))
        if found is None or found is NOT_CHANGED:
            return None
        return ObjectStat(key, found["ContentLength"], _etag(found))

    def put(self, key: str, body: bytes | Path, *, if_absent: bool = False) -> str | None:
        """See `Store.put`. One PUT, which S3 limits to 5 GB.

        `if_absent` is atomic where the server honours If-None-Match on PUT, as AWS does; elsewhere it is a look
        before the PUT, and another writer may come between.
        """
        if not if_absent:
            return self._put(key, body)
        if self.stat(key) is not None:
            return None
        try:
            return self._put(key, body, IfNoneMatch="*")
        except AnswerError as error:
            if error.code in _EXISTS:
                return None
            if error.code in _NO_CONDITIONS:
                return self._put(key, body)
            raise

    def list(self, folder: str) -> Iterator[ObjectStat]:
        """See `Store.list`. One LIST for every thousand objects."""
        prefix = f"{self._root}{checked_key(folder)}/"
        for page in self._pages(prefix):
            for found in page.get("Contents", ()):
                yield ObjectStat(found["Key"].removeprefix(self._root), found["Size"], _etag(found))

    def list_folders(self) -> Iterator[str]:
        """See `Store.list_folders`. One LIST for every thousand folders."""
        for page in self._pages(self._root):
            for found in page.get("CommonPrefixes", ()):
                yield found["Prefix"].removeprefix(self._root).rstrip("/")

    def delete(self, key: str) -> None:
        """See `Store.delete`. One DELETE."""
        _found(lambda: self._retrying.run(lambda _: self._call("delete_object", key)))

    def clock(self) -> float | None:
        """See `Store.clock`. One LIST of one key, for the date of its answer."""

        def attempt(_: Deadline) -> Any:
            try:
                return self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._root, MaxKeys=1)
            except CALL_ERRORS as error:
                raise explained(error, f"s3://{self._bucket}/{self._root}") from error

        date = self._retrying.run(attempt)["ResponseMetadata"]["HTTPHeaders"].get("date")
        return parsedate_to_datetime(date).timestamp() if date else None

    def _call(self, operation: str, key: str, **arguments: Any) -> Any:
        try:
            return getattr(self._client, operation)(Bucket=self._bucket, Key=self._root + checked_key(key), **arguments)
        except CALL_ERRORS as error:
            raise explained(error, self._place(key)) from error

    def _place(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._root}{key}"

    def _first_part(self, key: str, known: str | None) -> Any:
        try:
            return self._call("get_object", key, Range=f"bytes=0-{self._part_bytes - 1}", **_unless(known))
        except AnswerError as error:
            if error.code not in _NO_SUCH_RANGE:
                raise
            # An empty object has no first byte to ask for.
            return self._call("get_object", key, **_unless(known))

    def _part(self, stat: ObjectStat, start: int, end: int, deadline: Deadline) -> bytes:
        changed = ObjectChangedError(
            f"{self._place(stat.key)} was replaced or removed while it was read: read it again"
        )
        try:
            response = self._call("get_object", stat.key, Range=f"bytes={start}-{end - 1}")
        except AnswerError as error:
            if error.code in _ABSENT | _NO_SUCH_RANGE:
                raise changed from error
            raise
        with closing(_Body(self._place(stat.key), response["Body"])) as body:
            # Compared here rather than asked for with If-Match, which not every server heeds.
            if _etag(response) != stat.etag:
                raise changed
            if response["ContentLength"] != end - start:
                raise StoreError(f"{self._place(stat.key)}: the S3 server does not serve ranges as it should")
            return _whole(body, deadline)

    def _put(self, key: str, body: bytes | Path, **conditions: str) -> str:
        def attempt(_: Deadline) -> str:
            if isinstance(body, bytes):
                return _etag(self._call("put_object", key, Body=body, **conditions))
            with body.open("rb") as file:
                return _etag(self._call("put_object", key, Body=file, **conditions))

        return self._retrying.run(attempt)

    def _pages(self, prefix: str) -> Iterator[Any]:
        token: dict[str, str] = {}
        while True:
            page = self._page(prefix, token)
            yield page
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _page(self, prefix: str, token: dict[str, str]) -> Any:
        def attempt(_: Deadline) -> Any:
            try:
                return self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, Delimiter="/", **token)
            except CALL_ERRORS as error:
                raise explained(error, f"s3://{self._bucket}/{prefix}") from error

        return self._retrying.run(attempt)


class _Body:
    """The body of an answer, its errors explained.

    Not to be had from `with response["Body"]`, which hands out a stream that does not notice a body cut short.
    """

    def __init__(self, place: str, body: Any) -> None:
        self._place = place
        self._body = body

    def read(self, size: int, /) -> bytes:
        try:
            return bytes(self._body.read(size))
        except CALL_ERRORS as error:
            raise explained(error, self._place) from error

    def close(self) -> None:
        self._body.close()


def _client(endpoint_url: str | None) -> Any:
    session = boto3.session.Session()

    def client(addressing: str) -> Any:
        config = Config(
            s3={"addressing_style": addressing},
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            max_pool_connections=_CONNECTIONS,
            tcp_keepalive=True,
            retries={"total_max_attempts": 1, "mode": "standard"},
            # Bundles carry their own hashes, and not every server knows the newer checksum headers.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return session.client("s3", endpoint_url=endpoint_url, config=config)

    found = client("auto")
    # Only AWS has a DNS name for every bucket. The endpoint may come from boto3's own settings, so ask it.
    host = urlsplit(found.meta.endpoint_url).hostname or ""
    return found if host.endswith((".amazonaws.com", ".amazonaws.com.cn")) else client("path")


def _found(call: Callable[[], T]) -> T | NotChanged | None:
    try:
        return call()
    except AnswerError as error:
        if error.code in _NOT_MODIFIED:
            return NOT_CHANGED
        if error.code in _ABSENT:
            return None
        raise


def _unless(known: str | None) -> dict[str, str]:
    return {} if known is None else {"IfNoneMatch": f'"{known}"'}


def _etag(response: Any) -> str:
    # Some servers quote it in an answer's header but not in a listing.
    return str(response["ETag"]).strip('"')


def _whole(body: _Body, deadline: Deadline) -> bytes:
    pieces = []
    while piece := body.read(_BODY_PIECE):
        pieces.append(piece)
        deadline.check()
    return b"".join(pieces)
