"""`orchard restart`: one part at a time under load, and no call for a tenant in memory fails."""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pytest
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from tests.integration.crashes import Mender, Steady
from tests.integration.orchard import Orchard, assert_answers, settings_for
from tests.models import Rows, train
from tools.gateway import nginx_binary, spares_connections
from tools.node_parts import PARTS
from tools.stack import Node

ORCHARD = str(Path(sys.executable).with_name("orchard"))
RATE = 100.0
TENANTS = ("a", "b", "c")
# What a gRPC client needs to see nothing of a restart: it waits for the port, and asks again when a connection breaks,
# or when the server ends between taking a call and handling it.
PATIENT = {
    "methodConfig": [
        {
            "name": [{}],
            "waitForReady": True,
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ]
}


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchard]:
    folder = tmp_path_factory.mktemp("restarts")
    settings = settings_for(folder, memory_budget=10**9)
    orchard = Orchard(folder, Node(settings))
    orchard.publish(**{tenant: train("binary:logistic", seed=number) for number, tenant in enumerate(TENANTS)})
    with Node(settings) as node, Mender(node):
        orchard.node = node
        for tenant in TENANTS:
            orchard.check(tenant)
        yield orchard


@pytest.mark.parametrize("part", PARTS)
def test_no_http_call_for_a_tenant_in_memory_fails(orchard: Orchard, part: str) -> None:
    if part == "nginx" and not spares_connections(nginx_binary()):
        pytest.skip("a reload of this nginx may end connections that are kept")
    with (
        SageMakerCalls(orchard) as sagemaker,
        Steady(orchard.node.at.http, orchard.models, TENANTS, RATE) as steady,
    ):
        time.sleep(0.5)
        restart(orchard, part)
        time.sleep(1.0)
    assert steady.failed == []
    assert steady.wrong == []
    assert set(sagemaker.statuses) == {200}, sagemaker.statuses
    print(
        f"\n{part}: {len(steady.replies)} calls, the slowest took {max(each.seconds for each in steady.replies):.2f} s"
    )


@pytest.mark.parametrize("part", PARTS)
def test_a_grpc_client_that_waits_and_retries_sees_no_failure(orchard: Orchard, part: str) -> None:
    options = [("grpc.service_config", json.dumps(PATIENT)), ("grpc.max_reconnect_backoff_ms", 500)]
    client = tritonclient.grpc.InferenceServerClient(orchard.node.grpc_address, channel_args=options)
    restarting = restart_beside(orchard, part)
    rows = orchard.models["a"].rows[:3]
    calls = 0
    while restarting.is_alive():
        assert_answers(orchard.models["a"], rows, grpc_answer(client, "a", rows))
        calls += 1
    assert calls


def test_a_plain_grpc_client_sees_only_that_its_call_was_not_handled_while_the_sidecar_restarts(
    orchard: Orchard,
) -> None:
    client = tritonclient.grpc.InferenceServerClient(orchard.node.grpc_address)
    restarting = restart_beside(orchard, "sidecar")
    seen = Counter[str]()
    while restarting.is_alive():
        try:
            grpc_answer(client, "a", orchard.models["a"].rows[:3])
            seen["fine"] += 1
        except InferenceServerException as error:
            seen[error.status()] += 1
            time.sleep(0.02)
    assert set(seen) <= {"fine", "StatusCode.UNAVAILABLE", "StatusCode.CANCELLED"}


def test_a_part_that_is_none_or_a_node_that_is_not_there_is_refused(orchard: Orchard, tmp_path: Path) -> None:
    assert run("restart", "disk", "--state", str(orchard.node.settings.state)).returncode == 2
    refused = run("restart", "nginx", "--state", str(tmp_path))
    assert refused.returncode == 1
    assert "no node is running" in refused.stderr


class SageMakerCalls:
    """While entered, calls of the SageMaker runtime API, one after the other. `statuses` counts how they ended."""

    def __init__(self, orchard: Orchard) -> None:
        self._address = orchard.node.at.http
        rows = np.nan_to_num(orchard.models["a"].rows[:1])
        self._body = ",".join(f"{value:.4f}" for value in rows[0])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.statuses = Counter[int]()

    def __enter__(self) -> Self:
        self._call()  # once, so that the front knows how answers are written
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            self._call()

    def _call(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=30)
        headers = {"Content-Type": "text/csv", "X-Amzn-SageMaker-Target-Model": "a.tar.gz"}
        connection.request("POST", "/endpoints/fraud/invocations", self._body, headers)
        self.statuses[connection.getresponse().status] += 1
        connection.close()


def restart(orchard: Orchard, part: str) -> None:
    done = run("restart", part, "--state", str(orchard.node.settings.state))
    assert done.returncode == 0, done.stderr
    assert f"{part} is ready again" in done.stdout


def restart_beside(orchard: Orchard, part: str) -> threading.Thread:
    """A running thread that restarts the part, and ends a moment after it is ready again."""

    def work() -> None:
        restart(orchard, part)
        time.sleep(0.5)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ORCHARD, *arguments], capture_output=True, text=True, check=False, timeout=90)


def grpc_answer(client: tritonclient.grpc.InferenceServerClient, tenant: str, rows: Rows) -> Rows:
    tensor = tritonclient.grpc.InferInput("input__0", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(np.ascontiguousarray(rows))
    return np.asarray(client.infer(tenant, [tensor], client_timeout=30).as_numpy("output__0"), np.float32)
