"""A store in a folder: one file per object."""

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

from tools.catalog.store import (
    NOT_CHANGED,
    SMALL_OBJECT_BYTES,
    NotChanged,
    ObjectStat,
    SmallObject,
    StoreDeniedError,
    StoreDownError,
    StoreError,
    checked_key,
)

_INCOMING = ".incoming"
_COPY_BYTES = 1 << 20


class FolderStore:
    """Objects as files below `root`.

    An object is written beside the others under `.incoming`, synced, and moved into place, so readers and
    crashes never see a part of one.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    @classmethod
    def connect(cls, root: Path, create: bool) -> "FolderStore":
        """The store in `root`; `create` makes the folder if it is not there."""
        if create:
            with _explained(root):
                root.mkdir(parents=True, exist_ok=True)
        return cls(root)

    def read(self, key: str, known: str | None = None) -> SmallObject | NotChanged | None:
        """See `Store.read`."""
        stream = self.open(key, known)
        if stream is None or stream is NOT_CHANGED:
            return stream
        with stream:
            body = stream.read(SMALL_OBJECT_BYTES + 1)
        if len(body) > SMALL_OBJECT_BYTES:
            raise StoreError(f"{self._root / key} is not what its name says: it is larger than 1 MiB")
        return SmallObject(body, stream.stat.etag)

    def open(self, key: str, known: str | None = None) -> "FileStream | NotChanged | None":
        """See `Store.open`."""
        with _explained(self._root):
            try:
                file = self._path(key).open("rb")
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                _check_there(self._root)
                return None
        stat = _stat(key, os.fstat(file.fileno()))
        if stat.etag == known:
            file.close()
            return NOT_CHANGED
        return FileStream(file, stat)

    def stat(self, key: str) -> ObjectStat | None:
        """See `Store.stat`."""
        with _explained(self._root):
            try:
                found = self._path(key).stat()
            except (FileNotFoundError, NotADirectoryError):
                _check_there(self._root)
                return None
        return _stat(key, found) if S_ISREG(found.st_mode) else None

    def put(self, key: str, body: bytes | Path, *, if_absent: bool = False) -> str | None:
        """See `Store.put`; `if_absent` is decided atomically here."""
        target = self._path(key)
        with _explained(self._root):
            if if_absent and target.exists():
                return None
            incoming = self._write(body)
            try:
                etag = _stat(key, incoming.stat()).etag
                moved = _link(incoming, target) if if_absent else _replace(incoming, target)
            finally:
                incoming.unlink(missing_ok=True)
            _sync_folder(target.parent)
            return etag if moved else None

    def list(self, folder: str) -> Iterator[ObjectStat]:
        """See `Store.list`."""
        checked_key(folder)
        for entry in _entries(self._root, self._root / folder):
            # A file may go between being listed and being looked at.
            with contextlib.suppress(FileNotFoundError):
                if entry.is_file():
                    yield _stat(f"{folder}/{entry.name}", entry.stat())

    def list_folders(self) -> Iterator[str]:
        """See `Store.list_folders`."""
        return (entry.name for entry in _entries(self._root, self._root) if entry.is_dir())

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        path = self._path(key)
        with _explained(self._root):
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                path.parent.rmdir()

    def clock(self) -> None:
        """See `Store.clock`. A folder has none."""
        return

    def _path(self, key: str) -> Path:
        return self._root / checked_key(key)

    def _write(self, body: bytes | Path) -> Path:
        incoming = self._root / _INCOMING / secrets.token_hex(16)
        incoming.parent.mkdir(parents=True, exist_ok=True)
        with incoming.open("xb") as file:
            try:
                _copy(body, file)
                file.flush()
                # The kernel's own stamp is as coarse as its tick: two quick writes could share it, and so an etag.
                os.utime(file.fileno(), ns=(time.time_ns(), time.time_ns()))
                os.fsync(file.fileno())
            except BaseException:
                incoming.unlink()
                raise
        return incoming


class FileStream:
    """A file as an `ObjectStream`. A file replaced meanwhile stays readable as it was."""

    def __init__(self, file: BinaryIO, stat: ObjectStat) -> None:
        self._file = file
        self._stat = stat

    @property
    def stat(self) -> ObjectStat:
        """See `ObjectStream.stat`."""
        return self._stat

    def read(self, size: int, /) -> bytes:
        """See `ByteStream.read`. Raises `StoreDownError` if the disk fails."""
        try:
            return self._file.read(size)
        except OSError as error:
            raise StoreDownError(f"reading {self._stat.key} failed: {error}") from error

    def close(self) -> None:
        """See `ObjectStream.close`."""
        self._file.close()

    def __enter__(self) -> "FileStream":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _stat(key: str, found: os.stat_result) -> ObjectStat:
    return ObjectStat(key, found.st_size, f"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}")


def _entries(root: Path, folder: Path) -> Iterator["os.DirEntry[str]"]:
    with _explained(root):
        try:
            with os.scandir(folder) as found:
                entries = [entry for entry in found if not entry.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            _check_there(root)
            return iter(())
    return iter(sorted(entries, key=lambda entry: entry.name))


def _check_there(root: Path) -> None:
    # A folder that is not there at all is most likely a volume that is not mounted: that is the store being
    # down, and must not look like every tenant having been deleted.
    if not root.is_dir():
        raise StoreDownError(f"the store {root} is not there: mount it, or publish something to make it")


def _copy(body: bytes | Path, file: BinaryIO) -> None:
    if isinstance(body, bytes):
        file.write(body)
        return
    with body.open("rb") as source:
        while piece := source.read(_COPY_BYTES):
            file.write(piece)


def _link(incoming: Path, target: Path) -> bool:
    try:
        _into_folder(os.link, incoming, target)
    except FileExistsError:
        return False
    return True


def _replace(incoming: Path, target: Path) -> bool:
    _into_folder(os.replace, incoming, target)
    return True


def _into_folder(move: Callable[[Path, Path], None], incoming: Path, target: Path) -> None:
    # `delete` removes a folder when its last object goes, perhaps between our mkdir and our move.
    for _ in range(100):
        with contextlib.suppress(FileExistsError):
            target.parent.mkdir()
        with contextlib.suppress(FileNotFoundError):
            return move(incoming, target)
    raise StoreDownError(f"{target.parent} is removed as often as it is made: something else is deleting there")


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _explained(root: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise StoreDeniedError(f"no access to the store {root}: {error}. Check the folder's owner and mode") from error
    except OSError as error:
        raise StoreDownError(f"the store {root} failed: {error}") from error
