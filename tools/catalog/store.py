"""The few object operations the catalog needs, and where a store is found from its address.

A store keeps bytes under keys such as `m37/live.json`. It holds no policy: what the keys mean, and in which
order they are written, is the catalog's business. Every store here is synchronous and safe to use from
many threads.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, Protocol

DEFAULT_STORE = "store"
SMALL_OBJECT_BYTES: Final = 1 << 20

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


class StoreError(Exception):
    """A store could not do what it was asked. The message says what to do."""


class StoreDownError(StoreError):
    """The store did not answer, or answered that it cannot now. Trying again later may help."""


class StoreDeniedError(StoreError):
    """The store refused these credentials. Trying again will not help."""


class ObjectChangedError(StoreError):
    """The object was replaced or removed while it was being read. Reading it again from the start will help."""


class BadKeyError(ValueError):
    """The text is not a key. Keys are path-like, and no part of one starts with a dot."""


class NotChanged(Enum):
    """The type of `NOT_CHANGED`, so that a type checker can tell it from an object."""

    NOT_CHANGED = "not changed"


NOT_CHANGED: Final = NotChanged.NOT_CHANGED


@dataclass(frozen=True, slots=True)
class SmallObject:
    """A whole object and the etag it was read with."""

    body: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class ObjectStat:
    """What a store knows of an object without reading it. Two different contents never share an etag."""

    key: str
    bytes: int
    etag: str


class ByteStream(Protocol):
    """Bytes in order, each read once."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end."""
        ...


class ObjectStream(ByteStream, Protocol):
    """One version of one object, being read. Close it, or use it as a context manager."""

    def __enter__(self) -> "ObjectStream": ...

    def __exit__(self, *exception: object) -> None: ...

    @property
    def stat(self) -> ObjectStat:
        """The key, the size and the etag of what is being read."""
        ...

    def close(self) -> None:
        """Give up whatever is still being fetched."""
        ...


class Store(Protocol):
    """Objects under keys. Every method raises `StoreDownError`, `StoreDeniedError` or `BadKeyError`."""

    def read(self, key: str, known: str | None = None) -> SmallObject | NotChanged | None:
        """An object of at most `SMALL_OBJECT_BYTES`; None if there is none, `NOT_CHANGED` if its etag is `known`."""
        ...

    def open(self, key: str, known: str | None = None) -> ObjectStream | NotChanged | None:
        """An object of any size as a stream; None if there is none, `NOT_CHANGED` if its etag is `known`."""
        ...

    def stat(self, key: str) -> ObjectStat | None:
        """Size and etag of an object; None if there is none."""
        ...

    def put(self, key: str, body: bytes | Path, *, if_absent: bool = False) -> str | None:
        """Write an object from bytes or from a file; readers see the old one or the new one, never a part.

        Returns its etag, or None if `if_absent` and there was one already. Not every S3 server can decide
        `if_absent` atomically: whoever depends on it checks afterwards.
        """
        ...

    def list(self, folder: str) -> Iterator[ObjectStat]:
        """The objects directly in `folder`, in the order of their keys, fetched page by page."""
        ...

    def list_folders(self) -> Iterator[str]:
        """The names of the top folders, in order, fetched page by page."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object. One that is not there is no error."""
        ...

    def clock(self) -> float | None:
        """The store's own time, in seconds since the epoch, to the second; None if it has no clock but ours."""
        ...


def checked_key(key: str) -> str:
    """Return `key`, or raise `BadKeyError`: such a key can never lead out of a store."""
    if _KEY.fullmatch(key) is None:
        raise BadKeyError(f"{key[:200]!r} is not a key of a store")
    return key


def open_store(address: str, endpoint_url: str | None = None, *, create: bool = False) -> Store:
    """The store at `address`: a folder's path, or `s3://bucket/prefix`.

    For S3, `endpoint_url` goes before ORCHARD_S3_ENDPOINT_URL, and that before what boto3 reads itself
    (AWS_ENDPOINT_URL, the profile). Credentials, region and profile are boto3's business. `create` makes a
    folder that is not there; a bucket is never made.

    Raises:
        StoreError: the address has another scheme, or names no bucket.
    """
    if address.startswith("s3://"):
        # boto3 takes a quarter of a second to import: only those who use it pay.
        from tools.catalog.s3 import S3Store

        return S3Store.connect(address, endpoint_url)
    if "://" in address:
        raise StoreError(f"{address!r} is not a store: use a folder's path or s3://bucket/prefix")
    from tools.catalog.folder import FolderStore

    return FolderStore.connect(Path(address), create)
