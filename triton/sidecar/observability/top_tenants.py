"""The tenants shown by name: a bounded number of them, and the same ones for as long as is right. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from sidecar.observability.latency import RecentLatencies
from tools.catalog.tenant import TenantId

_ELECTION = 60.0  # seconds
_KEPT_SHARE = 0.9  # of a tenant's weight from one election to the next: half is gone after seven
_INCUMBENCY = 3
_TRACKED = 10_000


@dataclass(slots=True)
class TenantTraffic:
    """One tenant's calls that were answered: how many, their seconds in all, and how recent and many they are."""

    tenant: TenantId
    calls: int = 0
    seconds: float = 0.0
    weight: float = 0.0
    recent: RecentLatencies | None = None


class TopTenants:
    """Who is shown: the pinned tenants, and `places` of the others, by their recent calls.

    A label value costs Prometheus a series for as long as it keeps data, so places do not change hands lightly: it
    takes three times the calls of who has one. Everybody else is a few numbers here, and no series.
    """

    def __init__(self, places: int, is_pinned: Callable[[TenantId], bool]) -> None:
        self.is_pinned = is_pinned
        self._places = places
        self._tenants: dict[TenantId, TenantTraffic] = {}
        self._shown = 0
        self._next_election = float("-inf")

    def add(self, tenant: TenantId, seconds: float, times: int, now: float) -> None:
        """Count `times` answered calls of `tenant` that took `seconds` each."""
        traffic = self._tenants.get(tenant)
        if traffic is None:
            traffic = self._tenants[tenant] = TenantTraffic(tenant)
        traffic.calls += times
        traffic.seconds += seconds * times
        traffic.weight += times
        if now >= self._next_election:
            self._elect(now)
        if traffic.recent is None and (self.is_pinned(tenant) or self._shown < self._places):
            self._show(traffic)
        if traffic.recent is not None:
            traffic.recent.add(seconds, times, now)

    def shown(self) -> list[TenantTraffic]:
        """The tenants that have a place, by name."""
        return sorted((each for each in self._tenants.values() if each.recent), key=attrgetter("tenant"))

    def _show(self, traffic: TenantTraffic) -> None:
        traffic.recent = traffic.recent or RecentLatencies()
        self._shown += not self.is_pinned(traffic.tenant)

    def _elect(self, now: float) -> None:
        self._next_election = now + _ELECTION
        others = [each for each in self._tenants.values() if not self.is_pinned(each.tenant)]
        others.sort(key=lambda each: each.weight * (_INCUMBENCY if each.recent else 1), reverse=True)
        self._shown = 0
        for each in others[: self._places]:
            self._show(each)
        for each in others[self._places :]:
            each.recent = None
        for each in others[_TRACKED:]:
            del self._tenants[each.tenant]
        for each in self._tenants.values():
            each.weight *= _KEPT_SHARE
