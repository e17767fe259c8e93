"""KServe calls that lie: about sizes, shapes, types and lengths, in JSON and in binary."""

import gzip
import json
import zlib
from random import Random

import numpy as np
import pytest

from tests.integration.hostile.calls import (
    FEATURES,
    ODD_VALUES,
    ROW,
    binary_call,
    damaged,
    header_length,
    json_call,
    places,
    replaced,
)
from tests.integration.hostile.conftest import (
    Target,
    assert_refused,
    assert_refused_or_right,
    peak_memory,
)

TENANTS = ("warm", "cold")
FULL = {
    **json_call(parameters={"any": 1}),
    "id": "1",
    "parameters": {"binary_data_output": False, "priority": 0, "timeout": 0, "sequence_id": 0, "any": "x"},
    "outputs": [{"name": "output__0", "parameters": {"binary_data": False, "classification": 0}}],
}
HUGE = json.dumps(json_call(shape=[10**12, FEATURES])).encode()
# The bodies that end an unguarded Triton, each by one request.
DEADLY = {
    "a shape nobody has memory for": HUGE,
    "a shape that overflows": json.dumps(json_call(shape=[2**63 - 1, FEATURES])).encode(),
    "a shape of gigabytes": json.dumps(json_call(shape=[10**9, FEATURES])).encode(),
    "the shape twice": json.dumps(json_call()).encode().replace(b'"data"', b'"shape": [1000000000000, 6], "data"'),
    "the shape in other letters": HUGE.replace(b'"shape"', b'"sh\\u0061pe"'),
    "the numbers in other letters": HUGE.replace(b'"data"', b'"d\\u0061ta"'),
    "brackets": b"[" * 1_000_000,
    "rows of nothing": b'{"inputs": [{"shape": [1, 6], "data": [' + b"[]," * 300_000 + b"[]]}]}",
    "inputs without end": b'{"inputs": [' + b'{"a": 1},' * 100_000 + b"{}]}",
    "braces": b'{"a":' * 1_000_000,
    "brackets for numbers": json.dumps(json_call(data=0)).encode().replace(b": 0}", b": " + b"[" * 500_000 + b"]}"),
    "brackets for parameters": b'{"parameters": {"a": ' + b"[" * 500_000,
}


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("kind", DEADLY)
def test_what_would_end_triton_does_not_get_there(target: Target, tenant: str, kind: str) -> None:
    assert_refused(target.post(tenant, DEADLY[kind]))
    as_binary = {"Inference-Header-Content-Length": str(len(DEADLY[kind]))}
    assert_refused(target.post(tenant, DEADLY[kind], as_binary))


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("path", list(places(FULL)), ids=lambda path: ".".join(map(str, path)))
def test_any_value_anywhere_is_refused_or_right(target: Target, tenant: str, path: tuple[object, ...]) -> None:
    for value in ODD_VALUES:
        body = json.dumps(replaced(FULL, path, value)).encode()
        assert_refused_or_right(target.post(tenant, body), f"{path} = {str(value)[:80]}")


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("size", [0, 4, 20, 23, 25, 28, -24, 2**31, 2**63, 2**64, 10**40, 24.0, "24", None, True, [24]])
def test_a_binary_size_that_lies_is_refused(target: Target, tenant: str, size: object) -> None:
    body = binary_call(size=size)
    assert_refused(target.post(tenant, body, header_length(body)))


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("shape", [value for value in ODD_VALUES if isinstance(value, list)], ids=str)
def test_a_binary_shape_that_lies_is_refused(target: Target, tenant: str, shape: object) -> None:
    body = binary_call(shape=shape)
    assert_refused(target.post(tenant, body, header_length(body)))


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize(
    "length", ["0", "1", "5", "-1", "+5", "1e2", "0x10", "x", "", "9" * 10, "9" * 30, "5, 5", "\u0665", "1.0"]
)
def test_a_header_length_that_lies_is_refused(target: Target, tenant: str, length: str) -> None:
    sent = {"Inference-Header-Content-Length": length.encode().decode("latin-1")}
    assert_refused(target.post(tenant, binary_call(), sent))


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("datatype", ["FP64", "FP16", "BF16", "INT8", "INT64", "UINT8", "BOOL", "BYTES", "fp32", ""])
def test_data_of_another_type_is_refused(target: Target, tenant: str, datatype: str) -> None:
    for data in (ROW.tobytes(), np.arange(6, dtype=np.float64).tobytes(), b"\xff\xff\xff\x7f" * 6, b""):
        body = binary_call(size=len(data), data=data, datatype=datatype)
        assert_refused(target.post(tenant, body, header_length(body, data)))
    assert_refused(target.post(tenant, json.dumps(json_call(datatype=datatype)).encode()))


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("body", [json.dumps(FULL).encode(), binary_call()], ids=["json", "binary"])
def test_damaged_calls_are_refused_or_right(target: Target, tenant: str, body: bytes) -> None:
    random = Random(7)
    for number in range(250):
        sent = damaged(body, random)
        headers = header_length(body) if body == binary_call() else None
        assert_refused_or_right(target.post(tenant, sent, headers), f"{number}: {sent!r}")


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize(
    "body",
    [
        json.dumps(json_call()).encode("utf-16"),
        json.dumps(json_call()).encode("utf-32"),
        b"\xef\xbb\xbf" + json.dumps(json_call()).encode() + b"x",
        json.dumps(json_call()).encode() * 2,
        b"9" * 5000,
        b'{"inputs": ' + b"9" * 5000 + b"}",
        b'{"inputs": [], ' + json.dumps(json_call()).encode()[1:],
        bytes(1000),
        b"\x93NUMPY\x01\x00",
    ],
    ids=["UTF-16", "UTF-32", "a tail", "twice", "a long number", "a longer one", "a name twice", "zeros", "npy"],
)
def test_what_is_no_call_is_refused(target: Target, tenant: str, body: bytes) -> None:
    assert_refused(target.post(tenant, body))


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_is_refused_and_costs_no_memory(target: Target, tenant: str, encoding: str) -> None:
    bomb = _compressed(encoding, b" " * (400 << 20))
    before = [peak_memory(pid) for pid in target.pids()]
    reply = target.post(tenant, bomb, {"Content-Encoding": encoding})
    assert_refused(reply)
    assert reply.status == 413
    grown = [now - was for now, was in zip(map(peak_memory, target.pids()), before, strict=True)]
    assert max(grown) < 200 << 20


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_call_is_answered(target: Target, encoding: str) -> None:
    body = _compressed(encoding, json.dumps(json_call()).encode())
    assert target.post("warm", body, {"Content-Encoding": encoding}).status == 200


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "identity", "x", "gzip, gzip", "GZIP"])
def test_what_is_not_compressed_as_it_says_is_refused(target: Target, tenant: str, encoding: str) -> None:
    for body in (b"junk" * 100, _compressed("gzip", json.dumps(json_call()).encode())[:-30], b""):
        assert_refused(target.post(tenant, body, {"Content-Encoding": encoding}), body)


def _compressed(encoding: str, body: bytes) -> bytes:
    return gzip.compress(body, 6) if encoding == "gzip" else zlib.compress(body, 6)
