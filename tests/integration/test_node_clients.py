"""Unmodified clients against a whole node, over every kind of model."""

from collections.abc import Iterator

import numpy as np
import pytest
import requests
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from tests.integration.orchard import Orchard, assert_answers, settings_for
from tests.models import train, train_categorical
from tools.stack import Node

KINDS = {
    "binary": train("binary:logistic"),
    "multi": train("multi:softprob", num_class=4),
    "softmax": train("multi:softprob", num_class=3, seed=3),
    "regression": train("reg:squarederror"),
    "poisson": train("count:poisson"),
    "gamma": train("reg:gamma"),
    "dart": train("binary:logistic", booster="dart", rate_drop=0.3),
    "forest": train("reg:squarederror", num_parallel_tree=5),
    "rank": train("rank:pairwise"),
    "categorical": train_categorical(),
}


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchard]:
    folder = tmp_path_factory.mktemp("clients")
    with Node(settings_for(folder)) as node:
        orchard = Orchard(folder, node)
        orchard.publish(**KINDS)
        yield orchard


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [1, 2, 150])
def test_json_and_binary_answers_are_xgboosts(orchard: Orchard, kind: str, rows: int) -> None:
    model = KINDS[kind]
    asked = np.nan_to_num(model.rows[:rows])
    tensor = {"name": "input__0", "shape": list(asked.shape), "datatype": "FP32", "data": asked.ravel().tolist()}
    response = requests.post(orchard.url(kind), json={"inputs": [tensor]}, timeout=60)
    assert response.status_code == 200, response.text
    output = response.json()["outputs"][0]
    assert_answers(model, asked, np.asarray(output["data"], np.float32).reshape(output["shape"]))
    orchard.check(kind, model.rows[:rows])


@pytest.mark.parametrize("kind", KINDS)
def test_tritonclient_http_works_unmodified(orchard: Orchard, kind: str) -> None:
    client = tritonclient.http.InferenceServerClient(orchard.node.http_url.removeprefix("http://"))
    rows = KINDS[kind].rows[:7]
    asked = tritonclient.http.InferInput("input__0", list(rows.shape), "FP32")
    asked.set_data_from_numpy(rows)
    answer = client.infer(kind, [asked], outputs=[tritonclient.http.InferRequestedOutput("output__0")])
    assert_answers(KINDS[kind], rows, answer.as_numpy("output__0"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(kind)
    assert client.get_model_metadata(kind)["inputs"][0]["shape"] == [-1, rows.shape[1]]
    assert client.get_model_config(kind)["backend"] == "fil"
    assert client.get_inference_statistics(kind)["model_stats"][0]["inference_count"] >= 7


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_compressed_calls_are_answered_warm_and_cold(orchard: Orchard, compression: str) -> None:
    client = tritonclient.http.InferenceServerClient(orchard.node.http_url.removeprefix("http://"))
    rows = KINDS["binary"].rows[:50]
    asked = tritonclient.http.InferInput("input__0", list(rows.shape), "FP32")
    asked.set_data_from_numpy(rows)
    orchard.check("binary")
    orchard.unload("binary")
    for _ in ("cold", "warm"):
        answer = client.infer(
            "binary",
            [asked],
            request_compression_algorithm=compression,
            response_compression_algorithm=compression,
        )
        assert_answers(KINDS["binary"], rows, answer.as_numpy("output__0"))


@pytest.mark.parametrize("kind", KINDS)
def test_tritonclient_grpc_works_unmodified(orchard: Orchard, kind: str) -> None:
    rows = KINDS[kind].rows[:7]
    with tritonclient.grpc.InferenceServerClient(orchard.node.grpc_address) as client:
        asked = tritonclient.grpc.InferInput("input__0", list(rows.shape), "FP32")
        asked.set_data_from_numpy(rows)
        answer = client.infer(kind, [asked])
        assert_answers(KINDS[kind], rows, answer.as_numpy("output__0"))
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready(kind)
        assert client.get_model_metadata(kind).inputs[0].shape == [-1, rows.shape[1]]
        assert client.get_model_config(kind).config.backend == "fil"
        assert client.get_inference_statistics(kind).model_stats[0].inference_count >= 7


def test_grpc_loads_what_is_not_resident_and_says_so(orchard: Orchard) -> None:
    orchard.check("binary")
    orchard.unload("binary")
    with tritonclient.grpc.InferenceServerClient(orchard.node.grpc_address) as client:
        rows = KINDS["binary"].rows[:2]
        asked = tritonclient.grpc.InferInput("input__0", list(rows.shape), "FP32")
        asked.set_data_from_numpy(rows)
        assert client.is_model_ready("binary")
        assert "binary" not in orchard.residents()
        assert_answers(KINDS["binary"], rows, client.infer("binary", [asked]).as_numpy("output__0"))
    assert "binary" in orchard.residents()


def test_grpc_offers_nothing_that_concerns_the_whole_server(orchard: Orchard) -> None:
    with tritonclient.grpc.InferenceServerClient(orchard.node.grpc_address) as client:
        for call in (
            client.get_model_repository_index,
            lambda: client.load_model("binary"),
            lambda: client.unload_model("binary"),
            client.get_system_shared_memory_status,
            client.get_trace_settings,
            client.get_log_settings,
        ):
            with pytest.raises(InferenceServerException, match="UNIMPLEMENTED"):
                call()
        with pytest.raises(InferenceServerException, match="is not a tenant id"):
            client.get_inference_statistics()


@pytest.mark.parametrize(
    ("tenant", "columns", "datatype", "code", "message"),
    [
        ("nobody", 6, "FP32", "NOT_FOUND", "tenant 'nobody' is not in the store"),
        ("Binary", 6, "FP32", "INVALID_ARGUMENT", "is not a tenant id"),
        ("binary", 5, "FP32", "INVALID_ARGUMENT", "rows of 6 features"),
        ("binary", 6, "FP64", "INVALID_ARGUMENT", "is FP32; the request says 'FP64'"),
    ],
)
def test_a_wrong_grpc_call_is_refused_and_loads_nothing(
    orchard: Orchard, tenant: str, columns: int, datatype: str, code: str, message: str
) -> None:
    orchard.check("binary")
    orchard.unload("binary")
    before = orchard.loads()
    rows = np.zeros((2, columns), np.float32 if datatype == "FP32" else np.float64)
    with tritonclient.grpc.InferenceServerClient(orchard.node.grpc_address) as client:
        asked = tritonclient.grpc.InferInput("input__0", list(rows.shape), datatype)
        asked.set_data_from_numpy(rows)
        with pytest.raises(InferenceServerException, match=message) as refused:
            client.infer(tenant, [asked])
    assert code in refused.value.status()
    assert orchard.loads() == before
