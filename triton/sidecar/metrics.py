"""What the sidecar counts, for Prometheus and for `orchard status`."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecar.residency import Residency
from sidecar.slot import State
from sidecar.supply import Origin

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0)


class Metrics(Collector):
    """The counts of one sidecar. No series is kept per tenant.

    `requests` are those Triton answered, cold ones included; `cold_calls` those that waited for a cold start, by
    where it took the entry from; `evictions` are models unloaded to make room.
    """

    def __init__(self, residency: Residency, registry: CollectorRegistry) -> None:
        self.requests = 0
        self.evictions = 0
        self.cold_calls: Counter[Origin] = Counter()
        self._residency = residency
        self._registry = registry
        self._registry.register(self)
        self._cold_starts = Histogram(
            "orchard_cold_start_seconds",
            "Time from the first call of a tenant that was not resident until it was",
            ["origin"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.loads = 0

    def cold_start(self, origin: Origin, seconds: float) -> None:
        """Count one cold start that ended well."""
        self.loads += 1
        self._cold_starts.labels(origin.value).observe(seconds)

    @property
    def misses(self) -> int:
        """Calls that waited for a cold start."""
        return self.cold_calls.total()

    @property
    def hits(self) -> int:
        """Calls that found their tenant resident."""
        return max(self.requests - self.misses, 0)

    def render(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The counters and gauges, read where they are kept."""
        yield CounterMetricFamily("orchard_requests", "Inference requests that Triton answered", value=self.requests)
        yield CounterMetricFamily("orchard_evictions", "Models unloaded to make room", value=self.evictions)
        cold = CounterMetricFamily("orchard_cold_calls", "Calls that waited for a cold start", labels=["origin"])
        for origin in Origin:
            cold.add_metric([origin.value], self.cold_calls[origin])
        yield cold
        yield GaugeMetricFamily("orchard_budget_bytes", "The memory budget", value=self._residency.budget)
        yield GaugeMetricFamily(
            "orchard_held_bytes", "Memory reckoned to be held by models", value=self._residency.held_bytes
        )
        states = Counter(slot.state for slot in self._residency)
        models = GaugeMetricFamily("orchard_models", "Models by state", labels=["state"])
        for state in State:
            models.add_metric([state.value], states[state])
        yield models
