"""KServe v2 inference requests, read far enough to refuse a wrong one before anything is loaded for it.

Source: the Open Inference Protocol, with Triton's extension for binary tensor data.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Never

from sidecar.errors import BadInputError
from tools.catalog.manifest import MAX_ROWS, Manifest

BINARY_HEADER = "Inference-Header-Content-Length"
INPUT = "input__0"
OUTPUT = "output__0"

FP32_BYTES = 4
_NUMBERS = {int, float}
_LARGEST = 1e308
# A few bytes of JSON can become hundreds in memory, so what a right call may need is all that is read.
_LONGEST_NUMBER = 32
_MOST_BESIDES = 1 << 16
_MOST_BRACKETS = 1000


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_flag(value: Any) -> bool:
    return type(value) is bool


def _is_sequence_id(value: Any) -> bool:
    return _is_size(value) or (isinstance(value, str) and len(value.encode()) <= 128)


# What Triton reads of a request's parameters and of an output's. Others are not its own, and single values.
_REQUEST_PARAMETERS: Mapping[str, Callable[[Any], bool]] = {
    "binary_data_output": _is_flag,
    "priority": _is_size,
    "timeout": _is_size,
    "sequence_id": _is_sequence_id,
    "sequence_start": _is_flag,
    "sequence_end": _is_flag,
}
_OUTPUT_PARAMETERS: Mapping[str, Callable[[Any], bool]] = {
    "binary_data": _is_flag,
    "classification": _is_size,
}


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """An input as a request describes it. `elements` is how many values it really carries, None if not known."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    elements: int | None


@dataclass(frozen=True, slots=True)
class InferRequest:
    """The inputs of a request, and the names of the outputs it asks for (empty: all)."""

    inputs: tuple[TensorHeader, ...]
    outputs: tuple[str, ...]


def check_body(body: bytes, json_length: str | None, manifest: Manifest) -> None:
    """Check an HTTP request's body against the model it is for; `json_length` is as `read_request` has it.

    Raises:
        BadInputError: Triton would refuse it, or should.
    """
    text, _ = _split(body, json_length)
    longest = _MOST_BESIDES + MAX_ROWS * manifest.features * _LONGEST_NUMBER
    if len(text) > longest:
        raise BadInputError(f"the JSON has {len(text)} bytes; a call needs {longest} at most: send binary data")
    check_request(read_request(body, json_length), manifest)


def read_request(body: bytes, json_length: str | None) -> InferRequest:
    """Read an HTTP request's body; `json_length` is its `Inference-Header-Content-Length`, if it has one.

    Raises:
        BadInputError: it is not a KServe v2 request, or carries other data than it announces.
    """
    text, binary = _split(body, json_length)
    request = _json(text)
    if not isinstance(request, dict) or not isinstance(request.get("inputs"), list):
        raise BadInputError(
            'the request has no "inputs" list: send {"inputs": [{"name", "shape", "datatype", "data"}]}'
        )
    if not isinstance(request.get("id", ""), str):
        raise BadInputError('the "id" of the request is not a string')
    check_parameters(request.get("parameters", {}))
    inputs = tuple(_input(raw) for raw in request["inputs"])
    announced = sum(_binary_size(raw) or 0 for raw in request["inputs"])
    if announced != len(binary):
        raise BadInputError(f"the inputs announce {announced} bytes of binary data; {len(binary)} bytes came")
    return InferRequest(inputs, _output_names(request.get("outputs", [])))


def check_request(request: InferRequest, manifest: Manifest) -> None:
    """Check a request against the model it is for.

    Raises:
        BadInputError: Triton would refuse it, or should.
    """
    tenant = manifest.tenant
    if [tensor.name for tensor in request.inputs] != [INPUT]:
        raise BadInputError(f"tenant {tenant} takes exactly one input, {INPUT!r}")
    for name in request.outputs:
        if name != OUTPUT:
            raise BadInputError(f"tenant {tenant} has no output {name[:80]!r}; it has {OUTPUT!r}")
    tensor = request.inputs[0]
    if tensor.datatype != "FP32":
        raise BadInputError(f"{INPUT!r} is FP32; the request says {tensor.datatype[:20]!r}")
    if len(tensor.shape) != 2 or tensor.shape[1] != manifest.features:
        raise BadInputError(
            f"tenant {tenant} takes rows of {manifest.features} features: the shape is [rows, {manifest.features}], "
            f"not {list(tensor.shape[:8])}"
        )
    rows = tensor.shape[0]
    if not 1 <= rows <= MAX_ROWS:
        raise BadInputError(f"a request holds 1 to {MAX_ROWS} rows, not {rows}: split it")
    if tensor.elements is not None and tensor.elements != rows * manifest.features:
        raise BadInputError(
            f"shape {list(tensor.shape)} needs {rows * manifest.features} values; {tensor.elements} came"
        )


def check_parameters(parameters: Any) -> None:
    """Check the parameters of a request. Raises `BadInputError` for what Triton would not take."""
    for name, value in _checked(parameters, _REQUEST_PARAMETERS, "the request").items():
        if name.startswith("triton_"):
            raise BadInputError(f"the parameter {name[:80]!r} is for Triton's own use")
        if not isinstance(value, str | int | float):
            raise BadInputError(f"the parameter {name[:80]!r} is not a single value")


def check_output_parameters(parameters: Any) -> None:
    """Check the parameters of one output asked for. Raises `BadInputError` for what is not offered."""
    _checked(parameters, _OUTPUT_PARAMETERS, "an output")


def refuse_shared_memory(names: Iterable[str]) -> None:
    """Raise `BadInputError` if one of the parameters says where in shared memory a tensor is."""
    if any(name.startswith("shared_memory") for name in names):
        raise BadInputError("shared memory is not offered here: send and take the data with the request")


def _checked(parameters: Any, known: Mapping[str, Callable[[Any], bool]], whose: str) -> dict[str, Any]:
    if not isinstance(parameters, dict):
        raise BadInputError(f'the "parameters" of {whose} are not a JSON object')
    refuse_shared_memory(parameters)
    for name, fits in known.items():
        if name in parameters and not fits(parameters[name]):
            raise BadInputError(f"the parameter {name!r} of {whose} has a value that it cannot have")
    return parameters


def _json(text: bytes) -> Any:
    """What is JSON to Triton: Python would also read UTF-16, half a surrogate pair, and numbers without end."""
    if text.count(b"[") + text.count(b"{") > MAX_ROWS + _MOST_BRACKETS:
        raise BadInputError(f"the request has more lists than {MAX_ROWS} rows need: split it")
    try:
        document = json.loads(
            text.decode(), parse_float=_finite, parse_constant=_refuse_constant, object_pairs_hook=_once_each
        )
        if b"\\u" in text:
            json.dumps(document, ensure_ascii=False).encode()
        return document
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"the request is not JSON: {str(error)[:200]}") from None


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise BadInputError(f"the number {text[:40]} is too large")
    return number


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Python takes the last of them, and Triton the first.
    read = dict(pairs)
    if len(read) < len(pairs):
        raise BadInputError("a name is there twice in one object of the request")
    return read


def _split(body: bytes, json_length: str | None) -> tuple[bytes, bytes]:
    if json_length is None:
        return body, b""
    if not json_length.isdecimal() or len(json_length) > 10 or int(json_length) > len(body):
        raise BadInputError(f"{BINARY_HEADER} is {json_length[:20]!r}; the body has {len(body)} bytes")
    return body[: int(json_length)], body[int(json_length) :]


def _refuse_constant(name: str) -> Never:
    raise BadInputError(f"{name} is not JSON: send missing values as binary data, where NaN means missing")


def _input(raw: Any) -> TensorHeader:
    if not isinstance(raw, dict):
        raise BadInputError("an input is not a JSON object")
    name, datatype, shape = raw.get("name"), raw.get("datatype"), raw.get("shape")
    if not isinstance(name, str) or not isinstance(datatype, str):
        raise BadInputError('an input has no "name" or no "datatype"')
    if not isinstance(shape, list) or not all(type(size) is int and 0 <= size < 2**31 for size in shape):
        raise BadInputError(f'the "shape" of {name[:80]!r} is not a list of sizes')
    return TensorHeader(name, datatype, tuple(shape), _elements(raw, name))


def _elements(raw: dict[str, Any], name: str) -> int:
    size = _binary_size(raw)
    if (size is None) == ("data" not in raw):
        raise BadInputError(f'{name[:80]!r} needs either "data" or "binary_data_size"')
    if size is not None:
        if size % FP32_BYTES:
            raise BadInputError(f"the binary data of {name[:80]!r} is not a whole number of FP32 values")
        return size // FP32_BYTES
    count = _count(raw["data"])
    if count is None:
        raise BadInputError(f'the "data" of {name[:80]!r} is not an even array of numbers, each finite')
    return count


def _count(data: Any) -> int | None:
    """How many finite numbers an array holds, evenly nested; None if it is no such array."""
    if not isinstance(data, list):
        return None
    kinds = set(map(type, data))
    if kinds <= _NUMBERS:
        return len(data) if max(map(abs, data), default=0) < _LARGEST else None
    if kinds != {list} or len(set(map(len, data))) != 1:
        return None
    counts = [_count(row) for row in data]
    return None if None in counts else sum(count for count in counts if count is not None)


def _binary_size(raw: Any) -> int | None:
    parameters = raw.get("parameters", {}) if isinstance(raw, dict) else {}
    if not isinstance(parameters, dict):
        raise BadInputError('the "parameters" of an input are not a JSON object')
    refuse_shared_memory(parameters)
    size = parameters.get("binary_data_size")
    if size is not None and (type(size) is not int or size < 0):
        raise BadInputError('"binary_data_size" is not a size')
    return size


def _output_names(raw: Any) -> tuple[str, ...]:
    if not isinstance(raw, list):
        raise BadInputError('"outputs" is not a list')
    return tuple(_names(raw))


def _names(raw: list[Any]) -> Iterable[str]:
    for output in raw:
        if not isinstance(output, dict) or not isinstance(output.get("name"), str):
            raise BadInputError('an output has no "name"')
        check_output_parameters(output.get("parameters", {}))
        yield output["name"]
