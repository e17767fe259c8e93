"""Compressed bodies are unpacked as far as they may be large, and refused when they are not what they say."""

import gzip
import tracemalloc
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sidecar.errors import BadInputError
from sidecar.unpacking import UnpackedTooLargeError, unpack

BODY = b'{"inputs": []}' * 100


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [("gzip", gzip.compress(BODY)), ("deflate", zlib.compress(BODY)), ("deflate", raw_deflate(BODY))],
    ids=["gzip", "zlib", "raw"],
)
def test_a_body_is_unpacked_up_to_its_limit(encoding: str, packed: bytes) -> None:
    assert unpack(packed, encoding, len(BODY)) == BODY
    with pytest.raises(UnpackedTooLargeError):
        unpack(packed, encoding, len(BODY) - 1)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "", "x" * 500])
def test_an_encoding_that_is_not_read_is_named(encoding: str) -> None:
    with pytest.raises(BadInputError, match="is not read here: send gzip, deflate or none"):
        unpack(BODY, encoding, 100)


@pytest.mark.parametrize("packed", [b"", b"junk", gzip.compress(BODY)[:-1], gzip.compress(BODY) + b"x"])
def test_what_is_not_one_whole_stream_is_refused(packed: bytes) -> None:
    with pytest.raises(BadInputError):
        unpack(packed, "gzip", 10_000)


def test_a_bomb_takes_no_more_memory_than_its_limit() -> None:
    bomb = gzip.compress(bytes(200 << 20), 1)
    tracemalloc.start()
    try:
        with pytest.raises(UnpackedTooLargeError):
            unpack(bomb, "gzip", 1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@given(packed=st.binary(max_size=200), encoding=st.sampled_from(["gzip", "deflate"]))
def test_any_bytes_are_unpacked_or_refused(packed: bytes, encoding: str) -> None:
    with suppress(BadInputError, UnpackedTooLargeError):
        assert len(unpack(packed, encoding, 1000)) <= 1000
