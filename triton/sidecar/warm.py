"""Warm start: the tenants most worth their memory are loaded before they are called."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from enum import Enum

from sidecar.errors import ServingError, TritonGoneError
from sidecar.loader import Loader
from sidecar.presence import Presence
from sidecar.residency import Residency
from sidecar.schedule import Schedule
from tools.catalog.tenant import TenantId
from tools.eviction.policy import EvictionPolicy

log = logging.getLogger(__name__)


class WarmStart:
    """Loads the pinned tenants, then others as far as the budget goes. It evicts nobody, and live calls go first.

    When nothing is in memory, at the start and after Triton has died, `parallel` tenants load at the same time. On
    schedule it is one. None begins while a call waits for a cold start, and after each load comes a rest as long.
    """

    def __init__(
        self, residency: Residency, policy: EvictionPolicy, loader: Loader, presence: Presence, parallel: int
    ) -> None:
        self._residency = residency
        self._policy = policy
        self._loader = loader
        self._presence = presence
        self._parallel = parallel

    async def run(self, schedule: Schedule | None, now: Callable[[], datetime] = datetime.now) -> None:
        """Warm up at once, whenever Triton is back, and when `schedule` says, until cancelled.

        The schedule is in the machine's time.
        """
        while True:
            losses = self._presence.losses
            await self.warm(self._parallel)
            while not await self._returned(losses, _seconds_until(schedule, now())):
                await self.warm()

    async def warm(self, parallel: int = 1) -> int:
        """Load what is worth it and not resident, `parallel` at the same time; returns how many were loaded.

        It ends early when Triton goes away.
        """
        wanted = list(self._policy.wanted_first())
        pinned = sorted(self._residency.pinned - set(wanted))
        pinned = [tenant for tenant in wanted if tenant in self._residency.pinned] + pinned
        await _each(pinned, self._load_pinned, parallel)
        outcomes = await _each(wanted, self._load, parallel)
        loaded, failed = outcomes.count(_Outcome.LOADED), outcomes.count(_Outcome.FAILED)
        log.info("warm start: %d tenants are loaded, %d could not be", loaded, failed)
        return loaded

    async def _returned(self, losses: int, seconds: float | None) -> bool:
        """Wait until Triton is back after one more loss, at most so many seconds; returns whether it is."""
        try:
            await asyncio.wait_for(self._presence.wait_return(losses), seconds)
        except TimeoutError:
            return False
        return True

    async def _load_pinned(self, tenant: TenantId) -> "_Outcome":
        try:
            async with self._loader.resident(tenant):
                return _Outcome.LOADED
        except TritonGoneError:
            return _Outcome.OVER
        except ServingError as error:
            log.error("pinned tenant %s is not loaded: %s", tenant, error)
            return _Outcome.FAILED

    async def _load(self, tenant: TenantId) -> "_Outcome":
        began = time.monotonic()
        try:
            has_room = await self._loader.warm(tenant)
        except TritonGoneError:
            return _Outcome.OVER
        except ServingError as error:
            log.debug("%s is not warmed up: %s", tenant, error)
            return _Outcome.FAILED
        if not has_room:
            return _Outcome.OVER
        await asyncio.sleep(time.monotonic() - began)
        return _Outcome.LOADED


def _seconds_until(schedule: Schedule | None, now: datetime) -> float | None:
    return (schedule.after(now) - now).total_seconds() if schedule else None


class _Outcome(Enum):
    """What became of a tenant. When it is over, there is no use in trying others."""

    LOADED = "loaded"
    FAILED = "failed"
    OVER = "over"


async def _each(
    tenants: Iterable[TenantId], load: Callable[[TenantId], Awaitable[_Outcome]], parallel: int
) -> list[_Outcome]:
    """Load them in their order, `parallel` at the same time, until it is over."""
    waiting, outcomes = iter(tenants), list[_Outcome]()

    async def work() -> None:
        for tenant in waiting:
            outcomes.append(await load(tenant))
            if _Outcome.OVER in outcomes:
                return

    await asyncio.gather(*(work() for _ in range(parallel)))
    return outcomes
