"""Warm start: the tenants most worth their memory are loaded before they are called."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime

from sidecar.errors import ServingError
from sidecar.loader import Loader
from sidecar.residency import Residency
from sidecar.schedule import Schedule
from tools.catalog.tenant import TenantId
from tools.eviction.policy import EvictionPolicy

log = logging.getLogger(__name__)


class WarmStart:
    """Loads the pinned tenants, then others as far as the budget goes. It evicts nobody, and live calls go first.

    One load at a time, none while a call waits for a cold start, and a rest after each as long as the load took.
    """

    def __init__(self, residency: Residency, policy: EvictionPolicy, loader: Loader) -> None:
        self._residency = residency
        self._policy = policy
        self._loader = loader

    async def run(self, schedule: Schedule | None, now: Callable[[], datetime] = datetime.now) -> None:
        """Warm up at once, and whenever `schedule` says, until cancelled. The schedule is in the machine's time."""
        await self.warm()
        while schedule is not None:
            await asyncio.sleep((schedule.after(now()) - now()).total_seconds())
            await self.warm()

    async def warm(self) -> int:
        """Load what is worth it and not resident; returns how many were loaded."""
        for tenant in sorted(self._residency.pinned):
            await self._load_pinned(tenant)
        loaded = failed = 0
        for tenant in list(self._policy.wanted_first()):
            began = time.monotonic()
            try:
                has_room = await self._loader.warm(tenant)
            except ServingError as error:
                log.debug("%s is not warmed up: %s", tenant, error)
                failed += 1
                continue
            if not has_room:
                break
            loaded += 1
            await asyncio.sleep(time.monotonic() - began)
        log.info("warm start: %d tenants are loaded, %d could not be", loaded, failed)
        return loaded

    async def _load_pinned(self, tenant: TenantId) -> None:
        try:
            async with self._loader.resident(tenant):
                pass
        except ServingError as error:
            log.error("pinned tenant %s is not loaded: %s", tenant, error)
