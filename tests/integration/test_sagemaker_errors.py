"""What is wrong is raised by boto3 as its own exceptions, with messages, and a wrong call loads nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError
from sidecar.errors import BusyError, ServingError, StoreUnavailableError
from sidecar.sagemaker_api import answer_to

from tests.integration.fronts import run_front
from tests.integration.orchard import Orchard, settings_for
from tests.integration.sagemaker import ENDPOINT, csv_of, front_without_scripting, invoke, runtime
from tests.integration.standin import Answer, StandIn
from tests.integration.triton_process import TritonProcess
from tests.models import train
from tools.stack import Node

NO_RETRIES = Config(retries={"max_attempts": 1, "mode": "standard"})


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchard]:
    folder = tmp_path_factory.mktemp("errors")
    with Node(settings_for(folder, memory_budget="768KiB")) as node:
        orchard = Orchard(folder, node)
        orchard.publish(
            small=train("binary:logistic"), huge=train("binary:logistic", rounds=400, depth=9, learning_rate=0.01)
        )
        yield orchard


@pytest.fixture(scope="module")
def plain_url(orchard: Orchard) -> Iterator[str]:
    with front_without_scripting(orchard.node, orchard.folder / "plain") as url:
        yield url


@pytest.fixture(params=["njs", "sidecar"])
def client(request: pytest.FixtureRequest, orchard: Orchard, plain_url: str) -> Any:
    return runtime(orchard.node.http_url if request.param == "njs" else plain_url)


def refusal(client: Any, expected: str, target: str, body: bytes, content_type: str = "text/csv", **more: str) -> Any:
    """The exception of a call that must fail as `expected`; its response."""
    with pytest.raises(getattr(client.exceptions, expected)) as raised:
        invoke(client, target, body, content_type, **more)
    response = raised.value.response
    assert response["Error"]["Code"] == expected
    assert response["Error"]["Message"]
    assert len(response["ResponseMetadata"]["RequestId"]) == 32
    return response


@pytest.mark.parametrize("target", ["nobody.tar.gz", "NOBODY", "folder/small.tar.gz", "..", "/"])
def test_a_target_model_that_is_not_there_is_a_validation_error(client: Any, target: str) -> None:
    response = refusal(client, "ValidationError", target, b"1,2,3,4,5,6")
    assert response["Error"]["Message"].startswith("target model")


def test_a_call_without_a_target_model_is_a_validation_error(client: Any) -> None:
    with pytest.raises(client.exceptions.ValidationError, match="pass TargetModel="):
        client.invoke_endpoint(EndpointName=ENDPOINT, Body=b"1,2", ContentType="text/csv")


WRONG_PAYLOADS = [
    (b"1,2,3", "text/csv", "", 400, "row 1 has 3 values; this model takes 6 features a row"),
    (b"1,2,3,4,5,six", "text/csv", "", 400, "row 1, column 6: 'six' is not a number"),
    (b'{"instances": [[1]]}', "application/json", "", 400, "row 1 has 1 values"),
    (b'{"rows": [[1]]}', "application/json", "", 400, 'no "instances" list'),
    (b'{"inputs": []}', "application/json", "", 400, "exactly one input"),
    (b"7:1", "text/libsvm", "", 400, "no column 7"),
    (b"\x80\x04.", "application/x-npy", "", 400, "not a .npy array"),
    (b"1,2,3,4,5,6", "image/png", "", 415, "'image/png' is not read here"),
    (b"1,2,3,4,5,6", "text/csv", "image/png", 406, "cannot answer in 'image/png'"),
]


@pytest.mark.parametrize(("body", "kind", "accept", "status", "message"), WRONG_PAYLOADS)
@pytest.mark.parametrize("is_warm", [False, True])
def test_a_wrong_payload_is_a_model_error_and_loads_nothing(
    orchard: Orchard, client: Any, body: bytes, kind: str, accept: str, status: int, message: str, is_warm: bool
) -> None:
    if is_warm:
        invoke(client, "small", csv_of(orchard.models["small"].rows[:1]))
    elif "small" in orchard.residents():
        orchard.unload("small")
    loads = orchard.loads()
    response = refusal(client, "ModelError", "small", body, kind, **({"Accept": accept} if accept else {}))
    assert response["OriginalStatusCode"] == status
    assert message in response["OriginalMessage"]
    assert response["OriginalMessage"] in response["Error"]["Message"]
    assert response["LogStreamArn"] == ""
    assert orchard.loads() == loads


def test_a_tenant_that_cannot_fit_is_a_model_error_of_507(client: Any) -> None:
    response = refusal(client, "ModelError", "huge.tar.gz", b"1,2,3,4,5,6")
    assert response["OriginalStatusCode"] == 507
    assert "budget" in response["OriginalMessage"]


def test_a_body_beyond_the_limit_is_a_validation_error(client: Any) -> None:
    response = refusal(client, "ValidationError", "small", bytes((64 << 20) + 1))
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert "fewer rows" in response["Error"]["Message"]


@pytest.mark.parametrize(
    ("error", "expected", "status"),
    [
        (BusyError("busy"), "ModelNotReadyException", 429),
        (StoreUnavailableError("the store is away"), "ServiceUnavailable", 503),
        (ServingError("a fault"), "InternalFailure", 500),
    ],
)
def test_what_the_sidecar_says_reaches_boto3_through_the_front(
    triton_server: TritonProcess, tmp_path: Path, error: ServingError, expected: str, status: int
) -> None:
    said = answer_to(error)
    assert isinstance(said.body, bytes)
    with StandIn() as sidecar, run_front(tmp_path, triton_server.http, sidecar) as front:
        sidecar.answer = Answer(said.status, said.body, dict(said.headers))
        client = runtime(f"http://{front.address}", NO_RETRIES)
        response = refusal(client, expected, "m1", b"1,2")
        assert response["Error"]["Message"] == str(error)
        assert response["ResponseMetadata"]["HTTPStatusCode"] == status
        assert response["ResponseMetadata"]["HTTPHeaders"].get("retry-after") == (
            str(error.retry_after) if error.retry_after else None
        )


def test_with_the_sidecar_away_a_cold_call_is_service_unavailable(triton_server: TritonProcess, tmp_path: Path) -> None:
    with StandIn() as sidecar:
        pass
    with run_front(tmp_path, triton_server.http, sidecar) as front:
        response = refusal(runtime(f"http://{front.address}", NO_RETRIES), "ServiceUnavailable", "m1", b"1,2")
        assert response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"


def test_without_retries_of_its_own_a_client_sees_each_error_once(client: Any) -> None:
    with pytest.raises(ClientError) as raised:
        invoke(client, "small", b"1,2")
    assert raised.value.response["ResponseMetadata"]["RetryAttempts"] == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/endpoints/{ENDPOINT}/invocations", 405),
        ("POST", f"/endpoints/{ENDPOINT}/async-invocations", 404),
        ("POST", "/endpoints/-/invocations", 404),
        ("POST", f"/endpoints/{ENDPOINT}/invocations/more", 404),
        ("POST", "/.triton/small/infer", 400),
        ("GET", "/.invocation-error", 400),
    ],
)
def test_nothing_else_is_at_the_endpoint(orchard: Orchard, method: str, path: str, status: int) -> None:
    answer = requests.request(method, orchard.node.http_url + path, data=b"1,2", timeout=10)
    assert answer.status_code == status
    assert json.loads(answer.content)
