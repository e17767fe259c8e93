"""A whole node that asks for API keys: unmodified clients carry them, and keys come and go while it runs."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import tritonclient.grpc
import tritonclient.http
from botocore.exceptions import ClientError
from tritonclient.utils import InferenceServerException
from typer.testing import CliRunner

from tests.integration.fleets import running_fleet
from tests.integration.orchard import Orchard, assert_answers, binary_call, publish, settings_for
from tests.integration.sagemaker import csv_of, invoke, runtime
from tests.models import FEATURES, train
from tools.access.keys import add_key
from tools.catalog.tenant import tenant_id
from tools.cli import app
from tools.gateway import find_scripting, nginx_binary
from tools.stack import Node

pytestmark = pytest.mark.skipif(find_scripting(nginx_binary()) is None, reason="this nginx has no JavaScript")


@dataclass
class Keyed:
    """A node on a file of keys: `a` may call tenant a, `all` all."""

    orchard: Orchard
    file: Path
    a: str
    all: str
    state: Path = field(init=False)

    def __post_init__(self) -> None:
        self.state = self.orchard.node.settings.state

    def call(self, tenant: str, headers: dict[str, str]) -> requests.Response:
        """A KServe call."""
        body, own = binary_call(self.orchard.models["a"].rows[:1])
        return requests.post(self.orchard.url(tenant), data=body, headers=own | headers, timeout=30)

    def keys(self, verb: str, *arguments: str) -> str:
        """`orchard keys`; returns what it writes to standard output."""
        options = [*arguments, "--file", str(self.file)] + ([] if verb == "list" else ["--state", str(self.state)])
        ran = CliRunner().invoke(app, ["keys", verb, *options])
        assert ran.exit_code == 0, ran.output
        return ran.stdout.strip()


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    folder = tmp_path_factory.mktemp("keys")
    file = folder / "api-keys"
    a, _ = add_key(file, "a", frozenset({tenant_id("a")}))
    everything, _ = add_key(file, "all", None)
    with Node(settings_for(folder, api_keys=file)) as node:
        orchard = Orchard(folder, node)
        model = train("binary:logistic")
        orchard.publish(a=model, b=model)
        yield Keyed(orchard, file, a, everything)


@pytest.mark.parametrize("carry", [lambda key: {"X-Api-Key": key}, lambda key: {"Authorization": f"Bearer {key}"}])
def test_a_key_opens_its_tenant_cold_and_warm(keyed: Keyed, carry: Callable[[str], dict[str, str]]) -> None:
    for _ in range(2):
        assert keyed.call("a", carry(keyed.a)).status_code == 200
        assert keyed.call("b", carry(keyed.all)).status_code == 200


def test_a_call_without_a_known_key_is_told_how_to_carry_one(keyed: Keyed) -> None:
    for headers in ({}, {"X-Api-Key": "orchard_guess"}, {"Authorization": "Basic YTpi"}):
        refused = keyed.call("a", headers)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert "X-Api-Key" in refused.json()["error"]


def test_whether_another_tenant_exists_is_not_told(keyed: Keyed) -> None:
    there, not_there = (keyed.call(tenant, {"X-Api-Key": keyed.a}) for tenant in ("b", "nobody"))
    assert there.status_code == not_there.status_code == 403
    assert there.content == not_there.content


def test_health_is_public_and_nothing_else(keyed: Keyed) -> None:
    url = keyed.orchard.node.http_url
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert requests.get(url + path, timeout=10).status_code == 200
    for path in ("/v2", "/v2/models/a", "/v2/models/a/config", "/v2/models/a/ready", "/v2/models/a/stats"):
        keyed.call("a", {"X-Api-Key": keyed.a})
        assert requests.get(url + path, timeout=10).status_code == 401, path
        assert requests.get(url + path, headers={"X-Api-Key": keyed.a}, timeout=10).status_code == 200, path


def test_tritonclient_carries_a_key_in_its_headers(keyed: Keyed) -> None:
    client = tritonclient.http.InferenceServerClient(keyed.orchard.node.at.http)
    rows = keyed.orchard.models["a"].rows[:4]
    asked = tritonclient.http.InferInput("input__0", list(rows.shape), "FP32")
    asked.set_data_from_numpy(rows)
    answer = client.infer("a", [asked], headers={"Authorization": f"Bearer {keyed.a}"})
    assert_answers(keyed.orchard.models["a"], rows, answer.as_numpy("output__0"))
    with pytest.raises(InferenceServerException, match="may not call"):
        client.infer("b", [asked], headers={"Authorization": f"Bearer {keyed.a}"})


def test_an_unmodified_boto3_client_carries_a_key_as_its_access_key_id(keyed: Keyed) -> None:
    row = csv_of(keyed.orchard.models["a"].rows[:1])
    ours = runtime(keyed.orchard.node.http_url, access_key=keyed.a)
    for _ in range(3):  # By the sidecar, then by nginx's script.
        assert float(invoke(ours, "a.tar.gz", row)) == pytest.approx(keyed.orchard.models["a"].expected()[0], abs=1e-5)
    assert _code(lambda: invoke(ours, "b.tar.gz", row)) == ("AccessDeniedException", 403)
    assert _code(lambda: invoke(ours, "nobody.tar.gz", row)) == ("AccessDeniedException", 403)
    stranger = runtime(keyed.orchard.node.http_url)
    assert _code(lambda: invoke(stranger, "a.tar.gz", row)) == ("UnrecognizedClientException", 401)


def test_grpc_takes_the_key_from_metadata(keyed: Keyed) -> None:
    client = tritonclient.grpc.InferenceServerClient(keyed.orchard.node.grpc_address)
    rows = keyed.orchard.models["a"].rows[:4]
    asked = tritonclient.grpc.InferInput("input__0", list(rows.shape), "FP32")
    asked.set_data_from_numpy(rows)
    for headers in ({"authorization": f"Bearer {keyed.a}"}, {"x-api-key": keyed.a}):
        answer = client.infer("a", [asked], headers=headers)
        assert_answers(keyed.orchard.models["a"], rows, answer.as_numpy("output__0"))
        for call in (
            lambda: client.infer("b", [asked], headers=headers),  # noqa: B023 - called at once
            lambda: client.get_model_metadata("b", headers=headers),  # noqa: B023
            lambda: client.get_inference_statistics("nobody", headers=headers),  # noqa: B023
            lambda: client.is_model_ready("b", headers=headers),  # noqa: B023
        ):
            assert _grpc_status(call) == "StatusCode.PERMISSION_DENIED"
    assert client.is_server_live()
    assert client.is_server_ready()
    assert _grpc_status(lambda: client.infer("a", [asked])) == "StatusCode.UNAUTHENTICATED"
    assert _grpc_status(client.get_server_metadata) == "StatusCode.UNAUTHENTICATED"


def test_a_key_made_while_the_node_runs_counts_and_one_revoked_does_not(keyed: Keyed) -> None:
    client = tritonclient.grpc.InferenceServerClient(keyed.orchard.node.grpc_address)
    secret = keyed.keys("new", "--tenants", "a,b", "--name", "late")
    _await(lambda: keyed.call("b", {"X-Api-Key": secret}).status_code == 200)
    _await(lambda: client.is_model_ready("b", headers={"x-api-key": secret}))
    assert "late" in keyed.keys("list")
    assert secret not in keyed.keys("list")

    keyed.keys("revoke", "late")
    _await(lambda: keyed.call("b", {"X-Api-Key": secret}).status_code == 401)
    _await(
        lambda: (
            _grpc_status(lambda: client.is_model_ready("b", headers={"x-api-key": secret}))
            == "StatusCode.UNAUTHENTICATED"
        )
    )
    assert keyed.call("a", {"X-Api-Key": keyed.a}).status_code == 200


def test_no_call_fails_while_keys_change(keyed: Keyed) -> None:
    keyed.call("a", {"X-Api-Key": keyed.a})
    for number in range(3):
        keyed.keys("new", "--tenants", "a", "--name", f"n{number}")
        for _ in range(20):
            assert keyed.call("a", {"X-Api-Key": keyed.a}).status_code == 200


def test_a_fleet_asks_for_keys_at_its_nodes_and_takes_changes_up(tmp_path: Path) -> None:
    file = tmp_path / "api-keys"
    secret, _ = add_key(file, "shop", None)
    publish(tmp_path, {"a": train("binary:logistic")}, settings_for(tmp_path).store)
    body, own = binary_call(np.zeros((1, FEATURES), np.float32))
    with running_fleet(tmp_path, {"shared": {"nodes": 1, "memory_budget": "64MiB"}}, api_keys=file) as fleet:

        def status(headers: dict[str, str]) -> int:
            url = f"{fleet.http_url}/v2/models/a/infer"
            return requests.post(url, data=body, headers=own | headers, timeout=30).status_code

        assert status({"X-Api-Key": secret}) == 200
        assert status({}) == 401
        told = CliRunner().invoke(
            app, ["keys", "revoke", "shop", "--file", str(file), "--state", str(tmp_path / "state")]
        )
        assert "taken up by 1 running node" in told.output
        _await(lambda: status({"X-Api-Key": secret}) == 401)


def _code(call: Callable[[], Any]) -> tuple[str, int]:
    with pytest.raises(ClientError) as refused:
        call()
    response = refused.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def _grpc_status(call: Callable[[], Any]) -> str:
    try:
        call()
    except InferenceServerException as error:
        return str(error.status())
    return "answered"


def _await(is_so: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 20
    while True:
        try:
            if is_so():
                return
        except InferenceServerException:
            pass
        assert time.monotonic() < give_up
        time.sleep(0.1)
