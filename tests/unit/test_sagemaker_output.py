"""Answers in the forms and types that clients of a managed XGBoost endpoint read."""

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sidecar.errors import LoadFailedError, NotAcceptableError
from sidecar.sagemaker_output import Form, Predictions, accepted_type, default_type, encode, form_of, read_answer

from tests.bundles import make_manifest

CSV, JSON, LINES, NPY = "text/csv", "application/json", "application/jsonlines", "application/x-npy"


def triton_answer(shape: list[int], data: str, version: Any = "7") -> bytes:
    output = f'{{"name":"output__0","datatype":"FP32","shape":{json.dumps(shape)},"data":[{data}]}}'
    return f'{{"model_name":"m","model_version":"{version}","outputs":[{output}]}}'.encode()


@pytest.mark.parametrize(
    ("objective", "outputs", "form"),
    [
        ("binary:logistic", 2, Form.POSITIVE),
        ("binary:hinge", 1, Form.VALUE),
        ("binary:logitraw", 1, Form.VALUE),
        ("multi:softprob", 3, Form.ROW),
        ("multi:softmax", 3, Form.LABEL),
        ("reg:squarederror", 1, Form.VALUE),
        ("rank:ndcg", 1, Form.VALUE),
    ],
)
def test_the_objective_decides_the_form(objective: str, outputs: int, form: Form) -> None:
    manifest = replace(make_manifest("m", 1, b"", b""), objective=objective, outputs=outputs)
    assert form_of(manifest) is form


def test_numbers_stay_as_triton_wrote_them() -> None:
    answer = read_answer(triton_answer([2, 2], "0.5,0.30544227361679079,1e-40,1"))
    assert answer == Predictions(7, 2, ["0.5", "0.30544227361679079", "1e-40", "1"])
    assert read_answer(triton_answer([2], "Infinity,-2.0")) == Predictions(7, 1, ["Infinity", "-2.0"])


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"outputs": []}', b"[]", triton_answer([1], "1", "x"), b'{"error": "no"}']
)
def test_what_is_no_answer_is_not_read_as_one(body: bytes) -> None:
    with pytest.raises(LoadFailedError, match="not one of inference"):
        read_answer(body)


PAIRS = Predictions(7, 2, ["0.9", "0.1", "0.25", "0.75"])
VALUES = Predictions(7, 1, ["-1.5", "2e-7"])


@pytest.mark.parametrize(
    ("predictions", "form", "kind", "expected"),
    [
        (PAIRS, Form.POSITIVE, CSV, b"0.1,0.75"),
        (PAIRS, Form.ROW, CSV, b"[0.9, 0.1],[0.25, 0.75]"),
        (PAIRS, Form.LABEL, CSV, b"0.0,1.0"),
        (VALUES, Form.VALUE, CSV, b"-1.5,2e-7"),
        (PAIRS, Form.POSITIVE, JSON, b'{"predictions": [{"score": 0.1}, {"score": 0.75}]}'),
        (PAIRS, Form.ROW, JSON, b'{"predictions": [{"score": [0.9, 0.1]}, {"score": [0.25, 0.75]}]}'),
        (PAIRS, Form.LABEL, LINES, b'{"score": 0.0}\n{"score": 1.0}\n'),
        (PAIRS, Form.ROW, LINES, b'{"score": [0.9, 0.1]}\n{"score": [0.25, 0.75]}\n'),
    ],
)
def test_answers_are_written_as_the_container_writes_them(
    predictions: Predictions, form: Form, kind: str, expected: bytes
) -> None:
    assert encode(predictions, form, kind) == expected


def test_of_equal_probabilities_the_first_class_is_the_label() -> None:
    assert encode(Predictions(7, 3, ["0.2", "0.4", "0.4"]), Form.LABEL, CSV) == b"1.0"


@pytest.mark.parametrize(
    ("form", "expected"),
    [(Form.POSITIVE, [0.1, 0.75]), (Form.ROW, [[0.9, 0.1], [0.25, 0.75]]), (Form.LABEL, [0, 1])],
)
def test_npy_answers_are_float32_arrays(form: Form, expected: list[Any]) -> None:
    array = np.load(io.BytesIO(encode(PAIRS, form, NPY)), allow_pickle=False)
    np.testing.assert_array_equal(array, np.array(expected, np.float32))
    assert array.dtype == np.float32


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_no_type_loses_a_bit_of_a_number(values: list[float]) -> None:
    texts = [json.dumps(value) for value in values]
    predictions = read_answer(triton_answer([len(values)], ",".join(texts)))
    expected = np.array(values, np.float32)
    from_npy = np.load(io.BytesIO(encode(predictions, Form.VALUE, NPY)))
    from_csv = [float(text) for text in encode(predictions, Form.VALUE, CSV).split(b",")]
    from_json = [row["score"] for row in json.loads(encode(predictions, Form.VALUE, JSON))["predictions"]]
    for answer in (from_npy, from_csv, from_json):
        np.testing.assert_array_equal(np.array(answer, np.float32), expected)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", CSV),
        ("*/*", CSV),
        ("application/json", JSON),
        ("Application/JSON; verbose=True", JSON),
        ("application/jsonlines", LINES),
        ("image/png, application/x-npy;q=0.5, */*", NPY),
        ("image/png, */*", CSV),
    ],
)
def test_the_first_type_accepted_that_can_be_written_is(accept: str, expected: str) -> None:
    assert accepted_type(accept, CSV) == expected


def test_types_that_cannot_be_written_are_refused_and_told_which_can() -> None:
    with pytest.raises(NotAcceptableError, match="accept one of text/csv") as refusal:
        accepted_type("application/x-recordio-protobuf", CSV)
    assert refusal.value.http_status == 406


@pytest.mark.parametrize(
    ("content_type", "expected"), [(CSV, CSV), (JSON, JSON), (LINES, LINES), (NPY, NPY), ("text/libsvm", CSV)]
)
def test_an_answer_is_of_the_type_of_the_call_unless_that_cannot_be_written(content_type: str, expected: str) -> None:
    assert default_type(content_type) == expected
