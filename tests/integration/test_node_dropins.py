"""Drop-in archives: served on the first call, replaced when the object changes, and hostile ones touch nothing."""

import io
import pickle
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.integration.orchard import COLD_HEADER, Orchard, answered, settings_for
from tests.models import Trained, train
from tools.stack import Node

INTERVAL = 1.0


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchard]:
    folder = tmp_path_factory.mktemp("dropins")
    with Node(settings_for(folder, update_interval=INTERVAL)) as node:
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


def test_an_archive_replaced_while_its_model_is_in_memory_is_followed(orchard: Orchard) -> None:
    drop_model(orchard, "followed", train("reg:squarederror", seed=1))
    orchard.check("followed")
    newer = train("reg:squarederror", seed=2)
    drop_model(orchard, "followed", newer)
    row = newer.rows[:1]
    within(20, lambda: bool(np.allclose(answered(orchard.ask("followed", row)), newer.expected(row))))
    orchard.check("followed")


def test_a_deleted_archive_is_unloaded_and_answers_404(orchard: Orchard) -> None:
    drop_model(orchard, "withdrawn", train("binary:logistic"))
    orchard.check("withdrawn")
    Path(orchard.node.settings.store, "withdrawn.tar.gz").unlink()
    within(20, lambda: "withdrawn" not in orchard.residents())
    assert orchard.ask("withdrawn").status_code == 404
    assert not (orchard.node.settings.repository / "withdrawn").exists()


def test_archives_that_compile_delay_nobody_else(orchard: Orchard) -> None:
    orchard.publish(quick=train("binary:logistic", seed=5))
    slow = ["slow-1", "slow-2"]
    for seed, tenant in enumerate(slow):
        drop_model(orchard, tenant, train("binary:logistic", rounds=300, depth=8, seed=seed))
    with ThreadPoolExecutor(2) as pool:
        compiling = [pool.submit(orchard.check, tenant) for tenant in slow]
        within(20, lambda: len(list((orchard.node.settings.repository / ".staging").glob("slow-*"))) == 2)
        orchard.check("quick")
        assert not any(call.done() for call in compiling)
        for call in compiling:
            assert call.result().headers[COLD_HEADER] == "fetch"


def within(seconds: float, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


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
