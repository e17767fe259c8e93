"""Loads under guard: a suspect's runs alone, a quarantined tenant's does not run, and deaths of Triton are put down."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sidecar.errors import QuarantinedError, ServingError, TritonGoneError
from sidecar.json_file import write_json
from sidecar.observability.events import Journal
from sidecar.presence import Presence
from sidecar.quarantine import Quarantine, Suspicion
from tools.catalog.tenant import TenantId

log = logging.getLogger(__name__)

_FORMAT = 1


class LoadGuard:
    """Stands before every load. What is held against tenants is kept in `path`, if there is one."""

    def __init__(self, quarantine: Quarantine, presence: Presence, journal: Journal, path: Path | None) -> None:
        self._quarantine = quarantine
        self._presence = presence
        self._journal = journal
        self._path = path
        self._loads = _SharedOrAlone()

    def restore(self) -> None:
        """Take up what the last run held against tenants. A damaged file is a fresh start."""
        if self._path is None:
            return
        try:
            state = json.loads(self._path.read_bytes())
            if state["format"] != _FORMAT:
                raise ValueError(f"format {state['format']!r}")
            self._quarantine.restore(state["suspicions"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("%s cannot be used (%r): nothing is held against any tenant", self._path, error)
        for each in self._quarantine:
            self._journal.quarantined(each.tenant, each.version, _reason(each.tenant, each.version))

    def check(self, tenant: TenantId, version: int) -> None:
        """Raises `QuarantinedError` if this version of the tenant is not to be loaded."""
        if self._quarantine.is_quarantined(tenant, version):
            raise QuarantinedError(_reason(tenant, version))

    @asynccontextmanager
    async def load(self, tenant: TenantId, version: int) -> AsyncIterator[None]:
        """Around one load by Triton, the whole of it and nothing else. Triton is there when it begins.

        Raises:
            QuarantinedError: it is not to be loaded.
            TritonGoneError: Triton is away for too long.
        """
        async with self._loads.enter(alone=self._quarantine.is_suspect(tenant, version)):
            self.check(tenant, version)
            await self._presence.wait()
            losses = self._presence.losses
            try:
                yield
            except ServingError as error:
                if isinstance(error, TritonGoneError):
                    self._presence.lost()
                # Whatever the error says: it was under way when Triton died.
                if self._presence.losses != losses:
                    self._died(self._quarantine.died(tenant, version))
                raise
        if self._quarantine.loaded(tenant):
            self._journal.released(tenant, "loaded well")
            self._save()

    def release(self, tenant: TenantId) -> bool:
        """Let the tenant be loaded again; returns whether anything was held against it."""
        was_held = self._quarantine.release(tenant)
        if was_held:
            self._journal.released(tenant, "was released by hand")
            self._save()
        return was_held

    def quarantined(self) -> list[Suspicion]:
        """Who is not loaded."""
        return list(self._quarantine)

    def _died(self, suspicion: Suspicion) -> None:
        self._save()
        if suspicion.is_quarantined:
            reason = _reason(suspicion.tenant, suspicion.version)
            self._journal.quarantined(suspicion.tenant, suspicion.version, reason)
        else:
            log.warning("Triton died while it loaded %s: its next load runs alone", suspicion.tenant)

    def _save(self) -> None:
        if self._path is None:
            return
        try:
            write_json(self._path, {"format": _FORMAT, "suspicions": self._quarantine.to_json()})
        except OSError as error:
            log.warning("what is held against tenants is not saved: %s", error)


class _SharedOrAlone:
    """Any number of shared holders, or one that is alone. Who wants to be alone is let in before later ones."""

    def __init__(self) -> None:
        self._door = asyncio.Lock()
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def enter(self, *, alone: bool) -> AsyncIterator[None]:
        if alone:
            async with self._door:
                await self._empty.wait()
                yield
            return
        async with self._door:
            self._inside += 1
            self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()


def _reason(tenant: TenantId, version: int) -> str:
    return (
        f"tenant {tenant} is quarantined: Triton died twice while it loaded version {version}. Publish another "
        f"version, or roll back; `orchard release {tenant}` has this one tried again"
    )
