"""A thousand damaged bundles on one node: each is a clear error, none reaches Triton, and nobody else notices."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
import requests

from tests.damage import DAMAGES, Sound, Stored, sealed
from tests.integration.orchard import Orchard, binary_call, settings_for
from tests.models import train
from tools.stack import Node

BUNDLES = 1000
CALLERS = 4
PARTS = ("triton", "sidecar", "nginx")
KINDS = list(DAMAGES)
# Not there, not what it should be, not now, or too large: what a damaged entry may be answered with.
STATUSES = {500, 503, 507}


@dataclass(frozen=True, slots=True)
class Storefront:
    """A node, its resident tenant `neighbour`, and the tenant that every damaged one is a copy of."""

    orchard: Orchard
    model: Sound

    def put(self, tenant: str, stored: Stored) -> None:
        """Write what a store would hold of a tenant."""
        folder = Path(self.orchard.node.settings.store) / tenant
        folder.mkdir()
        (folder / "live.json").write_bytes(stored.pointer)
        if stored.bundle is not None:
            (folder / f"{self.model.manifest.version}.tar.zst").write_bytes(stored.bundle)

    def copy(self, tenant: str) -> Sound:
        """The model as that tenant's."""
        return sealed(
            self.model.manifest, self.model.config, self.model.checkpoint, tenant, self.model.manifest.version
        )

    def call(self, tenant: str) -> requests.Response:
        body, headers = binary_call(self.orchard.models["neighbour"].rows[:1])
        return requests.post(self.orchard.url(tenant), data=body, headers=headers, timeout=30)

    def pids(self) -> list[int]:
        return [self.orchard.node.pid(part) for part in PARTS]

    def seen_by_triton(self) -> set[str]:
        """Every model that Triton was ever told to load, as its log has it."""
        return set(re.findall(r'"loading: ([^:"]+):', self.orchard.node.log("triton").read_text()))


@pytest.fixture(scope="module")
def storefront(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storefront]:
    folder = tmp_path_factory.mktemp("damaged")
    with Node(settings_for(folder)) as node:
        orchard = Orchard(folder, node)
        manifest = orchard.publish(neighbour=train("binary:logistic", rounds=1, depth=1))["neighbour"]
        orchard.check("neighbour")
        entry = node.settings.repository / "neighbour"
        checkpoint = (entry / str(manifest.version) / "checkpoint.tl").read_bytes()
        yield Storefront(orchard, Sound(manifest, (entry / "config.pbtxt").read_bytes(), checkpoint))


def test_the_same_bundle_undamaged_is_served(storefront: Storefront) -> None:
    storefront.put("undamaged", storefront.copy("undamaged").stored())
    assert storefront.call("undamaged").status_code == 200
    assert storefront.seen_by_triton() == {"neighbour", "undamaged"}


def test_a_thousand_damaged_bundles_reach_nothing_and_restart_nothing(storefront: Storefront) -> None:
    before = storefront.pids(), storefront.orchard.loads(), storefront.seen_by_triton()
    residents = storefront.orchard.residents()
    on_disk = _entries(storefront)
    with ThreadPoolExecutor(CALLERS) as callers:
        list(callers.map(lambda number: _damage_and_call(storefront, number), range(BUNDLES)))
    assert (storefront.pids(), storefront.orchard.loads(), storefront.seen_by_triton()) == before
    assert storefront.orchard.residents() == residents
    assert _entries(storefront) == on_disk
    assert list((storefront.orchard.node.settings.repository / ".staging").iterdir()) == []
    storefront.orchard.check("neighbour")


def test_a_damaged_tenant_is_served_once_it_is_published_again(storefront: Storefront) -> None:
    sound = storefront.copy("mended")
    storefront.put("mended", DAMAGES["a flipped bit"](sound, Random(0)))
    assert storefront.call("mended").status_code == 500
    version = sound.manifest.version + 1
    again = sealed(sound.manifest, sound.config, sound.checkpoint, "mended", version).stored()
    folder = Path(storefront.orchard.node.settings.store) / "mended"
    assert again.bundle is not None
    (folder / f"{version}.tar.zst").write_bytes(again.bundle)
    (folder / "live.json").write_bytes(again.pointer)
    assert storefront.call("mended").status_code == 200


def _damage_and_call(storefront: Storefront, number: int) -> None:
    tenant, kind = f"damaged-{number:04}", KINDS[number % len(KINDS)]
    sound = storefront.copy(tenant)
    storefront.put(tenant, DAMAGES[kind](sound, Random(number)))
    response = storefront.call(tenant)
    assert response.status_code in STATUSES, f"{kind}: {response.status_code} {response.text}"
    message = response.json()["error"]
    assert "internal" not in message, f"{kind}: {message}"
    if number % 100 == 0:
        storefront.orchard.check("neighbour")


def _entries(storefront: Storefront) -> set[str]:
    return {path.name for path in storefront.orchard.node.settings.repository.iterdir()}
