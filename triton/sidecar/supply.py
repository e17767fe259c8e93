"""Where a tenant's entry comes from: the disk tier when it holds the live version, else the store."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

from sidecar.disk import DamagedEntryError, DiskTier
from sidecar.dropins import DropIns, version_of
from sidecar.errors import BusyError, LoadFailedError, StoreUnavailableError, UnknownTenantError
from sidecar.observability.phases import Phase, Phases
from sidecar.store_health import StoreHealth
from tools.catalog.bundle import BadBundleError
from tools.catalog.catalog import BundleGoneError, Catalog, NoSuchTenantError
from tools.catalog.live import BadPointerError, LivePointer
from tools.catalog.manifest import Manifest
from tools.catalog.store import NOT_CHANGED, StoreDownError, StoreError
from tools.catalog.tenant import TenantId

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_FETCH_THREADS = 16
_DISK_THREADS = 4
_POINTERS_KEPT = 10_000
# Seconds to wait for word of a newer version when the disk holds one that can be served at once, and for which nobody
# who could be so served asks again when it did not come.
_PATIENCE = 0.5
_SLOW_PAUSE = 2.0
# Seconds after which a look at the store has failed. It takes milliseconds.
_LOOK_SECONDS = 3.0
# How long the check of the disk rests after each entry, as a multiple of what the entry took.
_REST_SHARE = 3


class Origin(Enum):
    """Where a cold start took its entry from."""

    DISK = "disk"
    FETCH = "fetch"


@dataclass(frozen=True, slots=True)
class Offer:
    """A tenant's live version as it could be loaded now.

    `pointer` leads to its bundle; None when the entry is on disk and has none (a drop-in, or the store is away).
    """

    manifest: Manifest
    origin: Origin
    pointer: LivePointer | None


@dataclass(frozen=True, slots=True)
class _Known:
    pointer: LivePointer
    etag: str


class Supply:
    """Brings verified entries to disk. Blocking work runs in its own threads, never on the event loop.

    `store_answers` says whether the store did when it was last asked.
    """

    def __init__(
        self,
        catalog: Catalog,
        drop_ins: DropIns,
        disk: DiskTier,
        phases: Phases,
    ) -> None:
        self._catalog = catalog
        self._drop_ins = drop_ins
        self._disk = disk
        self._phases = phases
        self._store_threads = ThreadPoolExecutor(_FETCH_THREADS, "store")
        self._disk_threads = ThreadPoolExecutor(_DISK_THREADS, "disk")
        self._known: dict[TenantId, _Known] = {}
        self._asking: dict[TenantId, asyncio.Task[Offer]] = {}
        self._clock = time.monotonic
        self._health = StoreHealth()
        self._store_slow_until = float("-inf")
        self.store_answers = True

    def close(self) -> None:
        """Let go of the threads; work under way ends by itself."""
        self._store_threads.shutdown(wait=False, cancel_futures=True)
        self._disk_threads.shutdown(wait=False, cancel_futures=True)

    def on_disk(self, tenant: TenantId) -> Manifest | None:
        """The manifest of the entry on disk. Every resident tenant has one."""
        return self._disk.manifest(tenant)

    async def offer(self, tenant: TenantId) -> Offer:
        """What would be loaded for the tenant now: one conditional look at its live pointer, nothing fetched.

        Calls for the same tenant at the same time share one look.

        Raises:
            UnknownTenantError: neither the store nor, with the store away, the disk has it.
            StoreUnavailableError: the store does not answer and the disk does not hold it.
        """
        asking = self._asking.get(tenant)
        if asking is None:
            asking = asyncio.create_task(self._ask(tenant))
            self._asking[tenant] = asking
            asking.add_done_callback(lambda _: self._asking.pop(tenant, None))
        return await asyncio.shield(asking)

    async def bring(self, offer: Offer) -> Offer:
        """Have the offered entry on disk, verified against its hashes; returns the offer as it was kept.

        That is another one if the entry on disk was damaged, or the version offered has been replaced and pruned.

        Raises:
            LoadFailedError: the stored bundle is not what its pointer says.
            StoreUnavailableError: the store does not answer.
            UnknownTenantError: the tenant was deleted after the offer was made.
            BusyError: the disk is full.
        """
        try:
            return await self._bring(offer)
        except BundleGoneError as error:
            log.info("%s", error)
        # Another version has been published since, and this one pruned.
        fresh = await self.offer(offer.manifest.tenant)
        try:
            return await self._bring(fresh)
        except BundleGoneError as error:
            raise StoreUnavailableError(f"{error}; try again shortly") from None

    async def check_disk(self) -> None:
        """Hash what an earlier run left on disk, so that damage is found before somebody waits for it.

        Takes a quarter of one thread's time, so that calls hardly notice.
        """
        for tenant in self._disk.tenants():
            began = self._clock()
            if not await self._on_disk(lambda tenant=tenant: self._disk.check(tenant)):  # type: ignore[misc]
                log.warning("the entry of %s on disk was not what its manifest says: it is removed", tenant)
            await asyncio.sleep(_REST_SHARE * (self._clock() - began))

    async def _ask(self, tenant: TenantId) -> Offer:
        held = self._disk.manifest(tenant)
        try:
            return await self._ask_store(tenant, held)
        except BadPointerError as error:
            raise LoadFailedError(str(error)) from None
        except StoreError as error:
            if held is None:
                raise StoreUnavailableError(f"{error}; try again shortly") from None
            log.warning("%s is served from disk: %s", tenant, error)
            return Offer(held, Origin.DISK, None)

    async def _ask_store(self, tenant: TenantId, held: Manifest | None) -> Offer:
        try:
            return await self._offer_published(tenant, held)
        except NoSuchTenantError:
            self._known.pop(tenant, None)
            return await self._offer_drop_in(tenant, held)

    async def _offer_published(self, tenant: TenantId, held: Manifest | None) -> Offer:
        pointer = await self._pointer(tenant, can_do_without=held is not None)
        if held == pointer.manifest:
            return Offer(held, Origin.DISK, pointer)
        return Offer(pointer.manifest, Origin.FETCH, pointer)

    async def _offer_drop_in(self, tenant: TenantId, held: Manifest | None) -> Offer:
        archive = await self._look(lambda: self._drop_ins.stat(tenant), can_do_without=held is not None)
        if archive is None:
            if held is not None:
                await self._on_disk(lambda: self._disk.remove(tenant))
            raise UnknownTenantError(f"tenant {tenant!r} is not in the store: publish it, or check the name")
        if held is not None and held.version == version_of(archive):
            return Offer(held, Origin.DISK, None)
        manifest = await self._drop_ins.compile(tenant, archive)
        return Offer(manifest, Origin.FETCH, None)

    async def _pointer(self, tenant: TenantId, *, can_do_without: bool) -> LivePointer:
        known = self._known.get(tenant)
        with self._phases.timed(Phase.LOOK, tenant):
            etag = known.etag if known else None
            live = await self._look(lambda: self._catalog.live(tenant, etag), can_do_without=can_do_without)
        if live is NOT_CHANGED:
            assert known is not None
            return known.pointer
        self._known.pop(tenant, None)
        while len(self._known) >= _POINTERS_KEPT:
            self._known.pop(next(iter(self._known)))
        self._known[tenant] = _Known(live.pointer, live.etag)
        return live.pointer

    async def _bring(self, offer: Offer) -> Offer:
        if offer.origin is Origin.DISK:
            try:
                with self._phases.timed(Phase.VERIFY, offer.manifest.tenant):
                    await self._on_disk(lambda: self._disk.verify(offer.manifest))
                return offer
            except DamagedEntryError as error:
                if offer.pointer is None:
                    raise BusyError(f"{error}: it is removed; try again shortly") from None
                log.warning("%s; it is fetched again", error)
        if offer.pointer is not None:  # a drop-in has none: it was compiled when it was offered
            await self._fetch(offer.pointer)
        return replace(offer, origin=Origin.FETCH)

    async def _fetch(self, pointer: LivePointer) -> None:
        try:
            await self._at_store(lambda: self._fetch_and_place(pointer))
        except BadBundleError as error:
            raise LoadFailedError(f"the bundle of {pointer.tenant} is damaged: {error}; publish it again") from None
        except StoreError as error:
            raise StoreUnavailableError(f"{error}; try again shortly") from None
        except OSError as error:
            raise BusyError(f"no room on the node's disk for {pointer.tenant} ({error}); try again shortly") from None

    def _fetch_and_place(self, pointer: LivePointer) -> None:
        with self._disk.staging(pointer.tenant) as staging:
            staging.reserve(pointer.manifest.entry_bytes)
            with self._phases.timed(Phase.FETCH, pointer.tenant):
                self._catalog.fetch(pointer, staging.folder)
            with self._phases.timed(Phase.PLACE, pointer.tenant):
                staging.place(staging.folder, pointer.manifest)

    async def _look(self, work: Callable[[], Result], *, can_do_without: bool) -> Result:
        """Do `work`, a small question to the store. Who can do without an answer does not wait long for it.

        The question goes on then, so that its outcome is known.
        """
        if can_do_without and self._clock() < self._store_slow_until:
            raise StoreDownError("the store was slow a moment ago")
        looking = asyncio.create_task(self._at_store(work, _LOOK_SECONDS))
        # Whoever asked may be gone when it fails.
        looking.add_done_callback(lambda looked: looked.cancelled() or looked.exception())
        try:
            return await asyncio.wait_for(asyncio.shield(looking), _PATIENCE if can_do_without else None)
        except TimeoutError:
            self._store_slow_until = self._clock() + _SLOW_PAUSE
            raise StoreDownError(f"the store did not answer within {_PATIENCE} s") from None

    async def _at_store(self, work: Callable[[], Result], seconds: float | None = None) -> Result:
        with self._health.asked():
            working = asyncio.get_running_loop().run_in_executor(self._store_threads, copy_context().run, work)
            try:
                return await asyncio.wait_for(working, seconds)
            except TimeoutError:
                raise StoreDownError(f"the store did not answer within {seconds} s") from None

    async def _on_disk(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._disk_threads, work)
