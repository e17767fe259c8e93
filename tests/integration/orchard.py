"""A whole node with tenants in its store, as the tests of this folder use one."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import requests

from tests.models import Rows, Trained
from tools.catalog.catalog import Catalog
from tools.catalog.manifest import Manifest
from tools.catalog.store import open_store
from tools.catalog.tenant import tenant_id
from tools.compile.batch import Compiled, compile_models, new_version
from tools.compile.children import Limits
from tools.compile.config import DEFAULT_RELEASE
from tools.compile.request import Request
from tools.node_settings import NodeSettings
from tools.stack import Node

COLD_HEADER = "Orchard-Cold"


@dataclass
class Orchard:
    """A store and a node on it. `models` are the published models by tenant."""

    folder: Path
    node: Node
    models: dict[str, Trained] = field(default_factory=dict)

    def publish(self, **models: Trained) -> dict[str, Manifest]:
        """Compile, prove and publish models as the tenants they are named for, `_` standing for `-`."""
        named = {name.replace("_", "-"): model for name, model in models.items()}
        manifests = publish(self.folder, named, self.node.settings.store)
        self.models.update(named)
        return manifests

    def ask(self, tenant: str, rows: Rows | None = None, **options: Any) -> requests.Response:
        """POST rows to the tenant through the front, as JSON with binary data."""
        asked = self.models[tenant].rows[:3] if rows is None else rows
        body, headers = binary_call(asked)
        return requests.post(self.url(tenant), data=body, headers=headers, timeout=60, **options)

    def check(self, tenant: str, rows: Rows | None = None) -> requests.Response:
        """Ask, and hold the answer against XGBoost's."""
        asked = self.models[tenant].rows[:3] if rows is None else rows
        response = self.ask(tenant, asked)
        assert response.status_code == 200, response.text
        assert_answers(self.models[tenant], asked, answered(response))
        return response

    def url(self, tenant: str, rest: str = "/infer") -> str:
        """A model's public address."""
        return f"{self.node.http_url}/v2/models/{tenant}{rest}"

    def status(self) -> dict[str, Any]:
        """What the admin port's /status says."""
        status: dict[str, Any] = requests.get(f"{self.node.admin_url}/status", timeout=10).json()
        return status

    def residents(self) -> set[str]:
        """The tenants in memory."""
        return {slot["tenant"] for slot in self.status()["tenants"] if slot["state"] == "resident"}

    def loads(self) -> int:
        """Cold starts so far."""
        return int(self.status()["loads"])

    def unload(self, tenant: str) -> None:
        """Unload by hand."""
        assert requests.delete(f"{self.node.admin_url}/models/{tenant}", timeout=10).status_code == 200


def settings_for(folder: Path, **changes: Any) -> NodeSettings:
    """A node with everything in `folder` and every port picked free."""
    (folder / "store").mkdir(parents=True, exist_ok=True)
    chosen: dict[str, Any] = {
        "store": str(folder / "store"),
        "state": folder / "state",
        "repository": folder / "repository",
        "http_port": 0,
        "grpc_port": 0,
        "admin_port": 0,
        "memory_budget": "64MiB",
        **changes,
    }
    return NodeSettings(**chosen)


def publish(folder: Path, models: dict[str, Trained], store: str) -> dict[str, Manifest]:
    """Compile, prove and publish `models`, by tenant."""
    sources = folder / "models"
    sources.mkdir(parents=True, exist_ok=True)
    version = new_version()
    asked = []
    for tenant, model in models.items():
        source = sources / f"{tenant}.ubj"
        model.booster.save_model(source)
        asked.append(Request(source, tenant_id(tenant), version, DEFAULT_RELEASE))
    catalog = Catalog(open_store(store, create=True))
    manifests = {}
    for result in compile_models(asked, folder / "bundles", 2, Limits()):
        assert isinstance(result, Compiled), result
        manifests[str(result.manifest.tenant)] = catalog.publish(result.bundle).pointer.manifest
    return manifests


def binary_call(rows: Rows, binary_answer: bool = False) -> tuple[bytes, dict[str, str]]:
    """A KServe call with binary data, which may ask for binary data back: the body and its headers."""
    data = np.ascontiguousarray(rows, np.float32).tobytes()
    tensor = {
        "name": "input__0",
        "shape": list(rows.shape),
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(data)},
    }
    call = {"inputs": [tensor], "parameters": {"binary_data_output": binary_answer}}
    header = json.dumps(call).encode()
    return header + data, {"Inference-Header-Content-Length": str(len(header))}


def answered(response: requests.Response) -> Rows:
    """The numbers in a JSON answer, in their shape."""
    output = response.json()["outputs"][0]
    assert output["name"] == "output__0"
    return np.asarray(output["data"], np.float32).reshape(output["shape"])


def assert_answers(model: Trained, rows: Rows, answer: Rows) -> None:
    """An answer is XGBoost's: probabilities to 1e-5, with a column for each of two classes; values to 1e-6 of them."""
    expected = model.expected(rows)
    if answer.ndim == 2 and expected.ndim == 1:
        np.testing.assert_allclose(answer.sum(axis=1), 1.0, atol=1e-5)
        answer = answer[:, 1]
    assert answer.shape == expected.shape
    np.testing.assert_allclose(answer, expected, atol=1e-5, rtol=1e-6)
