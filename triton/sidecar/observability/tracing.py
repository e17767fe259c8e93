"""OpenTelemetry traces of cold starts; nothing at all unless an endpoint is configured.

The settings are OpenTelemetry's own: OTEL_EXPORTER_OTLP_ENDPOINT turns it on, OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER
and the others mean what its specification says. Spans go out over OTLP/HTTP, in batches, from a thread of their own.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

from sidecar.settings import BadSettingError

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Tracing(Protocol):
    """Where spans go. A span's parent is the span around it in the same context, else what `adopt` found."""

    def adopt(self, headers: Mapping[str, str]) -> None:
        """Continue the caller's trace (`traceparent`), if the headers name one."""
        ...

    def span(self, name: str, **attributes: str | int) -> AbstractContextManager[None]:
        """A span around the block. An exception that leaves the block marks it as failed."""
        ...

    def close(self) -> None:
        """Send what has not been sent."""
        ...


class NoTracing:
    """No endpoint, no spans."""

    def adopt(self, headers: Mapping[str, str]) -> None:
        """Nothing."""

    def span(self, name: str, **attributes: str | int) -> AbstractContextManager[None]:
        """Nothing around the block."""
        return nullcontext()

    def close(self) -> None:
        """Nothing."""


class OtlpTracing:
    """Spans by OpenTelemetry's SDK, which reads its settings from the environment."""

    def __init__(self) -> None:
        # Heavy, and not installed everywhere: only whoever traces pays for it.
        from opentelemetry import context
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        name = {} if "OTEL_SERVICE_NAME" in os.environ else {SERVICE_NAME: "orchard-sidecar"}
        self._provider = TracerProvider(resource=Resource.create(name))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("orchard")
        self._attach: Callable[[Any], object] = context.attach
        self._extract = TraceContextTextMapPropagator().extract

    def adopt(self, headers: Mapping[str, str]) -> None:
        """Continue the caller's trace."""
        lower = {name.lower(): value for name, value in headers.items()}
        self._attach(self._extract(lower))

    @contextmanager
    def span(self, name: str, **attributes: str | int) -> Iterator[None]:
        """A span around the block."""
        with self._tracer.start_as_current_span(name, attributes=dict(attributes)):
            yield

    def close(self) -> None:
        """Send what has not been sent."""
        self._provider.shutdown()


def open_tracing(environment: Mapping[str, str]) -> Tracing:
    """What the environment asks for.

    Raises:
        BadSettingError: an endpoint is set, and OpenTelemetry is not installed.
    """
    if not any(environment.get(name) for name in _ENDPOINTS):
        return NoTracing()
    try:
        return OtlpTracing()
    except ModuleNotFoundError as error:
        raise BadSettingError(
            f"{_ENDPOINTS[0]} is set but {error.name} is missing: pip install orchard[tracing]"
        ) from None
