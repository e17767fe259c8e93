"""Live updates: the new version answers before the old one goes, and nobody notices but by the answers."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import requests

from tests.integration.orchard import Orchard, answered, binary_call, settings_for
from tests.models import Trained, train
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


class Callers:
    """Calls tenants over and over from a few threads, and keeps every answer."""

    def __init__(self, orchard: Orchard, tenants: list[str], row: np.ndarray) -> None:
        self._orchard = orchard
        self._tenants = tenants
        self._body, self._headers = binary_call(row)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(seed,)) for seed in range(4)]
        self.statuses: Counter[int] = Counter()
        self.answers: list[tuple[str, float, float]] = []

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _call(self, seed: int) -> None:
        choice = random.Random(seed)
        with requests.Session() as session:
            while not self._stop.is_set():
                tenant = choice.choice(self._tenants)
                asked = time.monotonic()
                response = session.post(self._orchard.url(tenant), data=self._body, headers=self._headers, timeout=60)
                self.statuses[response.status_code] += 1
                if response.status_code == 200:
                    self.answers.append((tenant, asked, float(answered(response).ravel()[-1])))


def value_of(model: Trained, row: np.ndarray) -> float:
    return float(model.expected(row)[0])


def test_many_publishes_under_load_fail_nobody_and_every_answer_is_of_a_version_published(orchard: Orchard) -> None:
    tenants = [f"u{number}" for number in range(4)]
    rounds = [
        {tenant: train("reg:squarederror", seed=10 * r + n) for n, tenant in enumerate(tenants)} for r in range(5)
    ]
    row = rounds[0][tenants[0]].rows[:1]
    orchard.publish(**rounds[0])
    for tenant in tenants:
        orchard.check(tenant)
    with Callers(orchard, tenants, row) as callers:
        for models in rounds[1:]:
            orchard.publish(**models)
            time.sleep(INTERVAL)
        time.sleep(2 * INTERVAL + 1)
        settled = time.monotonic()
        time.sleep(1)
    assert set(callers.statuses) == {200}
    known = {tenant: [value_of(models[tenant], row) for models in rounds] for tenant in tenants}
    for tenant, asked, value in callers.answers:
        nearest = int(np.argmin(np.abs(np.array(known[tenant]) - value)))
        assert value == pytest.approx(known[tenant][nearest], rel=1e-5)
        assert asked < settled or nearest == len(rounds) - 1, "an old version answered after the interval"
    assert any(asked > settled for _, asked, _ in callers.answers)


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
