"""The measurements there are, by the name they are asked for. A new one is a module and a line here."""

from collections.abc import Callable

from loadtests.bench import cold_start, cold_store, memory, sagemaker_path, warm_path
from loadtests.bench.figures import Figure
from loadtests.bench.setting import Bench

Measurement = Callable[[Bench], list[Figure]]

MEASUREMENTS: dict[str, Measurement] = {
    "warm-path": warm_path.measure,
    "sagemaker-path": sagemaker_path.measure,
    "cold-start": cold_start.measure,
    "cold-store": cold_store.measure,
    "resident-memory": memory.measure_resident,
    "memory-left": memory.measure_cycles,
}
