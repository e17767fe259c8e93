"""Predictions as the managed service's XGBoost container answers them. Pure.

The container answers what `Booster.predict` gives: one number a row, the list of class probabilities for
multi:softprob, the class for multi:softmax. Triton gives the probabilities of all classes; a `Form` says which of
them are the answer. Numbers are passed on as Triton's JSON has them, so every way through the node writes the same.
"""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from sidecar.errors import LoadFailedError, NotAcceptableError
from sidecar.sagemaker_input import CSV, JSON, JSON_LINES, NPY
from tools.catalog.manifest import Manifest


class Form(Enum):
    """What of a row of `output__0` is the answer. The values are shared with the gateway's sagemaker.js."""

    VALUE = "value"  # the only number
    POSITIVE = "positive"  # of two classes, the probability of class 1
    ROW = "row"  # all of them
    LABEL = "label"  # the number of the largest


@dataclass(frozen=True, slots=True)
class Predictions:
    """Rows of number texts, `width` in each, from the model's `version`."""

    version: int
    width: int
    numbers: list[str]

    def shaped(self, form: Form) -> list[str] | list[list[str]]:
        """One number text a row, or a list of them for `Form.ROW`."""
        if form is Form.VALUE:
            return self.numbers
        if form is Form.POSITIVE:
            return self.numbers[1 :: self.width]
        rows = [self.numbers[start : start + self.width] for start in range(0, len(self.numbers), self.width)]
        return rows if form is Form.ROW else [_label(row) for row in rows]


def form_of(manifest: Manifest) -> Form:
    """How the model's objective answers."""
    if manifest.objective == "binary:logistic":
        return Form.POSITIVE
    if manifest.objective == "multi:softmax":
        return Form.LABEL
    return Form.ROW if manifest.outputs > 1 else Form.VALUE


def read_answer(body: bytes) -> Predictions:
    """Read Triton's JSON answer to an inference request.

    Raises:
        LoadFailedError: it is not one.
    """
    try:
        answer = json.loads(body, parse_float=str, parse_int=str, parse_constant=str)
        output = answer["outputs"][0]
        shape = [int(size) for size in output["shape"]]
        return Predictions(int(answer["model_version"]), shape[1] if len(shape) > 1 else 1, output["data"])
    except (ValueError, KeyError, IndexError, TypeError):
        raise LoadFailedError(f"Triton's answer is not one of inference: {body[:200]!r}") from None


def accepted_type(accept: str, default: str) -> str:
    """The type to answer in: the first of `accept` that can be written, `default` when anything will do.

    Raises:
        NotAcceptableError: none of them can.
    """
    for choice in accept.split(","):
        kind = choice.partition(";")[0].strip().lower()
        if kind in ("", "*/*"):
            return default
        if kind in _WRITERS:
            return kind
    raise NotAcceptableError(f"cannot answer in {accept[:80]!r}: accept one of {', '.join(_WRITERS)}")


def default_type(content_type: str) -> str:
    """The type to answer a request of this type in when it does not say: its own where that can be written."""
    return content_type if content_type in _WRITERS else CSV


def encode(predictions: Predictions, form: Form, kind: str) -> bytes:
    """Write the predictions as `kind`, one that `accepted_type` returned."""
    return _WRITERS[kind](predictions.shaped(form))


def _label(row: list[str]) -> str:
    values = [float(text) for text in row]
    return f"{values.index(max(values))}.0"


def _write_csv(rows: list[Any]) -> bytes:
    # All rows on one line: no CSV, but what the container's handler for many models writes and its clients read.
    return ",".join(_texts(rows)).encode()


def _write_json(rows: list[Any]) -> bytes:
    return ('{"predictions": [' + ", ".join(f'{{"score": {text}}}' for text in _texts(rows)) + "]}").encode()


def _write_json_lines(rows: list[Any]) -> bytes:
    return "".join(f'{{"score": {text}}}\n' for text in _texts(rows)).encode()


def _write_npy(rows: list[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array(rows, np.float64).astype(np.float32), allow_pickle=False)
    return file.getvalue()


def _texts(rows: list[Any]) -> list[str]:
    return [row if isinstance(row, str) else "[" + ", ".join(row) + "]" for row in rows]


_WRITERS: dict[str, Callable[[list[Any]], bytes]] = {
    CSV: _write_csv,
    JSON: _write_json,
    JSON_LINES: _write_json_lines,
    NPY: _write_npy,
}
