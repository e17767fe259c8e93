"""Calls are read far enough to refuse a wrong one before anything is loaded for it."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sidecar.errors import BadInputError
from sidecar.kserve import InferRequest, TensorHeader, check_body, check_request

from tests.bundles import make_manifest
from tools.catalog.manifest import MAX_ROWS

MODEL = make_manifest("m1", 1, b"", b"")


def body(**changes: Any) -> bytes:
    tensor = {"name": "input__0", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4], **changes}
    return json.dumps({"inputs": [{name: value for name, value in tensor.items() if value is not None}]}).encode()


def binary(shape: list[int], size: int, sent: int) -> tuple[bytes, str]:
    header = body(shape=shape, data=None, parameters={"binary_data_size": size})
    return header + bytes(sent), str(len(header))


def judge(raw: bytes, json_length: str | None = None) -> None:
    check_body(raw, json_length, MODEL)


def test_more_json_than_a_call_needs_is_not_read() -> None:
    with pytest.raises(BadInputError, match="send binary data"):
        judge(body() + b" " * (1 << 16) + b" " * (MAX_ROWS * 4 * 32))


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2, 3, 4]], [1.5, -2, 0, 1e30]])
def test_a_right_json_call_passes(data: list[Any]) -> None:
    judge(body(data=data))


def test_a_right_binary_call_passes() -> None:
    judge(*binary([3, 4], 48, 48))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 5_000, "not JSON"),
        (b"[" * 100_000, "more lists than 8192 rows need"),
        (b"9" * 5_000, "not JSON"),
        (body().decode().encode("utf-16"), "not JSON"),
        (body()[:-1] + b', "id": "\\ud800"}', "not JSON"),
        (body()[:-1] + b', "any": 1e400}', "the number 1e400 is too large"),
        (body()[:-1] + b', "inputs": []}', "twice in one object"),
        (body()[:-1] + b', "id": 5}', '"id" of the request is not a string'),
        (body()[:-1] + b', "parameters": 5}', "not a JSON object"),
        (body()[:-1] + b', "parameters": {"binary_data_output": "x"}}', "'binary_data_output' of the request"),
        (body()[:-1] + b', "parameters": {"sequence_id": -1}}', "'sequence_id' of the request"),
        (body()[:-1] + b', "parameters": {"triton_x": true}}', "for Triton's own use"),
        (body()[:-1] + b', "parameters": {"x": [1]}}', "not a single value"),
        (b"[]", 'no "inputs" list'),
        (b'{"inputs": 3}', 'no "inputs" list'),
        (b'{"inputs": [3]}', "not a JSON object"),
        (b'{"inputs": []}', "exactly one input"),
        (body(name="input__1"), "exactly one input"),
        (body(name=None), 'no "name"'),
        (body(datatype=None), 'no "datatype"'),
        (body(datatype="FP64"), "is FP32; the request says 'FP64'"),
        (body(shape=[1, 5], data=[1, 2, 3, 4, 5]), r"rows of 4 features: the shape is \[rows, 4\], not \[1, 5\]"),
        (body(shape=[4]), r"the shape is \[rows, 4\]"),
        (body(shape=[-1, 4]), "not a list of sizes"),
        (body(shape=[True, 4]), "not a list of sizes"),
        (body(shape="1,4"), "not a list of sizes"),
        (body(shape=[0, 4], data=[]), "1 to 8192 rows, not 0"),
        (body(shape=[2, 4]), "needs 8 values; 4 came"),
        (body(data=["a", "b", "c", "d"]), "not an even array of numbers"),
        (body(data=[[1, 2], [3]]), "not an even array of numbers"),
        (body(data=["1", "2", "3", "4"]), "not an even array of numbers"),
        (body(data=[True, 2, 3, 4]), "not an even array of numbers"),
        (body(data=[10**400, 2, 3, 4]), "not an even array of numbers"),
        (body(data=[[[1, 2, 3, 4], 5]]), "not an even array of numbers"),
        (body(data=None), 'needs either "data" or "binary_data_size"'),
        (body(parameters={"binary_data_size": 16}), 'needs either "data" or "binary_data_size"'),
        (body(parameters={"shared_memory_region": "x"}), "shared memory is not offered"),
        (body(parameters=[]), "not a JSON object"),
        (body().replace(b"[1, 2,", b"[NaN, 2,"), "NaN is not JSON"),
        (body()[:-1] + b', "outputs": [{"name": "output__1"}]}', "no output 'output__1'"),
        (body()[:-1] + b', "outputs": [{}]}', 'an output has no "name"'),
        (body()[:-1] + b', "outputs": [{"name": "output__0", "parameters": 1}]}', "not a JSON object"),
        (
            body()[:-1] + b', "outputs": [{"name": "output__0", "parameters": {"classification": -1}}]}',
            "'classification' of an output",
        ),
        (
            body()[:-1] + b', "outputs": [{"name": "output__0", "parameters": {"shared_memory_region": "x"}}]}',
            "shared memory is not offered",
        ),
        (body()[:-1] + b', "outputs": 1}', '"outputs" is not a list'),
    ],
)
def test_a_wrong_json_call_is_refused_with_what_is_wrong(raw: bytes, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        judge(raw)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (binary([1, 4], 16, 12), "announce 16 bytes of binary data; 12 bytes came"),
        (binary([1, 4], 16, 20), "announce 16 bytes of binary data; 20 bytes came"),
        (binary([1, 4], 15, 15), "not a whole number of FP32 values"),
        (binary([2, 4], 16, 16), "needs 8 values; 4 came"),
        (binary([1, 4], -16, 0), '"binary_data_size" is not a size'),
        ((body(), "9999999"), "Inference-Header-Content-Length is '9999999'"),
        ((body(), "-1"), "Inference-Header-Content-Length is '-1'"),
        ((body(), "1e3"), "Inference-Header-Content-Length is '1e3'"),
    ],
)
def test_a_binary_call_whose_sizes_lie_is_refused(call: tuple[bytes, str], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        judge(*call)


def test_more_rows_than_a_call_may_hold_are_refused() -> None:
    request = InferRequest((TensorHeader("input__0", "FP32", (MAX_ROWS + 1, 4), None),), ())
    with pytest.raises(BadInputError, match="split it"):
        check_request(request, MODEL)


@given(raw=st.binary(max_size=300), json_length=st.none() | st.text(max_size=5))
def test_any_bytes_are_read_or_refused_and_nothing_else(raw: bytes, json_length: str | None) -> None:
    with suppress(BadInputError):
        judge(raw, json_length)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@given(field=st.sampled_from(["name", "shape", "datatype", "data", "parameters"]), value=json_values)
def test_any_value_in_any_field_is_read_or_refused_and_nothing_else(field: str, value: Any) -> None:
    with suppress(BadInputError):
        judge(body(**{field: value}))
