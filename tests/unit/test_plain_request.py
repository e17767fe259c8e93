"""Which requests Triton may read: the ones clients send, and none that could end it."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from sidecar.triton_client import CHECKED

from tools.plain_request import CHECKED_HEADER, PLAIN_REQUEST

PLAIN = re.compile(PLAIN_REQUEST.encode())


def call(more: str = "", **changes: Any) -> bytes:
    tensor = {"name": "input__0", "shape": [1, 6], "datatype": "FP32", "data": [0, 1.5, -2e-3, 3, 4, 5], **changes}
    return (
        json.dumps({"inputs": [{name: value for name, value in tensor.items() if value is not None}]}).encode()[:-1]
        + (more + "}").encode()
    )


@pytest.mark.parametrize(
    "body",
    [
        call(),
        b" \r\n" + call(),
        call(data=[[0, 1, 2, 3, 4, 5]]),
        call(shape=[8192, 99]),
        call(shape=[999, 999]),
        call(shape=[9, 9999]),
        call(', "outputs": [{"name": "output__0", "parameters": {"binary_data": true}}]'),
        call(', "id": "a, [b] {c}", "parameters": {"binary_data_output": true}'),
        call(data=None, shape=[8192, 4000], parameters={"binary_data_size": 8192 * 4000 * 4}) + bytes(range(256)),
        json.dumps(json.loads(call()), indent=2).encode(),
        b"{}",
    ],
)
def test_what_clients_send_is_plain(body: bytes) -> None:
    assert PLAIN.match(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"{}"',
        b"\xef\xbb\xbf{}",
        call(shape=[10**12, 6]),
        call(shape=[10_000, 6]),
        call(shape=[1000, 1000]),
        call(shape=[1e12, 6]),
        call(shape=[-1, 6]),
        call(shape=[6]),
        call(shape=[1, 1, 6]),
        call(shape=[[1, 6]]),
        call(shape="1, 6"),
        call(data=[[[0, 1, 2, 3, 4, 5]]]),
        call(data={"a": {"a": 1}}),
        call().replace(b'"data"', b'"shape": [9999999, 6], "data"'),
        call().replace(b'"shape": [1, 6]', b'"shape": [1, 6], "shape": [9999999, 6]'),
        call(shape=[10**12, 6]).replace(b'"shape"', b'"sh\\u0061pe"'),
        call(shape=[10**12, 6]).replace(b'"data"', b'"d\\u0061ta"'),
        call(shape=[10**12, 6], parameters={"binary_data_size": 24}),
        call().replace(b'"inputs"', b'"inputs": [{"shape": [9999999, 6], "data": [1]}], "inputs"'),
        b'{"inputs": [{"data": [0], "parameters": {}, "shape": [10000000, 6]}]}',
        b"[" * 1000,
        b'{"a":' * 1000,
        b'{"a": [[[[',
        call(', "parameters": {"a": {"b": 1}}'),
        call(', "parameters": [[[[1]]]]'),
        call()[:-1],
    ],
)
def test_what_could_end_triton_is_not(body: bytes) -> None:
    assert not PLAIN.match(body)


@pytest.mark.parametrize(
    "piece", [b"[", b"{", b'"', b'"a":', b"[[", b'{"a":[', b",", b'"shape":[1,', b'{"data":1},', b" "]
)
def test_no_body_takes_long_to_look_at(piece: bytes) -> None:
    began = time.process_time()
    for start in (b"", b"{", b'{"inputs": [', b'{"inputs": [{"data": [', b'{"inputs": [{"shape": ['):
        PLAIN.match(start + piece * (300_000 // len(piece)))
    assert time.process_time() - began < 2


def test_every_part_means_the_same_header() -> None:
    launch = Path(__file__).resolve().parents[2] / "triton" / "server" / "launch.sh"
    assert f"--http-restricted-api=inference:{CHECKED_HEADER.lower()}=yes" in launch.read_text()
    assert CHECKED == {CHECKED_HEADER: "yes"}
