"""What the backend cannot trust, thrown at it directly: models cut and rewritten anywhere, requests of any shape.

Run on the sanitized backend (make sanitize) this finds what a test of answers would not see.
"""

import contextlib
from collections.abc import Iterator
from itertools import chain

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from tests.fil_entries import REGRESSION, Entry, checkpoint
from tests.integration.fil.conftest import Serve
from tests.integration.triton_process import TritonProcess
from tests.models import FEATURES, Rows, train, train_categorical

ROWS = np.random.default_rng(0).normal(size=(20, FEATURES)).astype(np.float32)
MODELS = {
    "binary": (checkpoint(train("binary:logistic", rounds=2, depth=3).booster), Entry(FEATURES, 2)),
    "classes": (checkpoint(train("multi:softprob", num_class=3, rounds=2, depth=2).booster), Entry(FEATURES, 3)),
    "categories": (checkpoint(train_categorical().booster), Entry(FEATURES, 2)),
    "values": (checkpoint(train("reg:squarederror", rounds=2, depth=3).booster), Entry(FEATURES, 1, REGRESSION)),
}
# What a length, an index or a count may say without being true.
WORDS = (
    b"\xff" * 8,
    b"\xff" * 7 + b"\x7f",
    b"\x00" * 8,
    b"\x01" + b"\x00" * 7,
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x80",
)


def _rewritten(model: bytes) -> Iterator[bytes]:
    random = np.random.default_rng(1)
    for place in random.choice(len(model) - 8, min(150, len(model) - 8), replace=False):
        word = WORDS[int(random.integers(len(WORDS)))]
        yield model[:place] + word + model[place + len(word) :]


def _cut(model: bytes) -> Iterator[bytes]:
    random = np.random.default_rng(2)
    for kept in chain(range(0, 300, 13), random.choice(len(model), 60)):
        yield model[: int(kept)]


def _spliced(model: bytes) -> Iterator[bytes]:
    random = np.random.default_rng(3)
    for _ in range(60):
        start, end, to = sorted(int(place) for place in random.choice(len(model), 3))
        yield model[:start] + model[end:to] + model[start:end] + model[to:]


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("change", [_rewritten, _cut, _spliced])
def test_no_changed_model_touches_what_is_not_its_own(triton: TritonProcess, kind: str, change: object) -> None:
    model, entry = MODELS[kind]
    assert callable(change)
    pid = triton.pid
    for number, changed in enumerate(change(model)):
        entry.write(triton.repository, "changed", changed)
        with contextlib.suppress(InferenceServerException):
            triton.load("changed")
            triton.infer("changed", ROWS)
            triton.infer("changed", np.full((1, FEATURES), np.nan, np.float32))
        assert triton.is_alive(), number
        triton.unload("changed")
    assert triton.pid == pid


# The product of the last one is 2, when it is taken modulo 2**64.
SHAPES = [
    *[(), (0,), (6,), (0, 6), (1, 0), (6, 1), (2, 6), (1, 1, 6), (-1, 6), (-1, -6), (2**31, 6), (2**62, 6), (2**61, 8)],
    ((2**64 + 2) // 6, 6),
]


@pytest.mark.parametrize("batch", [0, 4096])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_shape_that_lies_is_an_error(triton: TritonProcess, serve: Serve, batch: int, shape: tuple[int, ...]) -> None:
    name = serve(Entry(FEATURES, 2, max_batch_size=batch), MODELS["binary"][0])
    for values in (0, 1, 2, 5, 6, 7):
        if batch == 0 and (values, shape) in {(6, (6,)), (0, (0, 6))}:
            continue  # that is one row, and none
        with pytest.raises(grpc.RpcError) as refused:
            _infer(triton, name, shape, np.zeros(values, np.float32).tobytes())
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert triton.is_alive()


def test_numbers_at_every_edge_are_answered(triton: TritonProcess, serve: Serve) -> None:
    edges = np.array(
        [0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3.4e38, -3.4e38, 2**31, 2**63, -1, 0.5], np.float32
    )
    rows: Rows = np.array(np.meshgrid(edges, edges)).reshape(2, -1).T.repeat(3, axis=1).astype(np.float32)
    for model, entry in MODELS.values():
        answer = triton.infer(serve(entry, model), rows)
        assert len(answer) == len(rows)
        assert np.isfinite(answer).all()


def _infer(triton: TritonProcess, name: str, shape: tuple[int, ...], values: bytes) -> None:
    request = service_pb2.ModelInferRequest(model_name=name, raw_input_contents=[values])
    request.inputs.add(name="input__0", datatype="FP32", shape=shape)
    triton.client._client_stub.ModelInfer(request)
