"""A wrong call gets its status and a message that says what is wrong, and loads nothing; warm and cold alike."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import requests

from tests.integration.orchard import Orchard, settings_for
from tests.models import train
from tools.stack import Node


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchard]:
    folder = tmp_path_factory.mktemp("bad-calls")
    with Node(settings_for(folder)) as node:
        orchard = Orchard(folder, node)
        orchard.publish(warm=train("binary:logistic"), cold=train("binary:logistic"))
        orchard.check("warm")
        yield orchard
        # After everything that was thrown at it:
        assert "cold" not in orchard.residents()
        orchard.check("warm")


def call(**changes: Any) -> bytes:
    tensor = {"name": "input__0", "shape": [1, 6], "datatype": "FP32", "data": [0, 1, 2, 3, 4, 5], **changes}
    return json.dumps({"inputs": [tensor]}).encode()


WRONG = {
    "not JSON": b"{",
    "empty": b"",
    "no inputs": b"{}",
    "too few features": call(shape=[1, 5], data=[0, 1, 2, 3, 4]),
    "too many features": call(shape=[1, 7], data=[0, 1, 2, 3, 4, 5, 6]),
    "one dimension": call(shape=[6]),
    "no rows": call(shape=[0, 6], data=[]),
    "another dtype": call(datatype="FP64"),
    "an unknown dtype": call(datatype="POTATO"),
    "another name": call(name="input__9"),
    "text for numbers": call(data=["a", "b", "c", "d", "e", "f"]),
    "fewer values than the shape says": call(shape=[2, 6]),
    "more rows than a call may hold": call(shape=[9000, 6], data=[0.0] * 54_000),
    "an output there is not": call()[:-1] + b', "outputs": [{"name": "output__9"}]}',
}


@pytest.mark.parametrize("tenant", ["warm", "cold"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_call_is_a_400_with_a_message(orchard: Orchard, tenant: str, wrong: str) -> None:
    before = orchard.loads()
    response = requests.post(orchard.url(tenant), data=WRONG[wrong], timeout=30)
    assert response.status_code == 400, response.text
    assert response.json()["error"]
    assert orchard.loads() == before


@pytest.mark.parametrize("tenant", ["warm", "cold"])
@pytest.mark.parametrize("announced", [10, 10_000, 24])
def test_a_binary_call_whose_sizes_lie_is_a_400(orchard: Orchard, tenant: str, announced: int) -> None:
    header = json.dumps(
        {
            "inputs": [
                {
                    "name": "input__0",
                    "shape": [1, 6],
                    "datatype": "FP32",
                    "parameters": {"binary_data_size": announced},
                }
            ]
        }
    ).encode()
    body = header + np.zeros(5, np.float32).tobytes()
    response = requests.post(
        orchard.url(tenant), data=body, headers={"Inference-Header-Content-Length": str(len(header))}, timeout=30
    )
    assert response.status_code == 400, response.text
    assert response.json()["error"]


def test_an_unknown_tenant_is_a_404_that_says_what_to_do(orchard: Orchard) -> None:
    response = requests.post(orchard.url("nobody"), data=call(), timeout=30)
    assert response.status_code == 404
    assert response.json() == {"error": "tenant 'nobody' is not in the store: publish it, or check the name"}


@pytest.mark.parametrize("name", ["Warm", "warm!", "-warm", "%2e%2e", "w" * 129])
def test_what_is_no_tenant_id_is_a_400_that_says_what_one_is(orchard: Orchard, name: str) -> None:
    response = requests.post(orchard.url(name), data=call(), timeout=30)
    assert response.status_code == 400
    assert "tenant id" in response.json()["error"]


@pytest.mark.parametrize("tenant", ["warm", "cold"])
def test_a_version_that_is_not_live_is_a_404_that_names_the_live_one(orchard: Orchard, tenant: str) -> None:
    before = orchard.loads()
    response = requests.post(orchard.url(tenant, "/versions/7/infer"), data=call(), timeout=30)
    assert response.status_code == 404
    assert "serves version" in response.json()["error"]
    assert orchard.loads() == before


def test_the_live_version_can_be_named(orchard: Orchard) -> None:
    version = next(slot["version"] for slot in orchard.status()["tenants"] if slot["tenant"] == "warm")
    response = requests.post(orchard.url("warm", f"/versions/{version}/infer"), data=call(), timeout=30)
    assert response.status_code == 200, response.text
    assert response.json()["model_version"] == str(version)


@pytest.mark.parametrize("tenant", ["warm", "cold"])
def test_a_body_over_64_mb_is_a_413(orchard: Orchard, tenant: str) -> None:
    response = requests.post(orchard.url(tenant), data=bytes(65 * 2**20), timeout=60)
    assert response.status_code == 413
    assert response.json()["error"]


def test_readiness_of_a_tenant_loads_nothing(orchard: Orchard) -> None:
    assert requests.get(orchard.url("cold", "/ready"), timeout=30).status_code == 200
    assert requests.get(orchard.url("nobody", "/ready"), timeout=30).status_code == 404
    assert "cold" not in orchard.residents()
