"""Following live pointers: everybody in memory is looked at once in an interval, however many there are."""

import asyncio
from collections import Counter
from typing import cast

import pytest
from sidecar.loader import Loader
from sidecar.residency import Residency
from sidecar.supply import Offer, Origin, Supply
from sidecar.updates import LiveUpdates

from tests.bundles import make_manifest
from tools.catalog.tenant import TenantId

INTERVAL = 0.2


class CountingSupply:
    """Says that everybody is at version 1, and counts how often it was asked."""

    def __init__(self) -> None:
        self.looks: Counter[TenantId] = Counter()

    async def offer(self, tenant: TenantId) -> Offer:
        self.looks[tenant] += 1
        return Offer(make_manifest(tenant, 1, b"", b""), Origin.DISK, None)


@pytest.mark.parametrize("count", [1, 8, 9, 20])
async def test_every_resident_is_looked_at_once_in_an_interval(count: int) -> None:
    residency, supply = Residency(1 << 30), CountingSupply()
    tenants = [TenantId(f"t{number}") for number in range(count)]
    for tenant in tenants:
        residency.adopt(tenant, version=1, size=1, last_used=0.0, uses=0)
    updates = LiveUpdates(residency, cast(Supply, supply), cast(Loader, None))
    following = asyncio.create_task(updates.run(INTERVAL))
    await asyncio.sleep(4.5 * INTERVAL)
    following.cancel()
    # Timers are never early, and on a busy machine they are late.
    assert all(2 <= supply.looks[tenant] <= 5 for tenant in tenants)
