"""Where an entry comes from when the store, or the disk, changes between the offer and the fetch."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from sidecar.disk import DiskTier
from sidecar.dropins import DropIns
from sidecar.errors import UnknownTenantError
from sidecar.observability.phases import Phases
from sidecar.supply import Origin, Supply

from tests.bundles import make_bundle
from tools.catalog.catalog import Catalog
from tools.catalog.store import open_store
from tools.catalog.tenant import TenantId

A, B = TenantId("a"), TenantId("b")


class Setting:
    """A folder store, a disk tier and the supply between them. Nothing is in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        store = open_store(str(folder / "store"), create=True)
        self.catalog = Catalog(store)
        self.disk = DiskTier(folder / "repository", 1 << 20, lambda _: False)
        self.disk.open()
        self.supply = Supply(self.catalog, DropIns(store, self.disk), self.disk, Phases(CollectorRegistry()))

    def publish(self, tenant: TenantId, version: int) -> None:
        self.catalog.publish(make_bundle(self.folder / "bundles", tenant, version, b"trees" * version))

    def damage(self, tenant: TenantId) -> None:
        config = self.disk.root / tenant / "config.pbtxt"
        config.write_bytes(config.read_bytes()[::-1])


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    setting = Setting(tmp_path)
    yield setting
    setting.supply.close()


async def test_an_entry_is_fetched_once_and_found_on_disk_afterwards(setting: Setting) -> None:
    setting.publish(A, 1)
    offer = await setting.supply.offer(A)
    assert offer.origin is Origin.FETCH
    assert await setting.supply.bring(offer) == offer
    again = await setting.supply.offer(A)
    assert again.origin is Origin.DISK
    assert await setting.supply.bring(again) == again


async def test_a_version_pruned_after_it_was_offered_gives_way_to_the_live_one(setting: Setting) -> None:
    setting.publish(A, 1)
    offer = await setting.supply.offer(A)
    setting.publish(A, 2)
    setting.catalog.prune(A, keep=1)
    brought = await setting.supply.bring(offer)
    assert brought.manifest.version == 2
    assert setting.disk.manifest(A) == brought.manifest


async def test_a_tenant_deleted_after_it_was_offered_is_unknown(setting: Setting) -> None:
    setting.publish(A, 1)
    offer = await setting.supply.offer(A)
    setting.catalog.delete(A)
    with pytest.raises(UnknownTenantError):
        await setting.supply.bring(offer)
    assert setting.disk.manifest(A) is None


async def test_an_entry_damaged_on_disk_is_fetched_again(setting: Setting) -> None:
    setting.publish(A, 1)
    await setting.supply.bring(await setting.supply.offer(A))
    setting.damage(A)
    offer = await setting.supply.offer(A)
    assert offer.origin is Origin.DISK
    assert (await setting.supply.bring(offer)).origin is Origin.FETCH
    setting.disk.verify(offer.manifest)


async def test_damage_that_happened_while_the_node_was_down_is_found_before_anybody_calls(setting: Setting) -> None:
    for tenant in (A, B):
        setting.publish(tenant, 1)
        await setting.supply.bring(await setting.supply.offer(tenant))
    setting.damage(A)
    await setting.supply.check_disk()
    assert setting.disk.tenants() == (B,)
    assert (await setting.supply.offer(A)).origin is Origin.FETCH
