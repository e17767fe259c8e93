"""Bodies of every type become the right matrix, or are refused with the place where they are wrong."""

import io
import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sidecar.errors import BadInputError, UnsupportedTypeError
from sidecar.sagemaker_input import Matrix, decode, media_type

from tools.catalog.manifest import MAX_ROWS

CSV, JSON, LINES, LIBSVM, NPY = (
    "text/csv",
    "application/json",
    "application/jsonlines",
    "text/libsvm",
    "application/x-npy",
)
NAN = float("nan")
F32 = st.floats(width=32, allow_infinity=False)


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def npy_with_header(header: str, data: bytes = b"") -> bytes:
    padded = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + data


def assert_rows(matrix: Matrix, expected: list[list[float]]) -> None:
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, np.array(expected, np.float32))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"1,2,3", [[1, 2, 3]]),
        (b"1,2,3\n", [[1, 2, 3]]),
        (b"1,2,3\n4,5,6", [[1, 2, 3], [4, 5, 6]]),
        (b"1,2,3\r\n4,5,6\r\n", [[1, 2, 3], [4, 5, 6]]),
        (b"\n1,2,3\n\n", [[1, 2, 3]]),
        (b"1,,3", [[1, NAN, 3]]),
        (b",,", [[NAN, NAN, NAN]]),
        (b"1, ,3", [[1, NAN, 3]]),
        (b"1,nan,NaN", [[1, NAN, NAN]]),
        (b" 1 , 2,3 ", [[1, 2, 3]]),
        (b"+1,-2.5e3,.5", [[1, -2500, 0.5]]),
        (b"1e-46,1e-40,-0", [[0, 1e-40, -0.0]]),
        (b'"1","2",""', [[1, 2, NAN]]),
        (b"1;2;3\n4;5;6", [[1, 2, 3], [4, 5, 6]]),
        (b"1\t2\t3", [[1, 2, 3]]),
        (b"\xef\xbb\xbf1,2,3", [[1, 2, 3]]),
        (b"0.1,0.10000000149011612,16777217", [[0.1, 0.1, 16777216]]),
    ],
)
def test_csv_is_read(body: bytes, expected: list[list[float]]) -> None:
    assert_rows(decode(body, CSV, 3), expected)


def test_a_blank_line_between_the_rows_of_a_one_feature_model_is_a_missing_value() -> None:
    assert_rows(decode(b"1\n\n3", CSV, 1), [[1], [NAN], [3]])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"1,2", "row 1 has 2 values; this model takes 3"),
        (b"1,2,3\n4,5", "row 2 has 2 values"),
        (b"1,2,3\n\n4,5,6", "row 2 has 1 values"),
        (b"1,2,3,4", "row 1 has 4 values"),
        (b"1,2,3\n4,x,6", "row 2, column 2: 'x' is not a number"),
        (b"a,b,c\n1,2,3", "row 1, column 1: 'a' is not a number"),
        (b"amount,age_days,score", "no header"),
        (b"1_0,2,3", "'_'"),
        (b"1,2,0x10", "column 3: '0x10'"),
        (b'1,"2,3', "is not a number"),
        (b"1,2,inf", "row 1, column 3: infinite"),
        (b"1,2,3\n1,-1e39,3", "row 2, column 2: infinite, or too large"),
        ("1,2,\u0663".encode(), "byte 4 of the body is not ASCII"),
        (b"\xff\xfe1\x00", "not ASCII"),
        (b"1,2,3\n" * (MAX_ROWS + 1), f"1 to {MAX_ROWS} rows, not {MAX_ROWS + 1}"),
    ],
)
def test_wrong_csv_is_refused_and_told_where(body: bytes, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        decode(body, CSV, 3)


@pytest.mark.parametrize(
    "document",
    [
        {"instances": [[1, 2.5, None], [4, 5, 6]]},
        {"instances": [{"features": [1, 2.5, None]}, [4, 5, 6]]},
        {"instances": [{"data": {"features": {"values": [1, 2.5, None]}}}, {"features": {"values": [4, 5, 6]}}]},
        {"instances": [[1, 2.5, NAN], [4, 5, 6]], "configuration": {}},
    ],
)
def test_json_instances_are_read(document: dict[str, Any]) -> None:
    assert_rows(decode(json.dumps(document).encode(), JSON, 3), [[1, 2.5, NAN], [4, 5, 6]])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 5_000, "not JSON"),
        (b"[" * 200_000, "more lists and objects than 8192 rows need"),
        (b"9" * 5_000, "not JSON"),
        (b"[[1,2,3]]", 'no "instances" list'),
        (b'{"instances": 3}', 'no "instances" list'),
        (b'{"instances": []}', "1 to"),
        (b'{"instances": [1]}', "instance 1 is neither"),
        (b'{"instances": [{"rows": [1,2,3]}]}', "instance 1 is neither"),
        (b'{"instances": [[1,2,3],[1,2]]}', "row 2 has 2 values"),
        (b'{"instances": [[1,2,"3"]]}', "row 1, column 3: not a number"),
        (b'{"instances": [[1,true,3]]}', "row 1, column 2: not a number"),
        (b'{"instances": [[1,[2],3]]}', "row 1, column 2: not a number"),
        (b'{"instances": [[1,1e39,3]]}', "row 1, column 2: infinite"),
        (b'{"instances": [[1,Infinity,3]]}', "row 1, column 2: infinite"),
        (b'{"instances": [[1,' + b"9" * 400 + b",3]]}", "too large"),
    ],
)
def test_wrong_json_is_refused_and_told_where(body: bytes, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        decode(body, JSON, 3)


def test_json_lines_are_read() -> None:
    assert_rows(decode(b'{"features": [1, 2]}\n\n[3, null]\r\n', LINES, 2), [[1, 2], [3, NAN]])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"0:1 2:3", [[1, NAN, 3]]),
        (b"1 0:1 2:3\n0 1:2.5", [[1, NAN, 3], [NAN, 2.5, NAN]]),
        (b"2:3  0:1\r\n", [[1, NAN, 3]]),
        (b"1", [[NAN, NAN, NAN]]),
    ],
)
@pytest.mark.parametrize("kind", [LIBSVM, "text/x-libsvm"])
def test_libsvm_is_read_with_columns_from_0_and_absent_ones_missing(
    body: bytes, expected: list[list[float]], kind: str
) -> None:
    assert_rows(decode(body, kind, 3), expected)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"3:1", "no column 3; this model has 3, numbered from 0"),
        (b"0:1\n1:2 99999999999:1", "row 2: there is no column"),
        (b"-1:1", "not <column>:<number>"),
        (b"1 qid:3 0:1", "'qid:3'"),
        (b"0:x", "'0:x'"),
        (b"0:1 2", "'2' is not <column>:<number>"),
        (b"0:1 0:2", "row 1: column 0 is there twice"),
        (b"0:inf", "infinite"),
        (b"0:1 1:1 2:1 " + b"0:1 " * 100, "row 1"),
        (b"0:1\n" * (MAX_ROWS + 1), f"not {MAX_ROWS + 1}"),
        (b"", "empty"),
    ],
)
def test_wrong_libsvm_is_refused_and_told_where(body: bytes, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        decode(body, LIBSVM, 3)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2", "i4", "u1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_any_numbers_is_read(dtype: str, order: Any) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype, order=order)
    assert_rows(decode(npy(array), NPY, 3), [[0, 1, 2], [3, 4, 5]])


def test_a_flat_npy_array_is_one_row() -> None:
    assert_rows(decode(npy(np.array([1, NAN, 3])), NPY, 3), [[1, NAN, 3]])


class Exploit:
    """Whose unpickling would be noticed."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("a pickle was opened",)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (npy(np.array([[Exploit()] * 3], object)), "array holds object"),
        (pickle.dumps(Exploit()), "not a .npy array"),
        (npy(np.array([["1", "2", "3"]])), "array holds"),
        (npy(np.zeros((2, 2, 3))), r"shape is \[2, 2, 3\]"),
        (npy(np.float32(3)), r"shape is \[\]"),
        (npy(np.zeros((2, 4))), r"shape is \[2, 4\]: this model takes \[rows, 3\]"),
        (npy(np.zeros((0, 3))), "1 to"),
        (npy(np.zeros((2, 3)))[:-1], "takes 48 bytes of data, not 47"),
        (npy(np.zeros((2, 3))) + b"x", "takes 48 bytes of data, not 49"),
        (npy(np.full((1, 3), 1e300)), "infinite, or too large"),
        (npy_with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (10**12, 3)}"), "not a .npy array"),
        (npy_with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 3)}"), "1 to"),
        (npy_with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3)}"), "1 to"),
        (npy_with_header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1, 3)}"), "array holds"),
        (npy_with_header("{'descr': '<f4'}"), "not a .npy array"),
        (npy_with_header("__import__('os').abort()"), "not a .npy array"),
        (b"\x93NUMPY\x03\x00" + bytes(200), "not a .npy array"),
        (b"\x93NUMPY\x01\x00\xff\xff", "not a .npy array"),
        (b"", "not a .npy array"),
    ],
)
def test_wrong_npy_is_refused_and_no_pickle_is_opened(body: bytes, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        decode(body, NPY, 3)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [("", CSV), ("text/csv; charset=utf-8", CSV), (" Text/CSV ;header=absent", CSV), ("application/json", JSON)],
)
def test_parameters_and_case_of_a_content_type_do_not_matter(content_type: str, expected: str) -> None:
    assert media_type(content_type) == expected


@pytest.mark.parametrize("content_type", ["application/x-recordio-protobuf", "image/png", "csv"])
def test_other_types_are_refused_and_told_which_are_read(content_type: str) -> None:
    with pytest.raises(UnsupportedTypeError, match="text/csv, application/json") as refusal:
        decode(b"1,2,3", content_type, 3)
    assert refusal.value.http_status == 415


ROWS = st.lists(st.lists(F32, min_size=4, max_size=4), min_size=1, max_size=20)


@given(ROWS)
def test_every_type_reads_the_same_numbers(rows: list[list[float]]) -> None:
    shown = [["" if np.isnan(value) else repr(value) for value in row] for row in rows]
    sparse = [" ".join(f"{i}:{text}" for i, text in enumerate(row) if text) for row in shown]
    bodies = {
        CSV: "\n".join(",".join(row) for row in shown).encode(),
        JSON: json.dumps({"instances": [[None if np.isnan(v) else v for v in row] for row in rows]}).encode(),
        LINES: "\n".join(json.dumps(row) for row in rows).encode(),
        LIBSVM: "\n".join("0 " + line for line in sparse).encode(),
        NPY: npy(np.array(rows, np.float32)),
    }
    for kind, body in bodies.items():
        assert_rows(decode(body, kind, 4), rows)


ALPHABET = st.text("0123456789.,;:\t\r\n +-eEnaif\"'_x[]{}ulstruce", max_size=60).map(str.encode)


@settings(max_examples=400)
@given(
    body=st.one_of(st.binary(max_size=200), ALPHABET, st.binary(max_size=80).map(lambda tail: npy(0)[:20] + tail)),
    kind=st.sampled_from([CSV, JSON, LINES, LIBSVM, NPY]),
    features=st.integers(1, 5),
)
def test_any_bytes_become_a_finite_matrix_or_are_refused(body: bytes, kind: str, features: int) -> None:
    try:
        matrix = decode(body, kind, features)
    except BadInputError:
        return
    assert matrix.dtype == np.float32
    assert matrix.shape[1:] == (features,)
    assert 1 <= len(matrix) <= MAX_ROWS
    assert not np.isinf(matrix).any()
