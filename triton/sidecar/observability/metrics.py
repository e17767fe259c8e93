"""What the sidecar counts of one node, for Prometheus, for `orchard status` and for the status page."""

from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecar.disk import DiskTier
from sidecar.memory.machine import read_machine_memory
from sidecar.observability.events import Cause, Journal, Kind
from sidecar.residency import Residency
from sidecar.slot import State
from sidecar.supply import Origin, Supply

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0)


class Metrics(Collector):
    """The counts of one sidecar. No series is kept per tenant; see `Traffic` for those of the top ones.

    `requests` are those Triton answered, cold ones included, `failures` those it could not, `inference_seconds` its
    own time for the first. `cold_calls` are those that waited for a cold start, by where it took the entry from.
    """

    def __init__(self, residency: Residency, journal: Journal, registry: CollectorRegistry) -> None:
        self.requests = 0
        self.failures = 0
        self.inference_seconds = 0.0
        self.triton_up = True
        self.triton_outages = 0
        self.cold_calls: Counter[Origin] = Counter()
        self._residency = residency
        self._journal = journal
        self._registry = registry
        registry.register(self)
        ProcessCollector(registry=registry)
        self._waits = _histogram(registry, "orchard_loading_wait_seconds", "Time calls waited for their tenant to load")
        self._unloads = _histogram(
            registry, "orchard_unload_seconds", "Time from asking for an unload until it was done"
        )
        self._cold_starts = Histogram(
            "orchard_cold_start_seconds",
            "Time from the first call of a tenant that was not resident until it was",
            ["origin"],
            buckets=_SECONDS,
            registry=registry,
        )
        for origin in Origin:
            self._cold_starts.labels(origin.value)

    def waited(self, origin: Origin, seconds: float) -> None:
        """Count one call that waited for a cold start."""
        self.cold_calls[origin] += 1
        self._waits.observe(seconds)

    def cold_start(self, origin: Origin, seconds: float) -> None:
        """Time one cold start that ended well."""
        self._cold_starts.labels(origin.value).observe(seconds)

    def unloaded(self, seconds: float) -> None:
        """Time one unload."""
        self._unloads.observe(seconds)

    def triton_answers(self, does: bool) -> None:
        """Note whether Triton answers."""
        self.triton_outages += self.triton_up and not does
        self.triton_up = does

    @property
    def misses(self) -> int:
        """Calls that waited for a cold start."""
        return self.cold_calls.total()

    @property
    def hits(self) -> int:
        """Calls that found their tenant resident."""
        return max(self.requests - self.misses, 0)

    def render(self) -> bytes:
        """Everything in the registry, in Prometheus's text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The counters and gauges, read where they are kept."""
        yield _counter("orchard_requests", "Inference requests that Triton answered", self.requests)
        yield _counter("orchard_request_failures", "Inference requests that Triton could not answer", self.failures)
        yield _counter("orchard_inference_seconds", "Triton's own time for what it answered", self.inference_seconds)
        yield _counter("orchard_triton_outages", "Times that Triton stopped answering", self.triton_outages)
        yield _gauge("orchard_triton_up", "Whether Triton answers", self.triton_up)
        yield from self._events()
        yield _gauge("orchard_budget_bytes", "The memory budget", self._residency.budget)
        yield _gauge("orchard_held_bytes", "Memory reckoned to be held by models", self._residency.held_bytes)
        states = Counter(slot.state.value for slot in self._residency)
        yield _labelled_gauge("orchard_models", "Models by state", "state", {s.value: states[s.value] for s in State})

    def _events(self) -> Iterator[Metric]:
        counts = self._journal.counts
        cold = {origin.value: self.cold_calls[origin] for origin in Origin}
        yield _labelled("orchard_cold_calls", "Calls that waited for a cold start", "origin", cold)
        causes = {cause.value: counts[Kind.LOADED, cause] for cause in Cause}
        yield _labelled("orchard_cold_starts", "Cold starts, by why the tenant was not resident", "cause", causes)
        failed = sum(counts[Kind.LOAD_FAILED, cause] for cause in Cause)
        yield _counter("orchard_cold_start_failures", "Cold starts that did not end well", failed)
        yield _counter("orchard_evictions", "Models unloaded to make room", self._journal.evictions)
        left = {cause.value: counts[Kind.DEPARTED, cause] for cause in Cause if cause is not Cause.NEW}
        yield _labelled("orchard_departures", "Models that left memory, by cause", "cause", left)
        yield _counter("orchard_updates", "Newer versions that took over", counts[Kind.UPDATED, None])
        refused = len(self._journal.refused)
        yield _gauge("orchard_quarantined_tenants", "Tenants whose model does not load as it is", refused)


class NodeMetrics(Collector):
    """The parts around the residency table: the disk tier, the store, the machine, and what is running."""

    def __init__(self, disk: DiskTier, supply: Supply, triton_version: str) -> None:
        self._disk = disk
        self._supply = supply
        self._triton_version = triton_version

    def collect(self) -> Iterator[Metric]:
        """The gauges, read where they are kept."""
        yield _gauge("orchard_disk_budget_bytes", "The budget of the disk tier", self._disk.budget)
        yield _gauge("orchard_disk_bytes", "Bytes of entries on disk", self._disk.used_bytes)
        yield _gauge("orchard_disk_entries", "Entries on disk", len(self._disk))
        yield _gauge("orchard_store_up", "Whether the store answered when last asked", self._supply.store_answers)
        memory = read_machine_memory()
        yield _gauge("orchard_machine_memory_bytes", "Memory of the machine", memory.total)
        yield _gauge("orchard_machine_memory_available_bytes", "Memory that is free or easily freed", memory.available)
        build = GaugeMetricFamily("orchard_build_info", "What is running", labels=["version", "triton"])
        build.add_metric([version("orchard"), self._triton_version], 1)
        yield build


def _histogram(registry: CollectorRegistry, name: str, text: str) -> Histogram:
    return Histogram(name, text, buckets=_SECONDS, registry=registry)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _labelled(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    return _filled(CounterMetricFamily(name, text, labels=[label]), values)


def _labelled_gauge(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    return _filled(GaugeMetricFamily(name, text, labels=[label]), values)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, values: dict[str, int]) -> Metric:
    for value, count in values.items():
        family.add_metric([value], count)
    return family
