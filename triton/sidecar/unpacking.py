"""Compressed request bodies, unpacked only as far as a body may be large: a few of theirs can stand for gigabytes."""

import zlib

from sidecar.errors import BadInputError

# What zlib is told to expect: a gzip header, a zlib header, none.
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class UnpackedTooLargeError(Exception):
    """The body would be larger than is taken."""


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo a `Content-Encoding`, in lower case. The result has `limit` bytes at most.

    Raises:
        BadInputError: it is an encoding that is not read here, or not one whole stream of it.
        UnpackedTooLargeError: there is more than `limit` in it.
    """
    if encoding not in ("gzip", "deflate"):
        raise BadInputError(f"the content encoding {encoding[:40]!r} is not read here: send gzip, deflate or none")
    unpacker = zlib.decompressobj(_format_of(body, encoding))
    try:
        plain = unpacker.decompress(body, limit + 1)
    except zlib.error:
        raise BadInputError(f"the body is not {encoding}, as its Content-Encoding says") from None
    if len(plain) > limit:
        raise UnpackedTooLargeError
    if not unpacker.eof or unpacker.unused_data:
        raise BadInputError(f"the body is not one whole {encoding} stream")
    return plain


def _format_of(body: bytes, encoding: str) -> int:
    if encoding == "gzip":
        return _GZIP
    # "deflate" should have a zlib header (RFC 9110), and from some clients has none.
    return _ZLIB if body[:1] and body[0] & 0x0F == zlib.DEFLATED else _RAW
