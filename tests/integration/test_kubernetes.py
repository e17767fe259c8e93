"""The Kubernetes manifests: valid, consistent with each other, and with commands that exist."""

import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from sidecar.settings import Settings
from typer.testing import CliRunner

from tools.cli import app
from tools.fleet.description import SHARED, read_fleet
from tools.gateway import find_scripting, nginx_binary

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
# Kinds of operators, which the API's own schemas do not have.
OTHERS_KINDS = {"ScaledObject", "ServiceMonitor"}


def _objects() -> list[dict[str, Any]]:
    texts = [(FOLDER / name).read_text() for name in KUSTOMIZATION["resources"]]
    return [each for text in texts for each in yaml.safe_load_all(text)]


def _object(kind: str, name: str) -> dict[str, Any]:
    return next(each for each in _objects() if (each["kind"], each["metadata"]["name"]) == (kind, name))


def _pods() -> list[dict[str, Any]]:
    return [each["spec"]["template"] for each in _objects() if "template" in each.get("spec", {})]


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]


@pytest.mark.parametrize("described", _objects(), ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_each_object_is_what_its_schema_asks_for(described: dict[str, Any]) -> None:
    if described["kind"] in OTHERS_KINDS:
        assert set(described) == {"apiVersion", "kind", "metadata", "spec"}
    else:
        kubernetes_validate.validate(described, "1.31", strict=True)


def test_every_manifest_is_applied() -> None:
    named = {*KUSTOMIZATION["resources"], *KUSTOMIZATION["configMapGenerator"][0]["files"], "kustomization.yaml"}
    assert {path.name for path in FOLDER.iterdir()} == named


def test_the_front_knows_every_node_there_can_be() -> None:
    most = _object("ScaledObject", "node")["spec"]["maxReplicaCount"]
    node, namespace = _object("StatefulSet", "node"), KUSTOMIZATION["namespace"]
    name, service = node["metadata"]["name"], node["spec"]["serviceName"]
    named = [f"{name}-{number}.{service}.{namespace}.svc.cluster.local:8000" for number in range(most)]
    assert list(read_fleet(FOLDER / "fleet.yaml").pools[SHARED].nodes) == named  # type: ignore[arg-type]


def test_every_selector_finds_pods() -> None:
    labels = [pod["metadata"]["labels"] for pod in _pods()]
    for each in _objects():
        spec = each.get("spec", {})
        selector = spec.get("selector") or spec.get("podSelector") or {}
        wanted = selector.get("matchLabels", selector if each["kind"] == "Service" else {})
        if each["kind"] == "ServiceMonitor":
            labels_there = [item["metadata"]["labels"] for item in _objects() if item["kind"] == "Service"]
            assert any(wanted.items() <= there.items() for there in labels_there)
        elif wanted:
            assert any(wanted.items() <= there.items() for there in labels), each["metadata"]["name"]


def test_containers_are_confined() -> None:
    for pod in _pods():
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        assert not pod["spec"]["automountServiceAccountToken"]
        for container in _containers(pod):
            confined = container["securityContext"]
            assert confined["readOnlyRootFilesystem"], container["name"]
            assert not confined["allowPrivilegeEscalation"], container["name"]
            assert confined["capabilities"] == {"drop": ["ALL"]}, container["name"]
            assert "memory" in container["resources"]["limits"], container["name"]


def test_every_volume_that_is_mounted_is_there() -> None:
    for each in _objects():
        if "template" in each.get("spec", {}):
            pod = each["spec"]["template"]["spec"]
            claims = [claim["metadata"]["name"] for claim in each["spec"].get("volumeClaimTemplates", [])]
            there = {*claims, *(volume["name"] for volume in pod["volumes"])}
            for container in [*pod["initContainers"], *pod["containers"]]:
                assert {mount["name"] for mount in container["volumeMounts"]} <= there, container["name"]


def test_the_sidecar_takes_its_settings() -> None:
    literals = dict(literal.split("=", 1) for literal in KUSTOMIZATION["configMapGenerator"][1]["literals"])
    (sidecar,) = [each for pod in _pods() for each in pod["spec"]["containers"] if each["image"] == "orchard/sidecar"]
    limits = {each["name"]: each["resources"]["limits"]["memory"] for each in _pods()[0]["spec"]["containers"]}
    set_here = {each["name"]: _value(each, limits) for each in sidecar["env"]}
    settings = Settings.from_environment({**literals, **set_here})
    assert settings.memory_limit == int(limits["triton"].removesuffix("Gi")) << 30
    assert settings.memory_budget * 4 / 3 <= int(limits["triton"].removesuffix("Gi")) << 30


def _value(variable: dict[str, Any], memory_limits: dict[str, str]) -> str:
    """What Kubernetes would give the container, but for the unit: it gives bytes."""
    if "value" in variable:
        return str(variable["value"])
    field = variable["valueFrom"]["resourceFieldRef"]
    assert field["resource"] == "limits.memory"
    return memory_limits[field["containerName"]]


@pytest.mark.parametrize("pod", _pods(), ids=lambda pod: pod["metadata"]["labels"]["app.kubernetes.io/component"])
def test_what_the_init_container_writes_is_taken_by_nginx(pod: dict[str, Any], tmp_path: Path) -> None:
    (container,) = pod["spec"]["initContainers"]
    verb, *options = container["command"][1:]
    replaced: dict[str, object] = {
        "--out": tmp_path,
        "--fleet": FOLDER / "fleet.yaml",
        "--calls-log": tmp_path / "calls.log",
    }
    replaced |= {"--resolver": "127.0.0.1"}
    if find_scripting(nginx_binary()):
        replaced |= {"--njs": "built-in"}
    here = [f"{name}={replaced.get(name, value)}" for name, _, value in (each.partition("=") for each in options)]
    rendered = CliRunner().invoke(app, [verb, *here, f"--folder={tmp_path}", "--listen=127.0.0.1:29100"])
    assert rendered.exit_code == 0, rendered.output
    check = [str(nginx_binary()), "-t", "-q", "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]
    checked = subprocess.run(check, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
