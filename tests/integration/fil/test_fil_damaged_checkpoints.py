"""A damaged checkpoint is an error for one tenant, never the end of the server."""

import contextlib
from collections.abc import Callable

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from tests.fil_entries import Entry, checkpoint
from tests.integration.triton_process import TritonProcess
from tests.models import FEATURES, train, train_categorical

MODEL = checkpoint(train("binary:logistic").booster)
CATEGORICAL = checkpoint(train_categorical().booster)
MULTICLASS = checkpoint(train("multi:softprob", num_class=3).booster)


@pytest.mark.parametrize(
    "kept",
    [0, 1, 7, 12, 60, 200, len(MODEL) // 2, len(MODEL) - 100, len(MODEL) - 9, len(MODEL) - 4, len(MODEL) - 1],
)
def test_a_checkpoint_cut_anywhere_is_refused(refusal: Callable[..., str], kept: int) -> None:
    assert "the checkpoint is damaged: it ends too early" in refusal(Entry(FEATURES, 2), MODEL[:kept])


def test_a_checkpoint_with_something_after_it_is_refused(refusal: Callable[..., str]) -> None:
    assert "something follows the last tree" in refusal(Entry(FEATURES, 2), MODEL + b"\0")


def test_a_file_that_is_no_checkpoint_is_refused(refusal: Callable[..., str]) -> None:
    assert "not a checkpoint of treelite 4" in refusal(Entry(FEATURES, 2), b"<html>404 Not Found</html>")


@pytest.mark.parametrize(
    ("model", "outputs"), [(MODEL, 2), (CATEGORICAL, 2), (MULTICLASS, 3)], ids=["binary", "categories", "classes"]
)
def test_no_flipped_byte_brings_the_server_down(triton: TritonProcess, model: bytes, outputs: int) -> None:
    """Numbers may be wrong then, which is what the manifest's hashes are for; memory must not be."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20, FEATURES)).astype(np.float32)
    header = min(400, len(model))
    for position in [*rng.choice(header, 120), *rng.integers(0, len(model), 120)]:
        flipped = bytearray(model)
        flipped[position] ^= 1 << int(rng.integers(8))
        Entry(FEATURES, outputs).write(triton.repository, "flipped", bytes(flipped))
        with contextlib.suppress(InferenceServerException):
            triton.load("flipped")
            triton.infer("flipped", rows)
        assert triton.is_alive(), f"byte {position}"
        triton.unload("flipped")
