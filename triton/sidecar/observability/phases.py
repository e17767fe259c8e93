"""Where the time of a cold start goes: one histogram, and one span each where traces are wanted."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import Enum
from time import perf_counter

from prometheus_client import CollectorRegistry, Histogram

from sidecar.observability.tracing import NoTracing, Tracing
from tools.catalog.tenant import TenantId

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
    """Times phases, of those that end well. Safe to use from many threads."""

    def __init__(self, registry: CollectorRegistry, tracing: Tracing | None = None) -> None:
        self._tracing = tracing or NoTracing()
        self._histogram = Histogram(
            "orchard_cold_phase_seconds", "Parts of a cold start", ["phase"], buckets=_SECONDS, registry=registry
        )
        for phase in Phase:
            self._histogram.labels(phase.value)

    @contextmanager
    def timed(self, phase: Phase, tenant: TenantId) -> Iterator[None]:
        """Time the block as one `phase` of the tenant's cold start."""
        began = perf_counter()
        with self._tracing.span(phase.value, tenant=tenant):
            yield
        self._histogram.labels(phase.value).observe(perf_counter() - began)

    def call(self, tenant: TenantId) -> AbstractContextManager[None]:
        """The span of a call whose tenant is not resident: all phases are in it."""
        return self._tracing.span("cold call", tenant=tenant)
