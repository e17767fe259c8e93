"""Triton's statistics, from which the sidecar learns recency and frequency."""

import time

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from tests.fil_entries import Entry, checkpoint
from tests.integration.fil.conftest import Serve
from tests.integration.triton_process import TritonProcess
from tests.models import FEATURES, train


def test_a_model_that_was_never_called_has_no_last_inference(triton: TritonProcess, serve: Serve) -> None:
    statistics = triton.statistics(serve(Entry(FEATURES, 2), checkpoint(train("binary:logistic").booster)))
    assert (statistics.last_inference, statistics.inference_count, statistics.execution_count) == (0, 0, 0)


def test_every_request_counts_its_rows_and_its_time(triton: TritonProcess, serve: Serve) -> None:
    trained = train("binary:logistic")
    name = serve(Entry(FEATURES, 2), checkpoint(trained.booster))
    before = int(time.time() * 1000)
    triton.infer(name, trained.rows[:3])
    triton.infer(name, trained.rows[:4])
    statistics = triton.statistics(name)
    assert (statistics.inference_count, statistics.execution_count) == (7, 2)
    assert before <= statistics.last_inference <= int(time.time() * 1000)
    times = statistics.inference_stats
    assert times.success.count == 2
    parts = (times.queue.ns, times.compute_input.ns, times.compute_infer.ns, times.compute_output.ns)
    assert all(parts)
    assert sum(parts) <= times.success.ns


def test_a_request_that_is_wrong_is_no_inference(triton: TritonProcess, serve: Serve) -> None:
    name = serve(Entry(FEATURES, 2), checkpoint(train("binary:logistic").booster))
    with pytest.raises(InferenceServerException, match="unexpected shape"):
        triton.infer(name, np.zeros((1, FEATURES + 1), np.float32))
    statistics = triton.statistics(name)
    assert (statistics.last_inference, statistics.inference_count) == (0, 0)
