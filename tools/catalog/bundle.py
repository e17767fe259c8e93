"""Bundles: one compiled tenant in one file, a tar inside a zstd frame.

The members are `manifest.json`, `config.pbtxt` and `<version>/checkpoint.tl`, in this order, with nothing in
their headers but name and size: the same entry always gives the same bytes. Reading needs no tar parser, which
leaves nothing for a hostile archive to abuse: but for the manifest's length, every header is known beforehand, and
anything else is refused.
"""

import contextlib
import hashlib
import os
import secrets
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

from tools.catalog.manifest import MANIFEST_NAME, BadManifestError, FileDigest, Manifest
from tools.catalog.store import ByteStream

BUNDLE_SUFFIX = ".tar.zst"
ZSTD_LEVEL = 3

_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)
_MANIFEST_BYTES_MAX = 1 << 20
# Level 3 uses a window of 2 MiB. A frame may ask its reader for gigabytes; this is all it gets.
_WINDOW_BYTES_MAX = 8 << 20
# zstd can turn 4 bytes into a block of 128 KiB, so what goes in at once bounds what can come out at once.
_COMPRESSED_PIECE = 4 << 10
_READ_BYTES = 64 << 10
_COPY_BYTES = 1 << 20


class BadBundleError(ValueError):
    """The bytes are not the bundle they should be. The message says what is wrong."""


def write_bundle(entry: Path, manifest: Manifest, target: Path) -> None:
    """Pack the repository entry in the folder `entry` into the file `target`, which appears whole or not at all.

    Raises:
        BadBundleError: a file of the entry is not as the manifest says.
        OSError: a file cannot be read or written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    incoming = target.parent / f".{target.name}.{secrets.token_hex(8)}"
    try:
        with incoming.open("xb") as file:
            _pack(entry, manifest, file)
            file.flush()
            os.fsync(file.fileno())
        incoming.replace(target)
    finally:
        incoming.unlink(missing_ok=True)


def unpack_bundle(stream: ByteStream, into: Path, expected: Manifest) -> None:
    """Write the entry held by a bundle into the empty folder `into`, hashing while writing.

    `into` then has `manifest.json`, `config.pbtxt` and `<version>/checkpoint.tl`. On any failure, whatever was
    written is removed. Memory stays below about 150 MiB whatever the bytes are, and is a few MiB for real bundles.

    Raises:
        BadBundleError: anything at all differs from `expected`.
        OSError: the disk failed.
    """
    (into / str(expected.version)).mkdir()
    try:
        _read_entry(stream, lambda name: (into / name).open("xb"), expected)
    except BaseException:
        for name in (MANIFEST_NAME, *(file.path for file in expected.files)):
            (into / name).unlink(missing_ok=True)
        (into / str(expected.version)).rmdir()
        raise


def verify_bundle(stream: ByteStream) -> Manifest:
    """Read a whole bundle, check it against its own manifest, and return that.

    Raises:
        BadBundleError: it is damaged, or holds something else than its manifest says.
    """
    return _read_entry(stream, lambda _: contextlib.nullcontext(), None)


def read_manifest(bundle: Path) -> Manifest:
    """The manifest of a bundle file. Only its beginning is read: the rest is not verified.

    Raises:
        BadBundleError: they are not the start of a bundle.
        OSError: the file cannot be read.
    """
    with bundle.open("rb") as file:
        return _read_manifest(_Unpacked(file))[0]


class HashingStream:
    """Passes a stream on, and knows the SHA-256 and the number of the bytes that went through.

    With `expected` (lower-case hex), the end of the stream raises `BadBundleError` unless the two agree.
    """

    def __init__(self, stream: ByteStream, expected: str | None = None) -> None:
        self._stream = stream
        self._expected = expected
        self._sha256 = hashlib.sha256()
        self.bytes = 0

    def read(self, size: int, /) -> bytes:
        """See `ByteStream.read`."""
        piece = self._stream.read(size)
        if not piece and self._expected not in (None, self.sha256):
            raise BadBundleError("the bundle does not have the SHA-256 its live pointer gives")
        self._sha256.update(piece)
        self.bytes += len(piece)
        return piece

    @property
    def sha256(self) -> str:
        """Of everything read so far, in lower-case hex."""
        return self._sha256.hexdigest()


def _pack(entry: Path, manifest: Manifest, file: BinaryIO) -> None:
    text = manifest.to_json().encode()
    sizes = [len(text), *(member.bytes for member in manifest.files)]
    total = sum(_BLOCK + size + _padding(size) for size in sizes) + len(_END)
    frame = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True).compressobj(size=total)
    for piece in _tar(entry, text, _members(manifest)):
        file.write(frame.compress(piece))
    file.write(frame.flush())


def _tar(entry: Path, text: bytes, members: list[FileDigest]) -> Iterator[bytes]:
    yield _header(MANIFEST_NAME, len(text)) + text + bytes(_padding(len(text)))
    for member in members:
        yield _header(member.path, member.bytes)
        yield from _pieces_of(entry / member.path, member)
        yield bytes(_padding(member.bytes))
    yield _END


def _pieces_of(path: Path, member: FileDigest) -> Iterator[bytes]:
    with path.open("rb") as file:
        source = HashingStream(file)
        # One byte more than there should be, to notice a file that has grown.
        while piece := source.read(min(_COPY_BYTES, member.bytes + 1 - source.bytes)):
            yield piece
    if (source.bytes, source.sha256) != (member.bytes, member.sha256):
        raise BadBundleError(f"{path} is not the file its manifest describes: compile the model again")


def _members(manifest: Manifest) -> list[FileDigest]:
    # config.pbtxt first whatever the manifest's own order: the order is part of the format.
    return sorted(manifest.files, key=lambda file: file.path != "config.pbtxt")


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def _padding(size: int) -> int:
    return -size % _BLOCK


_Sink = Callable[[str], contextlib.AbstractContextManager[BinaryIO | None]]


def _read_entry(stream: ByteStream, sink: _Sink, expected: Manifest | None) -> Manifest:
    unpacked = _Unpacked(stream)
    manifest, text = _read_manifest(unpacked)
    if expected is not None and manifest != expected:
        raise BadBundleError("the bundle's manifest is not the one its tenant's live pointer holds")
    with sink(MANIFEST_NAME) as file:
        if file is not None:
            file.write(text)
    for member in _members(manifest):
        with sink(member.path) as file:
            _read_file(unpacked, member, file)
    if unpacked.take(len(_END)) != _END:
        raise BadBundleError("the bundle holds more than its manifest names")
    unpacked.finish()
    return manifest


def _read_manifest(unpacked: "_Unpacked") -> tuple[Manifest, bytes]:
    header = unpacked.take(_BLOCK)
    try:
        size = tarfile.TarInfo.frombuf(header, "utf-8", "strict").size
    except (tarfile.TarError, ValueError) as error:
        raise BadBundleError(f"this is not a bundle: {error}") from None
    if not 0 < size <= _MANIFEST_BYTES_MAX or header != _header(MANIFEST_NAME, size):
        raise BadBundleError(f"the bundle does not start with {MANIFEST_NAME}: it was not made by orchard compile")
    text = unpacked.take(size)
    _skip_padding(unpacked, size)
    try:
        return Manifest.from_json(text), text
    except BadManifestError as error:
        raise BadBundleError(f"the bundle's manifest: {error}") from None


def _read_file(unpacked: "_Unpacked", member: FileDigest, file: BinaryIO | None) -> None:
    if unpacked.take(_BLOCK) != _header(member.path, member.bytes):
        raise BadBundleError(f"the bundle does not hold {member.path} as its manifest describes it")
    sha256 = hashlib.sha256()
    for piece in unpacked.pieces(member.bytes):
        sha256.update(piece)
        if file is not None:
            file.write(piece)
    if sha256.hexdigest() != member.sha256:
        raise BadBundleError(f"{member.path} in the bundle does not have the SHA-256 its manifest gives")
    _skip_padding(unpacked, member.bytes)


def _skip_padding(unpacked: "_Unpacked", size: int) -> None:
    if any(unpacked.take(_padding(size))):
        raise BadBundleError("the bundle has bytes between its members")


class _Unpacked:
    """The plain bytes inside the one zstd frame of a stream."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._frame = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES_MAX).decompressobj()
        self._unread = memoryview(b"")
        self._ready = memoryview(b"")

    def pieces(self, count: int) -> Iterator[memoryview]:
        """The next `count` bytes, in pieces as they come."""
        while count:
            if not self._ready:
                self._ready = memoryview(self._next())
            piece, self._ready = self._ready[:count], self._ready[count:]
            count -= len(piece)
            yield piece

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        return b"".join(self.pieces(count))

    def finish(self) -> None:
        """Check that the frame ends here, whole, and that nothing follows it."""
        while not self._ready and not self._frame.eof:
            self._ready = memoryview(self._decompress(self._compressed()))
        if self._ready or self._frame.unused_data or self._unread or self._stream.read(1):
            raise BadBundleError("the bundle goes on after its end")

    def _next(self) -> bytes:
        while True:
            if self._frame.eof:
                raise BadBundleError("the bundle holds less than its manifest names")
            if plain := self._decompress(self._compressed()):
                return plain

    def _compressed(self) -> memoryview:
        if not self._unread:
            self._unread = memoryview(self._stream.read(_READ_BYTES))
            if not self._unread:
                raise BadBundleError("the bundle is cut short")
        piece, self._unread = self._unread[:_COMPRESSED_PIECE], self._unread[_COMPRESSED_PIECE:]
        return piece

    def _decompress(self, piece: memoryview) -> bytes:
        try:
            return self._frame.decompress(piece)
        except zstandard.ZstdError as error:
            raise BadBundleError(f"the bundle is damaged: {error}") from None
