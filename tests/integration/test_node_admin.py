"""The admin port speaks the multi-model container contract."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.integration.orchard import Orchard, answered, assert_answers, binary_call, settings_for
from tests.models import train
from tools.stack import Node


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchard]:
    folder = tmp_path_factory.mktemp("admin")
    with Node(settings_for(folder)) as node:
        orchard = Orchard(folder, node)
        orchard.publish(m1=train("binary:logistic"), m2=train("reg:squarederror"))
        yield orchard


@pytest.fixture(autouse=True)
def nothing_loaded(orchard: Orchard) -> None:
    for tenant in orchard.residents():
        orchard.unload(tenant)


def admin(orchard: Orchard, method: str, path: str, **options: Any) -> requests.Response:
    return requests.request(method, orchard.node.admin_url + path, timeout=30, **options)


def test_ping_is_healthy(orchard: Orchard) -> None:
    assert admin(orchard, "GET", "/ping").status_code == 200


def test_load_list_describe_invoke_and_unload(orchard: Orchard) -> None:
    assert admin(orchard, "GET", "/models").json() == {"models": []}
    loaded = admin(orchard, "POST", "/models", json={"model_name": "m1", "url": "/opt/ml/models/m1"})
    assert loaded.status_code == 200, loaded.text
    described = {"modelName": "m1", "modelUrl": f"{orchard.node.settings.store}/m1"}
    assert admin(orchard, "GET", "/models").json() == {"models": [described]}
    assert admin(orchard, "GET", "/models/m1").json() == described
    rows = orchard.models["m1"].rows[:3]
    body, headers = binary_call(rows)
    invoked = admin(orchard, "POST", "/models/m1/invoke", data=body, headers=headers)
    assert_answers(orchard.models["m1"], rows, answered(invoked))
    assert admin(orchard, "DELETE", "/models/m1").status_code == 200
    assert admin(orchard, "GET", "/models").json() == {"models": []}


def test_loading_what_is_loaded_is_a_409(orchard: Orchard) -> None:
    orchard.check("m1")
    response = admin(orchard, "POST", "/models", json={"model_name": "m1"})
    assert response.status_code == 409
    assert "loaded already" in response.json()["error"]


def test_loading_what_there_is_not_is_a_404(orchard: Orchard) -> None:
    assert admin(orchard, "POST", "/models", json={"model_name": "nobody"}).status_code == 404


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model_name": 3}', b'{"model_name": "../m1"}', b'{"url": "x"}'])
def test_a_load_that_names_no_tenant_is_a_400(orchard: Orchard, body: bytes) -> None:
    assert admin(orchard, "POST", "/models", data=body).status_code == 400


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/invoke")])
def test_what_is_not_loaded_is_a_404(orchard: Orchard, method: str, path: str) -> None:
    response = admin(orchard, method, "/models/m1" + path, data=b"{}")
    assert response.status_code == 404
    assert "POST /models loads it" in response.json()["error"]
    assert orchard.residents() == set()


def test_loading_again_brings_a_new_version_at_once(orchard: Orchard) -> None:
    orchard.check("m2")
    orchard.publish(m2=train("reg:squarederror", seed=9))
    assert admin(orchard, "POST", "/models", json={"model_name": "m2"}).status_code == 200
    orchard.check("m2")
