"""Where the time of a cold start goes."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from time import perf_counter

from prometheus_client import CollectorRegistry, Histogram

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Phase(Enum):
    """The parts of a cold start, in their order.

    look: the live pointer. fetch: the bundle, hashed and unpacked as it comes. place: the entry renamed into the
    repository. verify: an entry that was on disk is hashed again. room: a turn, victims chosen, unloaded and gone.
    load: Triton's own. answer: the first inference.
    """

    LOOK = "look"
    FETCH = "fetch"
    PLACE = "place"
    VERIFY = "verify"
    ROOM = "room"
    LOAD = "load"
    ANSWER = "answer"


class Phases:
    """Times phases, of those that end well, into one histogram. Safe to use from many threads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._histogram = Histogram(
            "orchard_cold_phase_seconds", "Parts of a cold start", ["phase"], buckets=_SECONDS, registry=registry
        )
        for phase in Phase:
            self._histogram.labels(phase.value)

    @contextmanager
    def timed(self, phase: Phase) -> Iterator[None]:
        """Time the block as one `phase`."""
        began = perf_counter()
        yield
        self._histogram.labels(phase.value).observe(perf_counter() - began)
