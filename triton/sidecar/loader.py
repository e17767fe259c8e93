"""The cold path: fetch → verify → make room → load, once per tenant however many call."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from sidecar.changes import Changes
from sidecar.errors import BusyError, CannotFitError, NotNowError, ServingError
from sidecar.load_guard import LoadGuard
from sidecar.memory.sizes import Sizes
from sidecar.observability.events import Cause, Journal
from sidecar.observability.metrics import Metrics
from sidecar.observability.phases import Phase, Phases
from sidecar.observer import Before
from sidecar.recency import Recency
from sidecar.residency import Residency, WrongStateError
from sidecar.slot import Slot, State
from sidecar.supply import Offer, Origin, Supply
from sidecar.triton_client import TritonClient
from sidecar.unloader import Unloader
from tools.catalog.tenant import TenantId

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoaderLimits:
    """Bounds on loading: how many at once, and the seconds one load, and one cold call in all, may take."""

    parallel_loads: int
    load_deadline: float
    cold_deadline: float


class Loader:
    """Makes tenants resident. Each cold start is one task, which outlives the call that caused it."""

    def __init__(
        self,
        residency: Residency,
        supply: Supply,
        triton: TritonClient,
        recency: Recency[Before],
        unloader: Unloader,
        changes: Changes,
        journal: Journal,
        metrics: Metrics,
        phases: Phases,
        sizes: Sizes,
        guard: LoadGuard,
        limits: LoaderLimits,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._residency = residency
        self._supply = supply
        self._triton = triton
        self._recency = recency
        self._unloader = unloader
        self._changes = changes
        self._journal = journal
        self._metrics = metrics
        self._phases = phases
        self._sizes = sizes
        self._guard = guard
        self._limits = limits
        self._clock = clock
        self._starts: dict[TenantId, asyncio.Task[Origin]] = {}
        self._warming = set[TenantId]()
        self._turns = asyncio.Semaphore(limits.parallel_loads)
        self._claiming = asyncio.Lock()

    @asynccontextmanager
    async def resident(self, tenant: TenantId, offer: Offer | None = None) -> AsyncIterator[Origin | None]:
        """Hold the tenant in memory while the block runs; it is not evicted meanwhile.

        Yields where the entry came from if this call waited for a cold start, None if the tenant was resident.
        `offer` spares a second look at the store.

        Raises:
            ServingError: as said by `Supply.offer` and `Supply.bring`; `CannotFitError`, `LoadFailedError`,
                `TritonUnavailableError`; `BusyError` when the deadline for cold calls passes first.
        """
        try:
            async with asyncio.timeout(self._limits.cold_deadline):
                offer = await self._await_departure(tenant, offer)
                start = self._join(tenant, offer)
                serial = self._lease(tenant)
        except TimeoutError:
            raise self._too_late(tenant) from None
        try:
            yield await self._finish(tenant, start) if start else None
        finally:
            self._residency.release(tenant, serial)
            self._changes.ring()

    async def warm(self, tenant: TenantId) -> bool:
        """Load a tenant that nobody waits for, once no call waits for a cold start.

        Returns whether there was room for it: nobody is evicted for its sake. A resident tenant needs none.

        Raises:
            ServingError: as `resident`.
        """
        while self._starts.keys() - self._warming:
            await self._changes.wait()
        if self._residency.get(tenant) is not None:
            return True
        offer = await self._supply.offer(tenant)
        if self._residency.get(tenant) is None and self._residency.needs_victims(self._sizes.of(offer.manifest)):
            return False
        start = self._join(tenant, offer)
        self._warming.add(tenant)
        try:
            if start is not None:
                await asyncio.shield(start)
        except NotNowError:
            return False
        finally:
            self._warming.discard(tenant)
        return True

    async def unload(self, tenant: TenantId, cause: Cause = Cause.UNLOADED) -> None:
        """Unload a tenant; returns when Triton has reported it gone. An update ends first."""
        with suppress(ServingError):
            await self._recency.refresh()  # what it counted goes with it
        first = self._residency.get(tenant)
        while first and (slot := self._residency.get(tenant)) and slot.serial == first.serial:
            if slot.state is State.RESIDENT and not (slot.claimed or slot.incoming):
                self._residency.start_unloading(tenant)
                self._unloader.start((tenant,), cause)
            await self._changes.wait()

    async def update(self, tenant: TenantId, offer: Offer) -> None:
        """Load the offered version beside the resident one, which answers until the new one does.

        Nothing happens when the tenant is not resident any more. A version for which there is no room beside the
        old one takes its place at the next call instead: the tenant is unloaded, and calls wait for the cold start.

        Raises:
            ServingError: as `resident`; the old version stays.
        """
        slot = self._residency.get(tenant)
        if slot is None or slot.state is not State.RESIDENT:
            return
        self._residency.lease(tenant)
        try:
            offer = await self._supply.bring(offer)
            async with asyncio.timeout(self._limits.cold_deadline), self._turns:
                if self._is_still_resident(slot):
                    await self._replace(slot, offer)
        except TimeoutError:
            raise self._too_late(tenant) from None
        except CannotFitError:
            await self.unload(tenant, Cause.OUTGROWN)
        except WrongStateError:
            # Unless Triton has died meanwhile, and the tenant with it: its next call loads the newer version.
            if self._is_still_resident(slot):
                raise
        finally:
            self._residency.release(tenant, slot.serial)
            self._changes.ring()

    def _is_still_resident(self, before: Slot) -> bool:
        slot = self._residency.get(before.tenant)
        return slot is not None and slot.serial == before.serial and slot.state is State.RESIDENT

    async def _replace(self, old: Slot, offer: Offer) -> None:
        tenant, version = old.tenant, offer.manifest.version
        began = time.monotonic()
        try:
            await self._make_room(tenant, self._sizes.of(offer.manifest))
            self._residency.start_updating(tenant)
            async with self._guard.load(tenant, version):
                await self._triton.load(tenant, self._limits.load_deadline)
            await self._unloader.only_version(tenant, version)
        except BaseException:
            if self._is_still_resident(old):
                self._residency.give_up(tenant)
            raise
        self._residency.updated(tenant, version)
        self._journal.updated(tenant, version, time.monotonic() - began)

    async def _await_departure(self, tenant: TenantId, offer: Offer | None) -> Offer | None:
        """Wait out an unload under way; a load beside it would need the memory twice."""
        while True:
            slot = self._residency.get(tenant)
            if slot is not None and slot.state is State.UNLOADING:
                await self._changes.wait()
            elif slot is None and offer is None:
                offer = await self._supply.offer(tenant)
            else:
                return offer

    def _join(self, tenant: TenantId, offer: Offer | None) -> asyncio.Task[Origin] | None:
        slot = self._residency.get(tenant)
        if slot is not None and slot.state is State.RESIDENT:
            return None
        if slot is None:
            assert offer is not None
            self._guard.check(tenant, offer.manifest.version)
            self._residency.begin(tenant)
            start = asyncio.create_task(self._start(tenant, offer), name=f"cold start of {tenant}")
            start.add_done_callback(lambda task: self._ended(tenant, task))
            self._starts[tenant] = start
        return self._starts.get(tenant)

    def _lease(self, tenant: TenantId) -> int:
        self._residency.lease(tenant)
        slot = self._residency.get(tenant)
        assert slot is not None
        return slot.serial

    async def _finish(self, tenant: TenantId, start: asyncio.Task[Origin]) -> Origin:
        try:
            return await asyncio.wait_for(asyncio.shield(start), self._limits.cold_deadline)
        except TimeoutError:
            raise self._too_late(tenant) from None

    def _ended(self, tenant: TenantId, task: asyncio.Task[Origin]) -> None:
        del self._starts[tenant]
        self._changes.ring()
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, NotNowError):
            self._journal.load_failed(tenant, error)
            if not isinstance(error, ServingError):
                log.error("this is a fault of the sidecar", exc_info=error)

    def _too_late(self, tenant: TenantId) -> BusyError:
        return BusyError(
            f"tenant {tenant} was not loaded within {self._limits.cold_deadline:g} s: the node is overloaded, try again"
        )

    async def _start(self, tenant: TenantId, offer: Offer) -> Origin:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._limits.cold_deadline):
                self._residency.check_fits(tenant, self._sizes.of(offer.manifest))
                offer = await self._supply.bring(offer)
                async with self._turns:
                    with self._phases.timed(Phase.ROOM, tenant):
                        await self._make_room(tenant, self._sizes.of(offer.manifest))
                    self._residency.start_loading(tenant, offer.manifest.version)
                    with self._phases.timed(Phase.LOAD, tenant):
                        await self._load(tenant, offer.manifest.version)
        except TimeoutError:
            raise self._too_late(tenant) from None
        finally:
            slot = self._residency.get(tenant)
            if slot is not None and slot.state is State.FETCHING:
                self._residency.give_up(tenant)
            self._changes.ring()
        took = time.monotonic() - began
        self._metrics.cold_start(offer.origin, took)
        self._journal.loaded(tenant, offer.manifest.version, offer.origin.value, took)
        return offer.origin

    async def _make_room(self, tenant: TenantId, size: int) -> None:
        # One at a time, in the order they came: otherwise small tenants could starve a large one for ever.
        async with self._claiming:
            if self._residency.needs_victims(size):
                await self._recency.refresh()
                self._check_awaited(tenant)
            while (victims := self._residency.claim(tenant, size, self._clock())) is None:
                await self._changes.wait()
        self._unloader.start(victims, Cause.EVICTED, f"to make room for {tenant}")
        while not self._residency.has_room_for(tenant):
            await self._changes.wait()

    def _check_awaited(self, tenant: TenantId) -> None:
        slot = self._residency.get(tenant)
        if slot is not None and not slot.leases:
            raise NotNowError(f"there is no room for {tenant} at the moment, and no call waits for it")

    async def _load(self, tenant: TenantId, version: int) -> None:
        try:
            async with self._guard.load(tenant, version):
                await self._triton.load(tenant, self._limits.load_deadline)
        except BaseException:
            # Triton may hold part of it, or still be at it: the bytes count until its index says that they are gone.
            self._residency.start_unloading(tenant)
            self._unloader.start((tenant,), Cause.FAILED)
            raise
        self._residency.loaded(tenant, self._clock())
