"""Live updates: residents follow their live pointers. What it costs follows what is resident, not the catalog."""

import asyncio
import logging

from sidecar.errors import ServingError, UnknownTenantError
from sidecar.loader import Loader
from sidecar.observability.events import Cause
from sidecar.residency import Residency
from sidecar.slot import State
from sidecar.supply import Supply
from tools.catalog.tenant import TenantId

log = logging.getLogger(__name__)

_AT_ONCE = 8


class LiveUpdates:
    """Looks at each resident's live pointer once an interval, with conditional requests."""

    def __init__(self, residency: Residency, supply: Supply, loader: Loader) -> None:
        self._residency = residency
        self._supply = supply
        self._loader = loader

    async def run(self, interval: float) -> None:
        """Look at every resident once in each `interval` seconds, evenly spread, until cancelled."""
        while True:
            residents = [slot.tenant for slot in self._residency if slot.state is State.RESIDENT]
            starts = range(0, max(len(residents), 1), _AT_ONCE)
            pause = interval / len(starts)
            for start in starts:
                await asyncio.gather(self._look_quietly(residents[start : start + _AT_ONCE]), asyncio.sleep(pause))

    async def follow(self, tenant: TenantId) -> bool:
        """Bring a resident tenant to its live version now; returns whether it was behind.

        Raises:
            UnknownTenantError: it has been deleted, and is unloaded now.
            ServingError: as `Supply.offer` and `Loader.update`; the resident version stays.
        """
        slot = self._residency.get(tenant)
        if slot is None or slot.state is not State.RESIDENT or slot.claimed or slot.incoming:
            return False
        try:
            offer = await self._supply.offer(tenant)
        except UnknownTenantError:
            await self._loader.unload(tenant, Cause.DELETED)
            raise
        if offer.manifest.version == slot.version:
            return False
        await self._loader.update(tenant, offer)
        return True

    async def _look_quietly(self, tenants: list[TenantId]) -> None:
        for outcome, tenant in zip(
            await asyncio.gather(*(self.follow(tenant) for tenant in tenants), return_exceptions=True),
            tenants,
            strict=True,
        ):
            if isinstance(outcome, UnknownTenantError):
                continue
            if isinstance(outcome, ServingError):
                log.warning("%s stays at its version: %s", tenant, outcome)
            elif isinstance(outcome, Exception):
                log.error("following %s failed: a fault of the sidecar", tenant, exc_info=outcome)
