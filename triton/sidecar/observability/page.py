"""The status page: static files, and the figures they ask for once a second. On the admin port, never public."""

import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from aiohttp import web

from sidecar.disk import DiskTier
from sidecar.errors import BadInputError, ServingError
from sidecar.observability.events import Journal
from sidecar.observability.metrics import Metrics
from sidecar.observability.traffic import Start, Traffic
from sidecar.observer import Before
from sidecar.recency import Recency
from sidecar.residency import Residency
from sidecar.slot import Slot
from sidecar.supply import Supply

_MOST_RESIDENTS = 300
_TYPES = {"index.html": "text/html", "status.css": "text/css", "status.js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class StatusPage:
    """The page at `/`. It shows what the metrics count, the residents called last, and the latest events."""

    residency: Residency
    disk: DiskTier
    supply: Supply
    journal: Journal
    metrics: Metrics
    traffic: Traffic
    recency: Recency[Before]

    def routes(self) -> list[web.RouteDef]:
        """The page, what belongs to it, and `/page/data?since=N`: everything, and the events after the first N."""
        return [
            web.get("/", self._file),
            web.get("/page/{name:status.css|status.js}", self._file),
            web.get("/page/data", self._data),
        ]

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info.get("name", "index.html")
        text = files("sidecar.observability").joinpath("page", name).read_text()
        return web.Response(text=text, content_type=_TYPES[name], charset="utf-8", headers=_HEADERS)

    async def _data(self, request: web.Request) -> web.Response:
        since = request.query.get("since", "0")
        if not since.isdecimal() or len(since) > 15:
            raise BadInputError("since is the number of events that were seen")
        with suppress(ServingError):  # the page says that Triton does not answer
            await self.recency.refresh()
        return web.json_response(self._now(int(since)))

    def _now(self, since: int) -> dict[str, Any]:
        slots = sorted(self.residency, key=lambda slot: slot.last_used, reverse=True)
        seen, events = self.journal.since(since)
        answered = sum(self.traffic.answers.values())
        return {
            "now": time.time(),
            "version": version("orchard"),
            "triton_up": self.metrics.triton_up,
            "store_up": self.supply.store_answers,
            "quarantined": len(self.journal.refused),
            "answered": answered,
            "failed": answered - self.traffic.answered_well,
            "hits": self.metrics.hits,
            "misses": self.metrics.misses,
            "recent": self._recent(),
            "budget_bytes": self.residency.budget,
            "held_bytes": self.residency.held_bytes,
            "disk_bytes": self.disk.used_bytes,
            "disk_budget_bytes": self.disk.budget,
            "disk_entries": len(self.disk),
            "models": len(slots),
            "residents": [_resident(slot) for slot in slots[:_MOST_RESIDENTS]],
            "loads": self.journal.loads,
            "evictions": self.journal.evictions,
            "seen": seen,
            "events": [event.facts() for event in events],
            "top": [
                {
                    "tenant": each.tenant,
                    "pinned": self.traffic.top.is_pinned(each.tenant),
                    "calls": each.calls,
                    "quantiles": recent.quantiles,
                }
                for each, recent in self.traffic.of_tenants()
            ],
        }

    def _recent(self) -> dict[str, Any]:
        """Of the last minute or two: the hit ratio, and [p50, p95, p99] in seconds of warm and of cold calls."""
        warm, cold = self.traffic.recent(Start.WARM), self.traffic.recent(Start.DISK, Start.FETCH)
        calls = warm.calls + cold.calls
        return {
            "hit_ratio": warm.calls / calls if calls else None,
            "warm": warm.quantiles,
            "cold": cold.quantiles,
        }


def _resident(slot: Slot) -> dict[str, Any]:
    return {
        "tenant": slot.tenant,
        "state": slot.state.value,
        "bytes": slot.held_bytes,
        "pinned": slot.pinned,
        "last_used": slot.last_used,
        "uses": slot.uses,
    }
