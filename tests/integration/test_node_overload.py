"""More cold calls than a node can take, and models that it could never take: refused at once, the others served."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import boto3
import botocore.config
import botocore.exceptions
import pytest
import requests
import tritonclient.grpc

from loadtests.s3_server import BUCKET, S3Server
from tests.integration.orchard import Orchard, settings_for
from tests.models import train
from tools.stack import Node

TENANTS = [f"t{number}" for number in range(40)]
QUEUE = 8
FULL = f"{QUEUE} calls wait"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as server, server.found():
        yield server


@pytest.fixture(scope="module")
def orchard(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchard]:
    folder = tmp_path_factory.mktemp("overload")
    settings = settings_for(
        folder, store=f"s3://{BUCKET}/fleet", memory_budget="1MiB", cold_queue=QUEUE, pinned=("pinned",)
    )
    with Node(settings) as node:
        orchard = Orchard(folder, node)
        large = train("binary:logistic", rounds=400, depth=9, learning_rate=0.01)
        orchard.publish(pinned=train("binary:logistic"), large=large)
        orchard.check("pinned")
        yield orchard


def metric(orchard: Orchard, name: str) -> float:
    text = requests.get(f"{orchard.node.admin_url}/metrics", timeout=10).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def test_a_bundle_larger_than_the_budget_is_refused_before_any_of_it_is_fetched(orchard: Orchard, s3: S3Server) -> None:
    s3.forget_requests()
    response = orchard.ask("large")
    assert response.status_code == 507
    assert "raise the memory budget" in response.json()["error"]
    asked = [request.key for request in s3.requests() if "/large/" in request.key]
    assert asked
    assert all(key.endswith("/live.json") for key in asked), asked


@dataclass(frozen=True)
class Refusal:
    answered: float
    status: int
    retry_after: str | None
    text: str


class Flood:
    """While entered, with the store hung, `calls` cold calls wait: of each of as many tenants, or all of one."""

    def __init__(self, orchard: Orchard, s3: S3Server, tenants: list[str]) -> None:
        self._orchard = orchard
        self._s3 = s3
        self._tenants = tenants
        self._pool = ThreadPoolExecutor(len(tenants))

    def __enter__(self) -> list[Refusal]:
        refused = metric(self._orchard, "orchard_cold_refused_total")
        self._s3.freeze()
        self._calls = [self._pool.submit(self._ask, tenant) for tenant in self._tenants]
        wanted = refused + len(self._tenants) - QUEUE
        while metric(self._orchard, "orchard_cold_refused_total") < wanted:
            time.sleep(0.02)
        return [call.result() for call in self._calls if call.done()]

    def __exit__(self, *exception: object) -> None:
        self._s3.thaw()
        self.replies = sorted((call.result() for call in self._calls), key=lambda reply: reply.answered)
        self._pool.shutdown()

    def _ask(self, tenant: str) -> Refusal:
        rows = self._orchard.models["pinned"].rows[:1]
        response = self._orchard.ask(tenant, rows)
        return Refusal(time.monotonic(), response.status_code, response.headers.get("Retry-After"), response.text)


@pytest.mark.parametrize("tenants", [TENANTS, ["one"] * 40], ids=["of-many-tenants", "of-one-tenant"])
def test_cold_calls_beyond_the_line_are_told_at_once_to_come_back_and_the_warm_are_answered(
    orchard: Orchard, s3: S3Server, tenants: list[str]
) -> None:
    flood = Flood(orchard, s3, tenants)
    with flood:
        assert metric(orchard, "orchard_cold_waiting") <= QUEUE
        orchard.check("pinned")
    refused = [reply for reply in flood.replies if FULL in reply.text]
    assert len(refused) == len(tenants) - QUEUE
    assert {(reply.status, reply.retry_after) for reply in refused} == {(503, "1")}
    waited = [reply for reply in flood.replies if FULL not in reply.text]
    assert min(reply.answered for reply in waited) > refused[len(refused) // 2].answered
    assert metric(orchard, "orchard_cold_waiting") == 0


def test_so_are_those_over_grpc_and_by_sagemaker_s_api(orchard: Orchard, s3: S3Server) -> None:
    rows = orchard.models["pinned"].rows[:1]
    tensor = tritonclient.grpc.InferInput("input__0", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    grpc_client = tritonclient.grpc.InferenceServerClient(orchard.node.grpc_address)
    runtime = boto3.client(
        "sagemaker-runtime",
        endpoint_url=orchard.node.http_url,
        region_name="local",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )
    with Flood(orchard, s3, TENANTS):
        with pytest.raises(tritonclient.grpc.InferenceServerException, match=FULL) as over_grpc:
            grpc_client.infer("t0", [tensor])
        with pytest.raises(botocore.exceptions.ClientError, match=FULL) as by_sagemaker:
            runtime.invoke_endpoint(
                EndpointName="any", TargetModel="t0.tar.gz", ContentType="text/csv", Body="0,0,0,0,0,0"
            )
    assert over_grpc.value.status() == "StatusCode.UNAVAILABLE"
    assert by_sagemaker.value.response["Error"]["Code"] == "ServiceUnavailable"
    assert by_sagemaker.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"


def test_after_the_flood_cold_calls_are_served_again(orchard: Orchard) -> None:
    orchard.publish(later=train("binary:logistic", seed=3))
    orchard.check("later")
