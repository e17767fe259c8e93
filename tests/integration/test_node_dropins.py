"""Drop-in archives: served on the first call, replaced when the object changes, and hostile ones touch nothing."""

import io
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.orchard import COLD_HEADER, Orchard, settings_for
from tests.models import Trained, train
from tools.stack import Node


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchard]:
    folder = tmp_path_factory.mktemp("dropins")
    with Node(settings_for(folder)) as node:
        orchard = Orchard(folder, node)
        orchard.publish(neighbour=train("binary:logistic"))
        orchard.check("neighbour")
        yield orchard


def drop_in(orchard: Orchard, tenant: str, members: dict[str, bytes | tarfile.TarInfo]) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    Path(orchard.node.settings.store, f"{tenant}.tar.gz").write_bytes(packed.getvalue())


def drop_model(orchard: Orchard, tenant: str, model: Trained) -> None:
    drop_in(orchard, tenant, {"xgboost-model": bytes(model.booster.save_raw("ubj"))})
    orchard.models[tenant] = model


def test_an_archive_is_served_on_first_call_and_comes_back_from_disk(orchard: Orchard) -> None:
    drop_model(orchard, "dropped", train("multi:softprob", num_class=3))
    assert orchard.check("dropped").headers[COLD_HEADER] == "fetch"
    assert COLD_HEADER not in orchard.check("dropped").headers
    orchard.unload("dropped")
    assert orchard.check("dropped").headers[COLD_HEADER] == "disk"


def test_a_replaced_archive_is_compiled_anew(orchard: Orchard) -> None:
    drop_model(orchard, "replaced", train("binary:logistic", seed=1))
    orchard.check("replaced")
    orchard.unload("replaced")
    drop_model(orchard, "replaced", train("binary:logistic", seed=2))
    assert orchard.check("replaced").headers[COLD_HEADER] == "fetch"


def link() -> tarfile.TarInfo:
    info = tarfile.TarInfo("xgboost-model")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return info


def device() -> tarfile.TarInfo:
    info = tarfile.TarInfo("xgboost-model")
    info.type = tarfile.CHRTYPE
    return info


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, ("/tmp/orchard-evil", "w"))


HOSTILE: dict[str, dict[str, bytes | tarfile.TarInfo]] = {
    "traversal": {"../../escaped": b"x", "xgboost-model": b"x"},
    "absolute": {"/tmp/escaped": b"x"},
    "link": {"xgboost-model": link()},
    "device": {"xgboost-model": device()},
    "pickle": {"model.pkl": pickle.dumps(Evil())},
    "bomb": {"xgboost-model": bytes(300 * 2**20)},
    "garbage": {"xgboost-model": b"\x00\xff" * 1000},
    "nothing": {},
    "cut": {"xgboost-model": bytes(train("binary:logistic").booster.save_raw("ubj"))[:2000]},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_with_a_reason_and_touches_nothing(orchard: Orchard, kind: str) -> None:
    tenant = f"hostile-{kind}"
    drop_in(orchard, tenant, HOSTILE[kind])
    rows = orchard.models["neighbour"].rows[:1]
    response = orchard.ask(tenant, rows)
    assert response.status_code == 500
    assert "cannot be served" in response.json()["error"]
    assert not (orchard.node.settings.repository / tenant).exists()
    assert list((orchard.node.settings.repository / ".staging").iterdir()) == []
    assert not Path("/tmp/escaped").exists()
    assert not Path("/tmp/orchard-evil").exists()
    assert COLD_HEADER not in orchard.check("neighbour").headers


def test_what_is_not_an_archive_at_all_is_refused(orchard: Orchard) -> None:
    Path(orchard.node.settings.store, "hostile-text.tar.gz").write_bytes(b"hello")
    response = orchard.ask("hostile-text", orchard.models["neighbour"].rows[:1])
    assert response.status_code == 500
    assert "cannot be served" in response.json()["error"]
