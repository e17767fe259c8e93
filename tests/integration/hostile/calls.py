"""Right calls, and the values and the damage that make wrong ones of them."""

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np

ROW = np.arange(6, dtype=np.float32)
FEATURES = len(ROW)

# What stands where it does not belong: wrong types, edges of every integer, and sizes nobody has memory for.
ODD_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 2**31, 2**32 + 1, 2**62, 2**63, 2**64, 10**40, 1e308, "", "x", "\ud800", "x" * 5000, [], {},
    [[]], [None], [-1, -6], [0, 6], [6], [2**31, 6], [2**62, 6], [2**63 - 1, 6], [2**61, 8], [10**9, 6], [10**12, 6],
    ["1", "6"], [1.0, 6], [1] * 1000, {"x": {"x": {}}}, [[1, 2], [3]], ["a"] * 6, [None] * 6, [True] * 6, [[[0]] * 6],
)  # fmt: skip


def json_call(**changes: Any) -> dict[str, Any]:
    """A right KServe call of one row, with fields of its input replaced."""
    tensor = {"name": "input__0", "shape": [1, FEATURES], "datatype": "FP32", "data": ROW.tolist(), **changes}
    return {"inputs": [tensor]}


def binary_call(shape: Any = (1, FEATURES), size: Any = 24, data: bytes = ROW.tobytes(), **changes: Any) -> bytes:
    """A KServe call with binary data: its JSON, whose length `header_length` gives, and the data."""
    tensor = {"name": "input__0", "shape": shape, "datatype": "FP32", "parameters": {"binary_data_size": size}}
    return json.dumps({"inputs": [{**tensor, **changes}]}).encode() + data


def header_length(body: bytes, data: bytes = ROW.tobytes()) -> dict[str, str]:
    """The header that says how long the JSON in front of `data` is."""
    return {"Inference-Header-Content-Length": str(len(body) - len(data))}


def places(call: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every value inside `call`, but for single numbers of the data."""
    if path:
        yield path
    if isinstance(call, dict):
        for name, value in call.items():
            yield from places(value, (*path, name))
    elif isinstance(call, list) and path[-1:] != ("data",):
        for index, value in enumerate(call):
            yield from places(value, (*path, index))


def replaced(call: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of `call` with another value at `path`."""
    changed = copy.deepcopy(call)
    parent = changed
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    return changed


_SPLINTERS = (b"[", b"{", b'"', b"\\", b"-", b"e9", b"\0", b"\xff", b"99999999", b",")


def damaged(body: bytes, random: Random) -> bytes:
    """`body` with a few bytes flipped, cut out, doubled or moved."""
    mutable = bytearray(body)
    for _ in range(random.randint(1, 4)):
        at, length = random.randrange(len(mutable) or 1), random.randint(1, 12)
        piece = mutable[at : at + length]
        match random.randrange(5):
            case 0 if mutable:
                mutable[at % len(mutable)] ^= 1 << random.randrange(8)
            case 1:
                del mutable[at : at + length]
            case 2:
                mutable[at:at] = piece * random.choice([1, 2, 200])
            case 3:
                mutable[at:at] = random.choice(_SPLINTERS)
            case _:
                mutable[at : at + length] = piece[::-1]
    return bytes(mutable)
