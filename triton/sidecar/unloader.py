"""The way out of memory: unload, then watch until Triton reports the model gone."""

import asyncio
import logging
import time

from sidecar.changes import Changes
from sidecar.errors import ServingError
from sidecar.observability.events import Cause, Journal
from sidecar.observability.metrics import Metrics
from sidecar.residency import Residency
from sidecar.triton_client import TritonClient
from tools.catalog.tenant import TenantId

log = logging.getLogger(__name__)

_FIRST_LOOK = 0.003  # seconds; an idle model is usually gone by then
_LONGEST_PAUSE = 0.1


class Unloader:
    """Unloads tenants whose slots are already in state unloading. One look at Triton's index serves them all."""

    def __init__(
        self, residency: Residency, triton: TritonClient, changes: Changes, journal: Journal, metrics: Metrics
    ) -> None:
        self._residency = residency
        self._triton = triton
        self._changes = changes
        self._journal = journal
        self._metrics = metrics
        self._leaving: dict[TenantId, float] = {}
        self._asked: set[TenantId] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self, tenants: tuple[TenantId, ...], cause: Cause, why: str = "") -> None:
        """Begin unloading, and return at once; the table's bell rings as each is gone."""
        for tenant in tenants:
            self._journal.departed(tenant, cause, f"{tenant} is {cause.value} {why}".rstrip())
            self._leaving[tenant] = time.monotonic()
        if self._leaving and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run())

    async def only_version(self, tenant: TenantId, version: int) -> None:
        """Return when Triton holds no other version of the tenant any more."""
        pause = _FIRST_LOOK
        while (await self._triton.held()).get(tenant, frozenset()) - {version}:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _run(self) -> None:
        pause, complained = _FIRST_LOOK, False
        while self._leaving:
            try:
                if self._leaving.keys() - self._asked:
                    await self._ask()
                    pause = _FIRST_LOOK
                await asyncio.sleep(pause)
                await self._look()
            except ServingError as error:
                # A Triton that is away holds nothing; when it is back its index says so.
                if not complained:
                    log.warning("unloading waits: %s", error)
                complained = True
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _ask(self) -> None:
        fresh = tuple(self._leaving.keys() - self._asked)
        await asyncio.gather(*(self._triton.unload(tenant) for tenant in fresh))
        self._asked.update(fresh)

    async def _look(self) -> None:
        held = await self._triton.held()
        for tenant in tuple(self._asked):
            if tenant not in held:
                self._metrics.unloaded(time.monotonic() - self._leaving.pop(tenant))
                self._asked.discard(tenant)
                self._residency.gone(tenant)
                self._changes.ring()
