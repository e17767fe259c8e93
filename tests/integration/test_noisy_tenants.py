"""A tenant that asks for too much is told so, and the others do not feel it: over HTTP, boto3 and gRPC."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc
from botocore.config import Config
from botocore.exceptions import ClientError
from tritonclient.utils import InferenceServerException

from tests.integration.fronts import Reply, read_reply
from tests.integration.orchard import Orchard, binary_call, settings_for
from tests.integration.sagemaker import ENDPOINT, csv_of, invoke, runtime
from tests.models import train
from tools.access.limits import Limit, Limits
from tools.catalog.tenant import tenant_id
from tools.stack import Node

RATE = 20
NOISY = Limit(rate=RATE, burst=RATE, concurrency=4)
# Slower than its calls are refused, so that a test can empty the bucket.
ONCE = Limit(rate=1, burst=0, concurrency=1)
# Slower than calls that follow each other, and not for long.
BRISK = Limit(rate=5, burst=0, concurrency=1)
NO_RETRIES = Config(retries={"total_max_attempts": 1})


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchard]:
    folder = tmp_path_factory.mktemp("noisy")
    own = {tenant_id("noisy"): NOISY, tenant_id("once"): ONCE, tenant_id("once-aws"): ONCE, tenant_id("brisk"): BRISK}
    with Node(settings_for(folder, limits=Limits(tenants=own))) as node:
        orchard = Orchard(folder, node)
        model = train("binary:logistic")
        orchard.publish(noisy=model, quiet=model, other=model, once=model, once_aws=model, brisk=model)
        for tenant in ("noisy", "quiet", "other"):
            orchard.check(tenant)
        yield orchard


def test_ten_times_the_limit_is_cut_down_to_it_and_the_others_do_not_fail(orchard: Orchard) -> None:
    body, headers = binary_call(orchard.models["noisy"].rows[:1])
    answers: Counter[int] = Counter()

    def flood(connection: http.client.HTTPConnection) -> None:
        answers[_ask(connection, "noisy", body, headers).status] += 1
        # Twenty of these are at least ten times the limit.
        time.sleep(0.05)

    began = time.monotonic()
    with _repeated(orchard, flood, threads=20):
        for _ in range(100):
            orchard.check("quiet")
            orchard.check("other")
        while answers[429] < 10 * RATE:
            assert time.monotonic() - began < 60
            time.sleep(0.01)
    took = time.monotonic() - began
    assert set(answers) == {200, 429}
    assert RATE <= answers[200] <= NOISY.burst + 1 + RATE * (took + 1)


def test_too_many_calls_is_json_and_says_when_to_come_back(orchard: Orchard) -> None:
    reply = _until_refused(orchard, "once")
    assert reply.status == 429
    assert reply.headers["retry-after"] == "1"
    assert reply.headers["content-type"] == "application/json"
    assert "too many calls" in json.loads(reply.body)["error"]


def test_metadata_and_statistics_are_counted_too(orchard: Orchard) -> None:
    for path in ("", "/config", "/ready", "/stats", "/versions/1"):
        _until_refused(orchard, "once")
        connection = http.client.HTTPConnection(orchard.node.at.http)
        connection.request("GET", f"/v2/models/once{path}")
        reply = read_reply(connection)
        assert reply.status == 429, path
        assert json.loads(reply.body)["error"]


def test_boto3_sees_throttling_and_a_target_model_counts_as_its_tenant(orchard: Orchard) -> None:
    client = runtime(orchard.node.http_url, NO_RETRIES)
    row = csv_of(orchard.models["once-aws"].rows[:1])
    with pytest.raises(ClientError) as refused:
        _invoke_all(client, ("once-aws.tar.gz", "/once-aws", "once-aws"), row)
    error = refused.value.response
    assert error["Error"]["Code"] == "ThrottlingException"
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert error["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
    # What it has used up is used up for its KServe calls.
    assert _until_refused(orchard, "once-aws", at_most=2).status == 429


def test_boto3_waits_and_is_answered_when_it_may_retry(orchard: Orchard) -> None:
    client = runtime(orchard.node.http_url, Config(retries={"mode": "standard", "total_max_attempts": 8}))
    row = csv_of(orchard.models["brisk"].rows[:1])
    retries = [_retries(client, "brisk.tar.gz", row) for _ in range(4)]
    assert sum(retries) > 0


def test_grpc_is_held_to_the_same_limit(orchard: Orchard) -> None:
    client = tritonclient.grpc.InferenceServerClient(orchard.node.grpc_address)
    asked = _grpc_input(orchard)
    answers: Counter[str] = Counter()
    began = time.monotonic()

    def flood(_: int) -> None:
        try:
            client.infer("noisy", [asked])
            answers["answered"] += 1
        except InferenceServerException as error:
            answers[f"{error.status()} {error.message()}"] += 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(flood, range(10 * RATE)))
        client.infer("quiet", [asked])
    took = time.monotonic() - began
    refusals = [said for said in answers if said != "answered"]
    assert refusals
    assert all(said.startswith(str(grpc.StatusCode.RESOURCE_EXHAUSTED)) for said in refusals)
    assert all("20 calls a second" in said or "4 calls at once" in said for said in refusals)
    assert answers["answered"] <= NOISY.burst + 1 + RATE * (took + 1)


def test_refusals_are_counted(orchard: Orchard) -> None:
    _until_refused(orchard, "once")
    client = tritonclient.grpc.InferenceServerClient(orchard.node.grpc_address)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: _grpc_status(client, orchard), range(20)))
    give_up = time.monotonic() + 20
    while not {"429", "RESOURCE_EXHAUSTED"} <= _statuses(orchard):
        assert time.monotonic() < give_up, _statuses(orchard)
        time.sleep(0.2)


def _retries(client: Any, target: str, body: bytes) -> int:
    answer = client.invoke_endpoint(EndpointName=ENDPOINT, TargetModel=target, Body=body, ContentType="text/csv")
    assert float(answer["Body"].read()) >= 0
    return int(answer["ResponseMetadata"]["RetryAttempts"])


def _invoke_all(client: Any, targets: tuple[str, ...], body: bytes) -> None:
    for target in targets:
        invoke(client, target, body)


def _grpc_status(client: tritonclient.grpc.InferenceServerClient, orchard: Orchard) -> str:
    try:
        client.infer("once", [_grpc_input(orchard)])
    except InferenceServerException as error:
        return str(error.status())
    return "answered"


def _statuses(orchard: Orchard) -> set[str]:
    """With which calls have been answered."""
    connection = http.client.HTTPConnection(orchard.node.at.admin)
    connection.request("GET", "/metrics")
    lines = read_reply(connection).body.decode().splitlines()
    return {line.split('"')[1] for line in lines if line.startswith("orchard_answers_total")}


def _until_refused(orchard: Orchard, tenant: str, at_most: int = 50) -> Reply:
    """Call until the first answer that is no 200."""
    body, headers = binary_call(np.zeros((1, 6), np.float32))
    connection = http.client.HTTPConnection(orchard.node.at.http)
    for _ in range(at_most):
        reply = _ask(connection, tenant, body, headers)
        if reply.status != 200:
            return reply
    raise AssertionError(f"{at_most} calls were all answered")


def _ask(connection: http.client.HTTPConnection, tenant: str, body: bytes, headers: dict[str, str]) -> Reply:
    connection.request("POST", f"/v2/models/{tenant}/infer", body, headers)
    return read_reply(connection)


def _grpc_input(orchard: Orchard) -> tritonclient.grpc.InferInput:
    rows = orchard.models["noisy"].rows[:1]
    asked = tritonclient.grpc.InferInput("input__0", list(rows.shape), "FP32")
    asked.set_data_from_numpy(rows)
    return asked


@contextmanager
def _repeated(orchard: Orchard, work: Callable[[http.client.HTTPConnection], None], threads: int) -> Iterator[None]:
    """`work` over and over in `threads`, each with a kept connection, while the block runs. Raises its first error."""
    stop, errors = threading.Event(), list[BaseException]()

    def run() -> None:
        connection = http.client.HTTPConnection(orchard.node.at.http, timeout=30)
        try:
            while not stop.is_set():
                work(connection)
        except BaseException as error:
            errors.append(error)
        finally:
            with suppress(OSError):
                connection.close()

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in running:
            thread.join()
    assert not errors, errors[0]
