"""Where a tenant's entry comes from: the disk tier when it holds the live version, else the store."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from sidecar.disk import DamagedEntryError, DiskTier
from sidecar.errors import BusyError, LoadFailedError, StoreUnavailableError, UnknownTenantError
from tools.catalog.bundle import BadBundleError
from tools.catalog.catalog import BundleGoneError, Catalog, NoSuchTenantError
from tools.catalog.live import BadPointerError, LivePointer
from tools.catalog.manifest import Manifest
from tools.catalog.store import NOT_CHANGED, StoreError
from tools.catalog.tenant import TenantId

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_FETCH_THREADS = 16
_DISK_THREADS = 4
_POINTERS_KEPT = 10_000


class Origin(Enum):
    """Where a cold start took its entry from."""

    DISK = "disk"
    FETCH = "fetch"


@dataclass(frozen=True, slots=True)
class Offer:
    """A tenant's live version as it could be loaded now. `pointer` is None when only the disk knows of it."""

    manifest: Manifest
    origin: Origin
    pointer: LivePointer | None


@dataclass(frozen=True, slots=True)
class _Known:
    pointer: LivePointer
    etag: str


class Supply:
    """Brings verified entries to disk. Blocking work runs in its own threads, never on the event loop."""

    def __init__(self, catalog: Catalog, disk: DiskTier, is_in_memory: Callable[[TenantId], bool]) -> None:
        self._catalog = catalog
        self._disk = disk
        self._is_in_memory = is_in_memory
        self._store_threads = ThreadPoolExecutor(_FETCH_THREADS, "store")
        self._disk_threads = ThreadPoolExecutor(_DISK_THREADS, "disk")
        self._known: dict[TenantId, _Known] = {}
        self._asking: dict[TenantId, asyncio.Task[Offer]] = {}

    def close(self) -> None:
        """Let go of the threads; work under way ends by itself."""
        self._store_threads.shutdown(wait=False, cancel_futures=True)
        self._disk_threads.shutdown(wait=False, cancel_futures=True)

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

    async def bring(self, offer: Offer) -> Origin:
        """Have the offered entry on disk, verified against its hashes; returns where it came from.

        Raises:
            LoadFailedError: the stored bundle is not what its pointer says.
            StoreUnavailableError: the store does not answer.
            BusyError: the disk is full.
        """
        if offer.origin is Origin.DISK:
            try:
                await self._on_disk(lambda: self._disk.verify(offer.manifest))
                return Origin.DISK
            except DamagedEntryError as error:
                log.warning("%s; it is fetched again", error)
                if offer.pointer is None:
                    raise StoreUnavailableError(f"{error}, and the store does not answer; try again shortly") from None
        assert offer.pointer is not None
        await self._fetch(offer.pointer)
        return Origin.FETCH

    async def _ask(self, tenant: TenantId) -> Offer:
        held = self._disk.manifest(tenant)
        try:
            pointer = await self._pointer(tenant)
        except NoSuchTenantError:
            self._known.pop(tenant, None)
            if held is not None:
                await self._on_disk(lambda: self._disk.remove(tenant))
            raise UnknownTenantError(f"tenant {tenant!r} is not in the store: publish it, or check the name") from None
        except BadPointerError as error:
            raise LoadFailedError(str(error)) from None
        except StoreError as error:
            if held is None:
                raise StoreUnavailableError(f"{error}; try again shortly") from None
            log.warning("%s is served from disk: %s", tenant, error)
            return Offer(held, Origin.DISK, None)
        if held == pointer.manifest:
            return Offer(held, Origin.DISK, pointer)
        return Offer(pointer.manifest, Origin.FETCH, pointer)

    async def _pointer(self, tenant: TenantId) -> LivePointer:
        known = self._known.get(tenant)
        live = await self._at_store(lambda: self._catalog.live(tenant, known.etag if known else None))
        if live is NOT_CHANGED:
            assert known is not None
            return known.pointer
        self._known.pop(tenant, None)
        while len(self._known) >= _POINTERS_KEPT:
            self._known.pop(next(iter(self._known)))
        self._known[tenant] = _Known(live.pointer, live.etag)
        return live.pointer

    async def _fetch(self, pointer: LivePointer) -> None:
        try:
            await self._at_store(lambda: self._fetch_and_place(pointer))
        except BadBundleError as error:
            raise LoadFailedError(f"the bundle of {pointer.tenant} is damaged: {error}; publish it again") from None
        except (StoreError, BundleGoneError) as error:
            raise StoreUnavailableError(f"{error}; try again shortly") from None
        except OSError as error:
            raise BusyError(f"no room on the node's disk for {pointer.tenant} ({error}); try again shortly") from None

    def _fetch_and_place(self, pointer: LivePointer) -> None:
        self._disk.make_room(pointer.manifest.entry_bytes, self._is_in_memory)
        with self._disk.staging(pointer.tenant) as folder:
            self._catalog.fetch(pointer, folder)
            self._disk.place(folder, pointer.manifest)

    async def _at_store(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._store_threads, work)

    async def _on_disk(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._disk_threads, work)
