"""Calls of the SageMaker runtime API with bodies, types and target models that nobody's client would send."""

import io
import json
import pickle
from random import Random
from typing import Any

import numpy as np
import pytest

from tests.integration.hostile.calls import FEATURES, ODD_VALUES, ROW, binary_call, damaged, json_call
from tests.integration.hostile.conftest import Target, assert_refused, assert_refused_or_right

TENANTS = ("warm", "cold")


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def npy_of(header: str, data: bytes = ROW.tobytes()) -> bytes:
    padded = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + data


def npy_shaped(shape: str, order: str = "False", descr: str = "'<f4'") -> bytes:
    return npy_of(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}")


class Bomb:
    """Would be noticed if it were unpickled: the part that did it would be gone."""

    def __reduce__(self) -> Any:
        return __import__("os").abort, ()


RIGHT = {
    "text/csv": b"0,1,2,3,4,5\n5,4,3,2,1,0\n",
    "text/libsvm": b"1 0:0 1:1 5:2\n0 2:1.5\n",
    "application/json": json.dumps({"instances": [{"features": ROW.tolist()}]}).encode(),
    "application/jsonlines": b'{"features": [0, 1, 2, 3, 4, 5]}\n[5, 4, 3, 2, 1, 0]\n',
    "application/x-npy": npy(ROW.reshape(1, -1)),
    "application/octet-stream": binary_call(),
}
WRONG: dict[str, list[bytes]] = {
    "text/csv": [
        b"", b"\n\n\n", b"," * 100_000, b"1,2,3,4,5", b"1,2,3,4,5,6,7", b"1,2,3,4,5,1e999", b"1,2,3,4,5,-inf",
        b"0x1,2,3,4,5,6", b"1_0,2,3,4,5,6", b"a,b,c,d,e,f", b"1,2,3,4,5,6\n" * 9000, b"\0" * 1000, b"\xff\xfe" * 100,
        b'"' * 10_000, b"1,2,3,4,5," + b"9" * 100_000, b"1" * 1_000_000, b"=cmd|' /C calc'!A0,1,2,3,4,5",
    ],
    "text/libsvm": [
        b"", b"6:1", b"-1:1", b"0:1 0:2", b"99999999999999999999:1", b"0:x", b"0:", b":1", b"::", b"0:1:2", b"0:inf",
        b"1 qid:1 0:1", b"0:1\n" * 9000, b"\xc2\xb2:1", "\u0663:1".encode(), b"0:1 " * 100_000, b"4294967296:1",
    ],
    "application/json": [
        b"", b"{}", b"[]", b"null", b"[" * 500_000, b'{"instances": ' + b"[" * 500_000, b'{"instances": []}',
        b'{"instances": [[]]}', b'{"instances": [[1,2,3,4,5]]}', b'{"instances": [[1,2,3,4,5,"6"]]}',
        b'{"instances": [[1,2,3,4,5,[6]]]}', b'{"instances": [[1,2,3,4,5,1e999]]}', b"9" * 5000,
        b'{"instances": [[1,2,3,4,5,' + b"9" * 5000 + b"]]}", b'{"instances": {"0": [1,2,3,4,5,6]}}', b"\xff",
        b'{"instances": [' + b"[1,2,3,4,5,6]," * 9000 + b"[1,2,3,4,5,6]]}",
        json.dumps(json_call(shape=[10**12, FEATURES])).encode(), b'{"inputs": ' + b"[" * 500_000,
        b'{"inputs": ' + b"9" * 5000 + b"}",
    ],
    "application/jsonlines": [
        b"", b"\n", b"[1,2,3,4,5]", b'{"features": {}}', b"[" * 100_000, b"null\n" * 10, b"[1,2,3,4,5,6]\n" * 9000,
        b'{"features": "123456"}', b"9" * 5000,
    ],
    "application/x-npy": [
        b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x09\x09" + bytes(100), npy(ROW)[:-1], npy(ROW) + b"x",
        npy(np.array([[Bomb()] * FEATURES])), pickle.dumps(Bomb()), npy(np.array([["x"] * FEATURES])),
        npy(np.zeros((1, 5))), npy(np.zeros((1, 7))), npy(np.zeros((1, 1, 6))), npy(np.float32(1)),
        npy(np.full((1, 6), np.inf)), npy(np.full((1, 6), 1e300)), npy(np.zeros((9000, 6), np.uint8)),
        npy(np.zeros((1, 6), np.complex64)), npy(np.zeros((1, 6), bool)), npy(np.zeros((1, 6), "M8[s]")),
        npy_shaped("(1000000000000, 6)"), npy_shaped("(-1, 6)"), npy_shaped("(1, -6)"), npy_shaped("(2**62, 6)"),
        npy_shaped("(4611686018427387904, 6)"), npy_shaped("(True, 6)"), npy_shaped("(1.0, 6)"), npy_shaped("6"),
        npy_shaped("(1000000000000, 6)", "True"), npy_shaped("(2, 6)", "True"), npy_shaped("(1, 6)", "1"),
        npy_shaped("(1, 6)", descr="'|O'"), npy_shaped("(1, 6)", descr="'<f16'"), npy_shaped("(1, 6)", descr="'V0'"),
        npy_shaped("(1, 6)", descr="[('a', '<f4')]"), npy_shaped("(1, 6)", descr="('<f4', (1000000000,))"),
        npy_shaped("(1, 6)", descr="'<f4,' * 100"), npy_of("(" * 900), npy_of("__import__('os').abort()"),
        npy_of("{'descr': " + "[" * 500), b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(200),
    ],
    "application/octet-stream": [b"", b"[" * 500_000, binary_call(size=2**62), binary_call(shape=[2**62, 6])],
}  # fmt: skip


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize(("kind", "bodies"), WRONG.items(), ids=WRONG)
def test_a_wrong_body_is_refused(target: Target, tenant: str, kind: str, bodies: list[bytes]) -> None:
    for body in bodies:
        assert_refused(target.invoke(tenant, body, {"Content-Type": kind}), f"{kind}: {body[:80]!r}")


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize(("kind", "body"), RIGHT.items(), ids=RIGHT)
def test_a_damaged_body_is_refused_or_right(target: Target, tenant: str, kind: str, body: bytes) -> None:
    random = Random(3)
    for number in range(80):
        sent = damaged(body, random)
        assert_refused_or_right(target.invoke(tenant, sent, {"Content-Type": kind}), f"{number}: {sent!r}")


@pytest.mark.parametrize("tenant", TENANTS)
def test_a_body_of_another_type_than_it_says_is_refused_or_right(target: Target, tenant: str) -> None:
    for kind in RIGHT:
        for body in RIGHT.values():
            assert_refused_or_right(target.invoke(tenant, body, {"Content-Type": kind}), f"{kind}: {body[:40]!r}")


@pytest.mark.parametrize("tenant", TENANTS)
def test_any_json_in_place_of_the_instances_is_refused_or_right(target: Target, tenant: str) -> None:
    for value in ODD_VALUES:
        for document in ({"instances": value}, {"instances": [value]}, {"instances": [{"features": value}]}, value):
            body = json.dumps(document).encode()
            assert_refused_or_right(target.invoke(tenant, body, {"Content-Type": "application/json"}), body[:80])


@pytest.mark.parametrize(
    "spelling",
    [
        "", " ", ".tar.gz", "/", "//cold", "../cold", "cold/../warm", "a/cold.tar.gz", "Cold", "COLD.TAR.GZ",
        "cold.tar.gz/", "cold.tar.gz.tar.gz/..", "cold%2e", "%63old", "cold\\", "cold?x", "cold#x", "cold;x",
        "s3://bucket/cold.tar.gz", "c\xf6ld", "cold\t.tar.gz", "*", "-cold", "_cold", "c" * 129, "c" * 7000, "nobody",
    ],
)  # fmt: skip
def test_a_target_model_that_is_no_tenant_is_refused(target: Target, spelling: str) -> None:
    reply = target.invoke(spelling, RIGHT["text/csv"], {"Content-Type": "text/csv"})
    assert_refused(reply)


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "x" * 5000},
        {"Content-Type": "application/octet-stream;json-header-size=-1"},
        {"Content-Type": "application/octet-stream;json-header-size=99999999999"},
        {"Content-Type": "application/vnd.sagemaker-triton.binary+json;json-header-size=" + "9" * 400},
        {"Content-Type": "text/csv", "Inference-Header-Content-Length": "x"},
        {"Content-Type": "text/csv", "Content-Encoding": "br"},
        {"Content-Type": "text/csv", "Content-Encoding": "gzip"},
        {"Content-Type": "text/csv", "Accept": "image/png"},
        {"Content-Type": "application/x-recordio-protobuf"},
        {"Content-Type": "\xff\xfe"},
    ],
    ids=lambda headers: str(headers)[:60],
)
def test_wrong_headers_are_refused(target: Target, tenant: str, headers: dict[str, str]) -> None:
    assert_refused(target.invoke(tenant, RIGHT["text/csv"], headers))
