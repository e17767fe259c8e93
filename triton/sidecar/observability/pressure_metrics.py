"""How short the node is of memory and of turns, for Prometheus."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecar.cold_queue import ColdQueue
from sidecar.memory.sizes import Sizes
from sidecar.memory.watch import MemoryWatch
from sidecar.residency import Residency


class PressureMetrics(Collector):
    """The memory that is watched, the ceiling it puts on models, and the line of cold calls."""

    def __init__(self, residency: Residency, memory: MemoryWatch, sizes: Sizes, queue: ColdQueue) -> None:
        self._residency = residency
        self._memory = memory
        self._sizes = sizes
        self._queue = queue

    def collect(self) -> Iterator[Metric]:
        """The figures, read where they are kept. None of the watched memory until it was read."""
        yield _gauge(
            "orchard_ceiling_bytes",
            "What models may hold: less than the budget while memory is short",
            self._residency.ceiling,
        )
        yield _gauge("orchard_size_factor", "Measured over reckoned bytes of models, in general", self._sizes.factor)
        yield _gauge("orchard_cold_waiting", "Calls that wait for their tenant to be loaded", self._queue.waiting)
        yield _gauge("orchard_cold_waiting_most", "Calls that may wait so", self._queue.longest)
        text = "Calls turned away at once because too many waited"
        yield CounterMetricFamily("orchard_cold_refused", text, value=self._queue.refused)
        reading = self._memory.reading
        if reading is None:
            return
        for name, text, value in (
            (
                "orchard_memory_used_bytes",
                "Memory that Triton uses",
                reading.used,
            ),
            ("orchard_memory_limit_bytes", "What it could come to in all", reading.limit),
        ):
            family = GaugeMetricFamily(name, text, labels=["by"])
            family.add_metric([reading.by.value], value)
            yield family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
