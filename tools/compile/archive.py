"""Reading a .tar.gz that comes from somewhere else. Nothing of it is ever written to the disk.

The archive is read as a stream, in memory, member after member. What a model archive has no use for (links,
devices, paths that climb out) is refused rather than skipped: such an archive was not made by accident.
"""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, BinaryIO

from tools.compile.errors import RefusedError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MODEL_BYTES_MAX = 1 << 30
_MEMBERS_MAX = 1000
# deflate reaches 1032:1 on zeros. XGBoost's JSON, which repeats itself a lot, was seen at up to 15:1.
_RATIO_MAX = 100
# A small archive may be mostly zeros: tar alone pads to 10 KiB.
_RATIO_FREE_BYTES = 1 << 20
_DAMAGED = (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, ValueError, UnicodeError)


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """A regular file of an archive. It can be read until the next one is asked for."""

    name: str
    _stream: IO[bytes]

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end.

        Raises:
            RefusedError: the archive is damaged, or larger than is allowed.
        """
        try:
            return self._stream.read(size)
        except _DAMAGED as error:
            raise _damaged(error) from None


class Archive:
    """A .tar.gz in the open file `file`."""

    def __init__(self, file: BinaryIO) -> None:
        self._plain = io.BufferedReader(_Bounded(file), tarfile.RECORDSIZE)

    def files(self) -> Iterator[ArchiveFile]:
        """Its regular files, in order.

        Raises:
            RefusedError: it is damaged, larger than is allowed, or holds what a model archive never does.
        """
        try:
            with tarfile.open(fileobj=self._plain, mode="r|", errorlevel=2) as tar:
                for count, member in enumerate(tar, 1):
                    if count > _MEMBERS_MAX:
                        raise RefusedError(f"the archive has more than {_MEMBERS_MAX} members")
                    _check(member)
                    content = None if member.isdir() else tar.extractfile(member)
                    if content is not None:
                        yield ArchiveFile(member.name, content)
        except _DAMAGED as error:
            if isinstance(error, RefusedError):
                raise
            raise _damaged(error) from None


def _check(member: tarfile.TarInfo) -> None:
    name = member.name[:200]
    if PurePosixPath(member.name).is_absolute() or ".." in PurePosixPath(member.name).parts or "\0" in member.name:
        raise RefusedError(f"the archive has a member that leads out of it, {name!r}")
    if member.issym() or member.islnk():
        raise RefusedError(f"the archive has a link, {name!r}: pack the file itself")
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise RefusedError(f"the archive has a member that is neither a plain file nor a folder, {name!r}")
    if member.size > MODEL_BYTES_MAX:
        raise RefusedError(f"the archive has a member larger than {MODEL_BYTES_MAX >> 20} MiB, {name!r}")


def _damaged(error: Exception) -> RefusedError:
    return error if isinstance(error, RefusedError) else RefusedError(f"the archive is damaged: {str(error)[:200]}")


class _Bounded(io.RawIOBase):
    """The decompressed bytes, which stop being given out when there are suspiciously many."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._gzip = gzip.GzipFile(fileobj=file)
        self._given = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """See `io.RawIOBase`. Raises `RefusedError` beyond the bounds."""
        count = self._gzip.readinto(buffer)
        self._given += count
        if self._given > 2 * MODEL_BYTES_MAX:
            raise RefusedError(f"the archive unpacks to more than {2 * MODEL_BYTES_MAX >> 20} MiB")
        if self._given > _RATIO_FREE_BYTES and self._given > _RATIO_MAX * self._file.tell():
            raise RefusedError(f"the archive unpacks to more than {_RATIO_MAX} times its size: it is a bomb")
        return count
