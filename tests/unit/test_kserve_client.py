"""The load tests' own KServe client: what it sends, and what it makes of answers."""

import json

import numpy as np
import pytest

from loadtests.kserve import HEADER_LENGTH, CallFailedError, binary_request, read_binary_answer


def answer_of(output: dict[str, object], payload: bytes) -> tuple[bytes, int]:
    header = json.dumps({"outputs": [output]}).encode()
    return header + payload, len(header)


def test_a_request_holds_the_rows_behind_a_header_of_the_length_it_names() -> None:
    rows = np.array([[1.5, np.nan], [-2.0, 0.0]], dtype=np.float32)
    request = binary_request(rows)
    length = int(request.headers[HEADER_LENGTH])
    header = json.loads(request.body[:length])
    assert header["inputs"] == [
        {"name": "input__0", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}}
    ]
    np.testing.assert_array_equal(np.frombuffer(request.body[length:], "<f4").reshape(2, 2), rows)


def test_an_answer_has_the_shape_it_says() -> None:
    values = np.array([0.25, 0.75], dtype="<f4")
    body, length = answer_of({"name": "output__0", "datatype": "FP32", "shape": [1, 2]}, values.tobytes())
    np.testing.assert_array_equal(read_binary_answer(body, length), [[0.25, 0.75]])


@pytest.mark.parametrize(
    ("output", "payload"),
    [
        ({"name": "output__0", "datatype": "FP32", "shape": [2, 2]}, bytes(8)),
        ({"name": "output__0", "datatype": "FP32", "shape": [1, 2]}, bytes(7)),
        ({"name": "output__0", "datatype": "FP64", "shape": [1]}, bytes(8)),
        ({"name": "output__1", "datatype": "FP32", "shape": [1]}, bytes(4)),
        ({"datatype": "FP32"}, b""),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_is_a_failed_call(output: dict[str, object], payload: bytes) -> None:
    with pytest.raises(CallFailedError):
        read_binary_answer(*answer_of(output, payload))


def test_bytes_that_are_no_answer_are_a_failed_call() -> None:
    with pytest.raises(CallFailedError, match="not a binary answer"):
        read_binary_answer(b"<html>", 0)
