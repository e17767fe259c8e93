"""Rows find the way into one prediction, and the answers back to whoever asked."""

import http.client
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tritonclient import grpc
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from tests.fil_entries import Entry, checkpoint
from tests.integration.fil.conftest import Serve
from tests.integration.triton_process import TritonProcess
from tests.models import FEATURES, Rows, Trained, train
from tools.plain_request import CHECKED_HEADER

# Long enough for everything a test sends to be in one batch.
HELD_BACK = "dynamic_batching { max_queue_delay_microseconds: 300000 preferred_batch_size: [ 4096 ] }"


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train("binary:logistic")


def _right(trained: Trained, rows: Rows, answer: Rows) -> bool:
    return np.allclose(answer[:, 1], trained.expected(rows), atol=1e-5, rtol=0)


@pytest.mark.parametrize("more", ["", "dynamic_batching {}", HELD_BACK], ids=["none", "dynamic", "held back"])
def test_concurrent_callers_get_their_own_answers(
    triton: TritonProcess, serve: Serve, trained: Trained, more: str
) -> None:
    name = serve(Entry(FEATURES, 2, more=more), checkpoint(trained.booster))
    slices = [trained.rows[start : start + 1 + start % 5] for start in range(0, 190, 3)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda rows: triton.infer(name, rows), slices))
    assert all(_right(trained, rows, answer) for rows, answer in zip(slices, answers, strict=True))


def test_requests_that_wait_together_are_predicted_together(
    triton: TritonProcess, serve: Serve, trained: Trained
) -> None:
    name = serve(Entry(FEATURES, 2, more=HELD_BACK), checkpoint(trained.booster))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: triton.infer(name, trained.rows[index : index + 2]), range(8)))
    statistics = triton.statistics(name)
    assert statistics.inference_count == 16
    assert statistics.execution_count < 8


def test_several_instances_answer_at_the_same_time(triton: TritonProcess, serve: Serve, trained: Trained) -> None:
    name = serve(Entry(FEATURES, 2, instances=3, more="dynamic_batching {}"), checkpoint(trained.booster))
    slices = [np.tile(trained.rows[start : start + 40], (20, 1)) for start in range(0, 160, 2)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda rows: triton.infer(name, rows), slices))
    assert all(_right(trained, rows, answer) for rows, answer in zip(slices, answers, strict=True))


def test_a_tensor_split_over_buffers_in_the_middle_of_a_float_is_joined(
    triton: TritonProcess, serve: Serve, trained: Trained
) -> None:
    """Triton hands a chunked HTTP body on in the pieces that it came in, which are out of step with the floats."""
    name = serve(Entry(FEATURES, 2), checkpoint(trained.booster))
    rows = np.tile(trained.rows, (20, 1))
    assert _right(trained, rows, _infer_in_pieces(triton, name, rows, piece=997))


def test_a_batch_of_the_largest_size_is_answered(triton: TritonProcess, serve: Serve, trained: Trained) -> None:
    name = serve(Entry(FEATURES, 2, max_batch_size=20_000), checkpoint(trained.booster))
    rows = np.tile(trained.rows, (100, 1))
    assert _right(trained, rows, triton.infer(name, rows))
    assert _right(trained, trained.rows, triton.infer(name, trained.rows))


def test_a_request_whose_bytes_do_not_fit_its_shape_fails_alone(
    triton: TritonProcess, serve: Serve, trained: Trained
) -> None:
    name = serve(Entry(FEATURES, 2, more=HELD_BACK), checkpoint(trained.booster))
    rows = trained.rows[:3]
    with ThreadPoolExecutor(5) as pool:
        good = [pool.submit(triton.infer, name, rows) for _ in range(4)]
        bad = pool.submit(_infer_raw, triton, name, rows.shape, rows.tobytes()[:-4])
        assert "byte" in str(bad.exception())
    assert all(_right(trained, rows, answer.result()) for answer in good)


def test_a_cancelled_request_does_not_disturb_its_batch(triton: TritonProcess, serve: Serve, trained: Trained) -> None:
    name = serve(Entry(FEATURES, 2, more=HELD_BACK), checkpoint(trained.booster))
    rows = trained.rows[:3]
    tensor = grpc.InferInput("input__0", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    failures: list[InferenceServerException] = []
    with ThreadPoolExecutor(4) as pool:
        good = [pool.submit(triton.infer, name, rows) for _ in range(4)]
        cancelled = triton.client.async_infer(name, [tensor], lambda result, error: failures.append(error))
        cancelled.cancel()
        assert all(_right(trained, rows, answer.result()) for answer in good)
    assert [failure.status() for failure in failures] == ["StatusCode.CANCELLED"]


def _infer_raw(triton: TritonProcess, name: str, shape: tuple[int, ...], values: bytes) -> None:
    request = service_pb2.ModelInferRequest(model_name=name, raw_input_contents=[values])
    request.inputs.add(name="input__0", datatype="FP32", shape=shape)
    triton.client._client_stub.ModelInfer(request)


def _infer_in_pieces(triton: TritonProcess, name: str, rows: Rows, piece: int) -> Rows:
    values = rows.tobytes()
    described = {"name": "input__0", "shape": rows.shape, "datatype": "FP32"}
    header = json.dumps({"inputs": [{**described, "parameters": {"binary_data_size": len(values)}}]}).encode()
    body = header + values
    connection = http.client.HTTPConnection(triton.http, timeout=10)
    connection.request(
        "POST",
        f"/v2/models/{name}/infer",
        (body[start : start + piece] for start in range(0, len(body), piece)),
        {
            "Inference-Header-Content-Length": str(len(header)),
            "Transfer-Encoding": "chunked",
            CHECKED_HEADER: "yes",
        },
        encode_chunked=True,
    )
    (output,) = json.loads(connection.getresponse().read())["outputs"]
    return np.array(output["data"], np.float32).reshape(output["shape"])
