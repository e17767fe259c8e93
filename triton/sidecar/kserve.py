"""KServe v2 inference requests, read far enough to refuse a wrong one before anything is loaded for it.

Source: the Open Inference Protocol, with Triton's extension for binary tensor data.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Never

import numpy as np

from sidecar.errors import BadInputError
from tools.catalog.manifest import MAX_ROWS, Manifest

BINARY_HEADER = "Inference-Header-Content-Length"
INPUT = "input__0"
OUTPUT = "output__0"

_FP32_BYTES = 4


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


def read_request(body: bytes, json_length: str | None) -> InferRequest:
    """Read an HTTP request's body; `json_length` is its `Inference-Header-Content-Length`, if it has one.

    Raises:
        BadInputError: it is not a KServe v2 request, or carries other data than it announces.
    """
    text, binary = _split(body, json_length)
    try:
        request = json.loads(text, parse_constant=_refuse_constant)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise BadInputError(f"the request is not JSON: {error}") from None
    if not isinstance(request, dict) or not isinstance(request.get("inputs"), list):
        raise BadInputError(
            'the request has no "inputs" list: send {"inputs": [{"name", "shape", "datatype", "data"}]}'
        )
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
        if size % _FP32_BYTES:
            raise BadInputError(f"the binary data of {name[:80]!r} is not a whole number of FP32 values")
        return size // _FP32_BYTES
    try:
        return int(np.asarray(raw["data"], dtype=np.float32).size)
    except (TypeError, ValueError, OverflowError):
        raise BadInputError(f'the "data" of {name[:80]!r} is not an even array of numbers') from None


def _binary_size(raw: Any) -> int | None:
    parameters = raw.get("parameters", {}) if isinstance(raw, dict) else {}
    if not isinstance(parameters, dict):
        raise BadInputError('the "parameters" of an input are not a JSON object')
    if "shared_memory_region" in parameters:
        raise BadInputError("shared memory is not offered here: send the data in the request")
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
        yield output["name"]
