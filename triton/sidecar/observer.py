"""What Triton's statistics say of the residency table: who was used, who is there unasked, who is gone."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sidecar.changes import Changes
from sidecar.disk import DiskTier
from sidecar.memory.sizes import Sizes
from sidecar.observability.events import Cause, Journal
from sidecar.observability.metrics import Metrics
from sidecar.presence import Presence
from sidecar.recency import Touch
from sidecar.residency import Residency
from sidecar.slot import Slot, State
from sidecar.triton_client import Usage
from sidecar.unloader import Unloader
from tools.catalog.tenant import BadTenantIdError, TenantId, tenant_id


@dataclass(frozen=True, slots=True)
class Before:
    """The table as it was when a reading was asked for: who had a slot, and the serials of the resident ones."""

    present: frozenset[TenantId]
    resident: frozenset[int]


class Observer:
    """Keeps the table true to what Triton really holds."""

    def __init__(
        self,
        residency: Residency,
        disk: DiskTier,
        unloader: Unloader,
        journal: Journal,
        metrics: Metrics,
        changes: Changes,
        presence: Presence,
        sizes: Sizes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._residency = residency
        self._disk = disk
        self._unloader = unloader
        self._journal = journal
        self._metrics = metrics
        self._changes = changes
        self._presence = presence
        self._sizes = sizes
        self._clock = clock
        presence.subscribe(self._forget_all)

    def begin(self) -> Before:
        """The table now, before Triton is asked."""
        slots = tuple(self._residency)
        return Before(
            frozenset(slot.tenant for slot in slots),
            frozenset(slot.serial for slot in slots if slot.state is State.RESIDENT),
        )

    def observe(self, before: Before, usage: list[Usage], news: list[Touch]) -> None:
        """Take in one reading of Triton's statistics; `before` is what `begin` returned when it was asked for."""
        for touch in sorted(news, key=lambda touch: touch.at):
            self._metrics.requests += touch.uses
            self._metrics.failures += touch.failures
            self._metrics.inference_seconds += touch.seconds
            if touch.uses:
                self._residency.touch(TenantId(touch.tenant), touch.at, touch.uses)
        loaded = {model.tenant for model in usage}
        # Only a slot that was resident all the while the answer was on its way can be missing from it.
        stayed = [slot for slot in self._residency if slot.serial in before.resident and slot.state is State.RESIDENT]
        missing = [slot for slot in stayed if slot.tenant not in loaded]
        for slot in missing:
            self._forget(slot)
        if stayed and stayed == missing:
            # It has died and come back since the last reading, and nobody saw it go.
            self._presence.lost()
        for model in usage:
            # One that had a slot then and has none now has been unloaded meanwhile.
            if model.tenant not in before.present:
                self._adopt(model)
        self._unloader.start(
            self._residency.overflow(self._clock()), Cause.EVICTED, "because memory is over its budget"
        )

    def _forget_all(self) -> None:
        for slot in self._residency:
            if slot.state is State.RESIDENT:
                self._forget(slot)

    def _forget(self, slot: Slot) -> None:
        self._residency.forget(slot.tenant)
        self._journal.departed(slot.tenant, Cause.LOST, f"Triton has lost {slot.tenant}")
        self._changes.ring()

    def _adopt(self, model: Usage) -> None:
        try:
            tenant = tenant_id(model.tenant)
        except BadTenantIdError:
            return
        if self._residency.get(tenant) is not None:
            return
        manifest = self._disk.manifest(tenant)
        size = self._sizes.of(manifest) if manifest else 1
        self._residency.adopt(tenant, model.version, size, model.last_used, model.requests)
        if manifest:
            self._journal.adopted(tenant, model.version)
        else:
            # Nothing here says what it is or how large: whoever calls it gets it from the store, verified.
            self._residency.start_unloading(tenant)
            self._unloader.start((tenant,), Cause.UNKNOWN, "to this node's disk and is unloaded")
