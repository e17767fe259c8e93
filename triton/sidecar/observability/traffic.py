"""How calls were answered, as their clients saw it: statuses, latencies warm and cold, and the top tenants'."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecar.observability.latency import Buckets, RecentLatencies, quantiles
from sidecar.observability.top_tenants import TenantTraffic, TopTenants
from tools.catalog.tenant import TenantId

QUANTILES = (0.5, 0.95, 0.99)
_GOOD = ("200", "OK")


class Start(Enum):
    """What a call found: its tenant in memory, or a cold start from disk or from the store."""

    WARM = "warm"
    DISK = "disk"
    FETCH = "fetch"


@dataclass(frozen=True, slots=True)
class Recent:
    """Calls of the last minute or two, and their `QUANTILES` in seconds, None where there were none."""

    calls: int
    quantiles: list[float | None]


class Traffic(Collector):
    """Counts answers. Latencies are those of calls answered well; `top` has the tenants shown by name."""

    def __init__(self, top: TopTenants, clock: Callable[[], float] = time.monotonic) -> None:
        self.top = top
        self.answers: Counter[str] = Counter()
        self._clock = clock
        self._histograms = {start: Buckets() for start in Start}
        self._recent = {start: RecentLatencies() for start in Start}

    def add(self, tenant: TenantId, status: str, start: Start, seconds: float, times: int = 1) -> None:
        """Count `times` calls answered with `status` (HTTP's, or gRPC's name) after `seconds` each."""
        self.answers[status] += times
        # Only calls answered well: a tenant is whatever the client wrote until Triton has answered for it.
        if status not in _GOOD:
            return
        now = self._clock()
        self._histograms[start].add(seconds, times)
        self._recent[start].add(seconds, times, now)
        self.top.add(tenant, seconds, times, now)

    @property
    def answered_well(self) -> int:
        """Calls that got predictions."""
        return sum(self.answers[status] for status in _GOOD)

    def recent(self, *starts: Start) -> Recent:
        """The latest calls of those `starts` together."""
        return _summarise([self._recent[start] for start in starts], self._clock())

    def of_tenants(self) -> list[tuple[TenantTraffic, Recent]]:
        """The tenants shown by name, and their latest calls."""
        now = self._clock()
        return [(each, _summarise([each.recent], now)) for each in self.top.shown() if each.recent]

    def collect(self) -> Iterator[Metric]:
        """Everything here, for Prometheus."""
        answers = CounterMetricFamily("orchard_answers", "Inference calls answered, by status", labels=["status"])
        for status, count in sorted(self.answers.items()):
            answers.add_metric([status], count)
        yield answers
        latency = HistogramMetricFamily(
            "orchard_request_seconds", "Time to answer a call, as the front sees it", labels=["start"]
        )
        for start, buckets in self._histograms.items():
            latency.add_metric([start.value], buckets.cumulative(), buckets.sum)
        yield latency
        yield self._tenants()

    def _tenants(self) -> Metric:
        name = "orchard_tenant_request_seconds"
        family = Metric(name, "Time to answer calls of the top tenants, over the last minute or two", "summary")
        for each, recent in self.of_tenants():
            labels = {"tenant": each.tenant, "pinned": "yes" if self.top.is_pinned(each.tenant) else "no"}
            for quantile, seconds in zip(QUANTILES, recent.quantiles, strict=True):
                if seconds is not None:
                    family.add_sample(name, {**labels, "quantile": str(quantile)}, seconds)
            family.add_sample(f"{name}_sum", labels, each.seconds)
            family.add_sample(f"{name}_count", labels, each.calls)
        return family


def _summarise(latencies: Iterable[RecentLatencies], now: float) -> Recent:
    counts = sum((each.counts(now) for each in latencies), Counter[float]())
    return Recent(counts.total(), quantiles(counts, QUANTILES))
