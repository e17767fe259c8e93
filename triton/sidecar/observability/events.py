"""What happens to tenants: each event counted, logged once, and the latest kept for the status page."""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from sidecar.errors import LoadFailedError
from sidecar.observability.request_ids import current_request_id
from tools.catalog.tenant import TenantId

log = logging.getLogger("sidecar.events")

_KEPT = 200
# Tenants whose last departure is remembered, to say at their next cold start why there is one.
_REMEMBERED = 20_000


class Kind(Enum):
    """What happened."""

    LOADED = "loaded"
    LOAD_FAILED = "load_failed"
    UPDATED = "updated"
    ADOPTED = "adopted"
    DEPARTED = "departed"
    QUARANTINED = "quarantined"
    RELEASED = "released"


class Cause(Enum):
    """Why a tenant left memory, and so why its next call is a cold start."""

    NEW = "new"  # it has not been in memory since the sidecar started
    EVICTED = "evicted"  # to make room
    SHED = "shed"  # the machine was short of memory
    UNLOADED = "unloaded"  # as asked by hand
    DELETED = "deleted"  # from the store
    OUTGROWN = "outgrown"  # no room for a newer version beside it
    FAILED = "failed"  # a load that did not end well
    UNKNOWN = "unknown"  # Triton held it, and nothing on disk says what it is
    LOST = "lost"  # Triton has it no more, and was not asked to


@dataclass(frozen=True, slots=True)
class Event:
    """`at` is in epoch seconds, `seconds` how long it took, `text` says it in words."""

    kind: Kind
    tenant: TenantId
    cause: Cause | None
    text: str
    at: float
    request_id: str | None
    version: int | None = None
    seconds: float | None = None

    def facts(self) -> dict[str, Any]:
        """What is known of it, as JSON has it."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return {name: value.value if isinstance(value, Enum) else value for name, value in known.items()}


class Journal:
    """The events of one sidecar. `counts` is by kind and cause; `refused` holds why a tenant will not load as it is."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.counts: Counter[tuple[Kind, Cause | None]] = Counter()
        self.refused: dict[TenantId, str] = {}
        self._clock = clock
        self._total = 0
        self._latest: deque[Event] = deque(maxlen=_KEPT)
        self._departures: dict[TenantId, Cause] = {}

    def loaded(self, tenant: TenantId, version: int, origin: str, seconds: float) -> None:
        """A cold start has ended well; `origin` is where the entry was taken from."""
        self.refused.pop(tenant, None)
        cause = self._departures.pop(tenant, Cause.NEW)
        text = f"{tenant} v{version} is resident, from {origin} in {1e3 * seconds:.0f} ms (cause: {cause.value})"
        self._record(Kind.LOADED, tenant, cause, text, version, seconds)

    def load_failed(self, tenant: TenantId, error: BaseException) -> None:
        """A cold start has ended badly."""
        if isinstance(error, LoadFailedError):
            self._refuse(tenant, str(error))
        cause = self._departures.get(tenant, Cause.NEW)
        self._record(
            Kind.LOAD_FAILED, tenant, cause, f"the cold start of {tenant} failed: {error}", level=logging.WARNING
        )

    def updated(self, tenant: TenantId, version: int, seconds: float) -> None:
        """A newer version has taken over from the resident one."""
        self.refused.pop(tenant, None)
        self._record(Kind.UPDATED, tenant, None, f"{tenant} v{version} has taken over", version, seconds)

    def quarantined(self, tenant: TenantId, version: int, reason: str) -> None:
        """This version of the tenant is not loaded any more."""
        self._refuse(tenant, reason)
        self._record(Kind.QUARANTINED, tenant, None, reason, version, level=logging.ERROR)

    def released(self, tenant: TenantId, how: str) -> None:
        """Nothing is held against the tenant any more."""
        self.refused.pop(tenant, None)
        self._record(Kind.RELEASED, tenant, None, f"{tenant} {how}: it is not suspected any more")

    def adopted(self, tenant: TenantId, version: int) -> None:
        """Triton held it already."""
        self._record(Kind.ADOPTED, tenant, None, f"{tenant} v{version} is resident already", version)

    def departed(self, tenant: TenantId, cause: Cause, text: str) -> None:
        """The tenant leaves memory."""
        self._departures.pop(tenant, None)
        while len(self._departures) >= _REMEMBERED:
            self._departures.pop(next(iter(self._departures)))
        self._departures[tenant] = cause
        expected = cause in (Cause.EVICTED, Cause.SHED, Cause.UNLOADED, Cause.DELETED, Cause.OUTGROWN)
        self._record(Kind.DEPARTED, tenant, cause, text, level=logging.INFO if expected else logging.WARNING)

    @property
    def evictions(self) -> int:
        """Models unloaded to make room."""
        return self.counts[Kind.DEPARTED, Cause.EVICTED]

    @property
    def loads(self) -> int:
        """Cold starts that ended well."""
        return sum(count for (kind, _), count in self.counts.items() if kind is Kind.LOADED)

    def since(self, number: int) -> tuple[int, list[Event]]:
        """The events after the first `number` of them, as far as they are kept; and how many there have been."""
        new = min(max(self._total - number, 0), len(self._latest))
        return self._total, list(self._latest)[len(self._latest) - new :]

    def _refuse(self, tenant: TenantId, reason: str) -> None:
        while len(self.refused) >= _REMEMBERED:
            self.refused.pop(next(iter(self.refused)))
        self.refused[tenant] = reason

    def _record(
        self,
        kind: Kind,
        tenant: TenantId,
        cause: Cause | None,
        text: str,
        version: int | None = None,
        seconds: float | None = None,
        level: int = logging.INFO,
    ) -> None:
        event = Event(kind, tenant, cause, text, self._clock(), current_request_id(), version, seconds)
        self.counts[kind, cause] += 1
        self._total += 1
        self._latest.append(event)
        log.log(level, "%s", text, extra={"event": event})
