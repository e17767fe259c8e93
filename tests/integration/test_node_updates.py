"""Live updates: the new version answers before the old one goes, and nobody notices but by the answers."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from loadtests.updates import publish_under_load
from tests.integration.orchard import Orchard, settings_for
from tests.models import train
from tools.catalog.catalog import Catalog
from tools.catalog.store import open_store
from tools.catalog.tenant import tenant_id
from tools.stack import Node

INTERVAL = 1.0


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchard]:
    folder = tmp_path_factory.mktemp("updates")
    with Node(settings_for(folder, update_interval=INTERVAL)) as node:
        yield Orchard(folder, node)


def test_many_publishes_under_load_fail_nobody_and_every_answer_is_of_a_version_published(
    orchard: Orchard, tmp_path: Path
) -> None:
    updates = publish_under_load(orchard.node, tmp_path, tenants=4, rounds=4)
    assert updates.publishes == 16
    assert updates.broken == [], updates


def test_a_deleted_tenant_is_unloaded_and_answers_404(orchard: Orchard) -> None:
    orchard.publish(leaving=train("binary:logistic"))
    orchard.check("leaving")
    Catalog(open_store(orchard.node.settings.store)).delete(tenant_id("leaving"))
    deadline = time.monotonic() + 10 * INTERVAL
    while "leaving" in orchard.residents():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert orchard.ask("leaving").status_code == 404


def test_a_rollback_is_followed_like_any_update(orchard: Orchard) -> None:
    old, new = train("reg:squarederror", seed=1), train("reg:squarederror", seed=2)
    orchard.publish(back=old)
    orchard.publish(back=new)
    orchard.check("back")
    Catalog(open_store(orchard.node.settings.store)).rollback(tenant_id("back"))
    requests.post(f"{orchard.node.admin_url}/models", json={"model_name": "back"}, timeout=30)
    orchard.models["back"] = old
    orchard.check("back")
