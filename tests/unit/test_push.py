"""Which models of a folder have to be compiled: those whose content or Triton release is not what is live."""

from pathlib import Path

import pytest

from tests.bundles import make_bundle
from tools.catalog.catalog import Catalog
from tools.catalog.folder import FolderStore
from tools.catalog.tenant import TenantId
from tools.compile.batch import Failed
from tools.compile.request import Request
from tools.push import Unchanged, changed_models

MODEL = b'{"learner": {"made": "up"}}'
OTHER = b'{"learner": {"made": "otherwise"}}'


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(FolderStore.connect(tmp_path / "store", create=True))


def request(folder: Path, tenant: str, model: bytes, release: str = "24.10") -> Request:
    path = folder / f"{tenant}.json"
    path.write_bytes(model)
    return Request(path, TenantId(tenant), 9, release)


def publish(catalog: Catalog, folder: Path, tenant: str) -> None:
    # What these bundles name as their source is what they were given as a checkpoint.
    catalog.publish(make_bundle(folder / "bundles", tenant, 1, MODEL))


def test_a_model_that_is_live_is_not_compiled_again(catalog: Catalog, tmp_path: Path) -> None:
    publish(catalog, tmp_path, "m1")
    same = request(tmp_path, "m1", MODEL)
    assert list(changed_models(catalog, [same], 2)) == [Unchanged(same.source, same.tenant)]


def test_new_and_changed_models_are_compiled(catalog: Catalog, tmp_path: Path) -> None:
    publish(catalog, tmp_path, "m1")
    requests = [request(tmp_path, "m1", OTHER), request(tmp_path, "m2", MODEL)]
    found = list(changed_models(catalog, requests, 2))
    assert sorted(found, key=str) == sorted(requests, key=str)


def test_a_model_that_is_live_for_another_triton_release_is_compiled_again(catalog: Catalog, tmp_path: Path) -> None:
    publish(catalog, tmp_path, "m1")
    newer = request(tmp_path, "m1", MODEL, release="25.09")
    assert list(changed_models(catalog, [newer], 2)) == [newer]


def test_a_model_whose_pointer_is_damaged_is_compiled_again(catalog: Catalog, tmp_path: Path) -> None:
    publish(catalog, tmp_path, "m1")
    (tmp_path / "store" / "m1" / "live.json").write_text("{}")
    same = request(tmp_path, "m1", MODEL)
    assert list(changed_models(catalog, [same], 2)) == [same]


def test_a_file_that_is_no_model_fails_alone(catalog: Catalog, tmp_path: Path) -> None:
    bad, good = request(tmp_path, "m1", b"\x80\x04pickle"), request(tmp_path, "m2", MODEL)
    found = {result.tenant: result for result in changed_models(catalog, [bad, good], 2)}
    assert found[good.tenant] == good
    assert isinstance(found[bad.tenant], Failed)
    assert "pickle" in found[bad.tenant].reason  # type: ignore[union-attr]
