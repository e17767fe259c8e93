"""A receiver of OpenTelemetry traces over OTLP/HTTP, as a collector would be one."""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """One span. Ids are hexadecimal, `parent` is empty for a root; times are in nanoseconds."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    began: int
    ended: int
    tenant: str
    failed: bool


class OtlpReceiver:
    """Listens on a free port; `spans` are those received so far."""

    def __init__(self) -> None:
        self.spans: list[ReceivedSpan] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.spans += _spans(request)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Be quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def of_trace(self, trace: str) -> list[ReceivedSpan]:
        """The spans of one trace, by their beginning."""
        return sorted((span for span in self.spans if span.trace == trace), key=lambda span: span.began)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _spans(request: Any) -> list[ReceivedSpan]:
    found = []
    for of_resource in request.resource_spans:
        resource = {each.key: each.value.string_value for each in of_resource.resource.attributes}
        for span in (span for scope in of_resource.scope_spans for span in scope.spans):
            attributes = {each.key: each.value.string_value for each in span.attributes}
            found.append(
                ReceivedSpan(
                    service=resource["service.name"],
                    name=span.name,
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    began=span.start_time_unix_nano,
                    ended=span.end_time_unix_nano,
                    tenant=attributes.get("tenant", ""),
                    failed=span.status.code == span.status.STATUS_CODE_ERROR,
                )
            )
    return found
