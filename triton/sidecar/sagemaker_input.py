"""Bodies as clients of a managed XGBoost endpoint send them, read into a matrix. Pure.

What is read, and how, follows the XGBoost container of the managed service and its "common data formats for
inference": CSV without a header or a label, libsvm with column numbers from 0, JSON and JSON lines of instances.
Stricter than the container in one thing: a row has as many values as the model has features.
"""

import io
import json
import math
from collections.abc import Callable, Sequence
from typing import Any, Never

import numpy as np
from numpy.typing import NDArray

from sidecar.errors import BadInputError, UnsupportedTypeError
from tools.catalog.manifest import MAX_ROWS

Matrix = NDArray[np.float32]

CSV = "text/csv"
JSON = "application/json"
JSON_LINES = "application/jsonlines"
LIBSVM = "text/libsvm"
X_LIBSVM = "text/x-libsvm"
NPY = "application/x-npy"

_MAX_NPY_HEADER = 1024
# {"data": {"features": {"values": [...]}}} for each row, and some around them.
_MOST_BRACKETS = 4 * MAX_ROWS + 100
_JSON_NUMBERS = {int, float, type(None)}


def media_type(content_type: str) -> str:
    """The type in a `Content-Type` without its parameters; CSV when there is none."""
    return content_type.partition(";")[0].strip().lower() or CSV


def decode(body: bytes, content_type: str, features: int) -> Matrix:
    """Read a body into float32, shape (rows, `features`). NaN stands for missing.

    Raises:
        UnsupportedTypeError: no reader for this content type.
        BadInputError: the body is not of that type, or not rows of finite numbers for this model; says where.
    """
    kind = media_type(content_type)
    reader = _READERS.get(kind)
    if reader is None:
        raise UnsupportedTypeError(f"the content type {kind[:80]!r} is not read here: send {', '.join(_READERS)}")
    matrix = reader(body, features)
    _check_finite(matrix)
    return matrix


def _read_csv(body: bytes, features: int) -> Matrix:
    text = _text(body).strip("\n")
    delimiter = _delimiter(text)
    lines = _lines(text)
    for number, line in enumerate(lines):
        if line.count(delimiter) != features - 1:
            _refuse_width(number, line.count(delimiter) + 1, features)
    fields = (delimiter.join(lines) if len(lines) > 1 else text).split(delimiter)
    if '"' in text:
        fields = [_unquoted(field) for field in fields]
    try:
        values = [float(field) if field else math.nan for field in fields]
    except ValueError:
        values = [_number(field, place, features) for place, field in enumerate(fields)]
    return _matrix(values, features)


def _read_libsvm(body: bytes, features: int) -> Matrix:
    lines = _lines(_text(body).strip("\n"))
    matrix = np.full((len(lines), features), np.nan, np.float32)
    for row, line in enumerate(lines):
        items = line.split(maxsplit=features + 1)  # a label, and each column once
        if items and ":" not in items[0]:
            items = items[1:]  # a label, as training files have
        for item in items:
            column, value = _libsvm_item(item, row, features)
            if not math.isnan(matrix[row, column]):
                raise BadInputError(f"row {row + 1}: column {column} is there twice")
            matrix[row, column] = np.float32(value)
    return matrix


def _read_json(body: bytes, features: int) -> Matrix:
    document = _json(body)
    if not isinstance(document, dict) or not isinstance(document.get("instances"), list):
        raise BadInputError('the JSON has no "instances" list: send {"instances": [[...], ...]}')
    return _instances(document["instances"], features)


def _read_json_lines(body: bytes, features: int) -> Matrix:
    _check_rows(body.strip().count(b"\n") + 1)
    return _instances([_json(line) for line in body.split(b"\n") if line.strip()], features)


def _read_npy(body: bytes, features: int) -> Matrix:
    """Arrays of numbers only. The header is read by itself first: what it announces is not believed but compared."""
    file = io.BytesIO(body)
    try:
        version = np.lib.format.read_magic(file)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, is_fortran, dtype = read_header[version](file, max_header_size=_MAX_NPY_HEADER)
    except Exception as error:  # NumPy has Python read the header, and promises nothing about how that may fail
        raise BadInputError(f"the body is not a .npy array: {str(error)[:200]}") from None
    if dtype.kind not in "fiu":
        raise BadInputError(f"the array holds {str(dtype)[:40]}: send numbers, float32 for the least bytes")
    rows, columns = shape if len(shape) == 2 else (1, *shape) if len(shape) == 1 else (0, 0)
    if len(shape) not in (1, 2) or columns != features or {type(rows), type(columns)} != {int}:
        raise BadInputError(f"the array's shape is {list(shape[:8])}: this model takes [rows, {features}]")
    _check_rows(rows)
    data = memoryview(body)[file.tell() :]
    if len(data) != rows * columns * dtype.itemsize:
        expected = rows * columns * dtype.itemsize
        raise BadInputError(f"shape {list(shape)} of {dtype} takes {expected} bytes of data, not {len(data)}")
    array = np.frombuffer(data, dtype).reshape((rows, columns), order="F" if is_fortran else "C")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, np.float32)


_READERS: dict[str, Callable[[bytes, int], Matrix]] = {
    CSV: _read_csv,
    JSON: _read_json,
    JSON_LINES: _read_json_lines,
    LIBSVM: _read_libsvm,
    X_LIBSVM: _read_libsvm,
    NPY: _read_npy,
}


def _text(body: bytes) -> str:
    try:
        # Numbers are ASCII. What Python's float() would read beyond that (1_000, other scripts' digits) is refused.
        text = body.removeprefix(b"\xef\xbb\xbf").decode("ascii").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise BadInputError(f"byte {error.start} of the body is not ASCII text") from None
    if "_" in text:
        raise BadInputError("there is a '_' in the body: send numbers only, with no header")
    if not text.strip():
        raise BadInputError("the body is empty: send one row or more")
    return text


def _lines(text: str) -> list[str]:
    _check_rows(text.count("\n") + 1)
    return text.split("\n")


def _delimiter(text: str) -> str:
    """A comma, unless the first line has none and is separated otherwise: the container guesses, too."""
    first = text.partition("\n")[0]
    return next((delimiter for delimiter in ",;\t" if delimiter in first), ",")


def _unquoted(field: str) -> str:
    bare = field.strip()
    return bare[1:-1] if len(bare) >= 2 and bare[0] == bare[-1] == '"' else field


def _number(field: str, place: int, features: int) -> float:
    try:
        return float(field) if field.strip() else math.nan
    except ValueError:
        raise BadInputError(
            f"row {place // features + 1}, column {place % features + 1}: {field[:40]!r} is not a number"
        ) from None


def _libsvm_item(item: str, row: int, features: int) -> tuple[int, float]:
    column, colon, text = item.partition(":")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not colon or not column.isdecimal() or math.isnan(value):
        raise BadInputError(f"row {row + 1}: {item[:40]!r} is not <column>:<number>")
    if len(column) > 10 or int(column) >= features:
        raise BadInputError(
            f"row {row + 1}: there is no column {column[:40]}; this model has {features}, numbered from 0"
        )
    return int(column), value


def _json(text: bytes) -> Any:
    # Each may take a hundred bytes of memory.
    if text.count(b"[") + text.count(b"{") > _MOST_BRACKETS:
        raise BadInputError(f"the body has more lists and objects than {MAX_ROWS} rows need: split it")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"the body is not JSON: {str(error)[:200]}") from None


def _instances(instances: Sequence[Any], features: int) -> Matrix:
    _check_rows(len(instances))
    values: list[Any] = []
    for number, instance in enumerate(instances):
        row = _features(instance)
        if not isinstance(row, list):
            raise BadInputError(f'instance {number + 1} is neither a list of numbers nor {{"features": [...]}}')
        if len(row) != features:
            _refuse_width(number, len(row), features)
        values += row
    if not set(map(type, values)) <= _JSON_NUMBERS:
        place = next(place for place, value in enumerate(values) if type(value) not in _JSON_NUMBERS)
        raise BadInputError(f"row {place // features + 1}, column {place % features + 1}: not a number or null")
    return _matrix(values, features)


def _features(instance: Any) -> Any:
    """The values of [...], {"features": [...]} and {"data": {"features": {"values": [...]}}}."""
    for key in ("data", "features", "values"):
        if isinstance(instance, dict) and key in instance:
            instance = instance[key]
    return instance


def _matrix(values: list[Any], features: int) -> Matrix:
    try:
        with np.errstate(over="ignore"):
            return np.array(values, np.float64).astype(np.float32).reshape(-1, features)
    except OverflowError:
        raise BadInputError("a number is too large for float32") from None


def _check_rows(rows: int) -> None:
    if not 1 <= rows <= MAX_ROWS:
        raise BadInputError(f"a request holds 1 to {MAX_ROWS} rows, not {rows}: split it")


def _refuse_width(row: int, values: int, features: int) -> Never:
    raise BadInputError(f"row {row + 1} has {values} values; this model takes {features} features a row")


def _check_finite(matrix: Matrix) -> None:
    infinite = np.isinf(matrix)
    if infinite.any():
        row, column = np.argwhere(infinite)[0]
        raise BadInputError(f"row {row + 1}, column {column + 1}: infinite, or too large for float32")
