"""A receiver of traces, as a collector has it: OTLP over HTTP, in protobuf."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as it came.

    Attributes:
        trace_id: In hexadecimal.
        id: In hexadecimal.
        parent_id: In hexadecimal; empty: it begins a trace.
        kind: `server`, `client`, `producer`, `consumer` or `internal`.
        service: The service's name.
        is_failed: Whether it says that it failed.
    """

    trace_id: str
    id: str
    parent_id: str
    name: str
    kind: str
    service: str
    is_failed: bool
    attributes: dict[str, Any] = field(compare=False)


@dataclass
class OtlpReceiver:
    """What was received so far.

    Attributes:
        url: Where it is, without the path.
        spans: All spans, in the order in which they came.
        refused: Paths that were asked for and are none of OTLP's.
    """

    url: str = ""
    spans: list[ReceivedSpan] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def take_in(self, body: bytes) -> None:
        """Read a request."""
        for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = {it.key: it.value.string_value for it in resource_spans.resource.attributes}
            for scope_spans in resource_spans.scope_spans:
                self.spans += [_received(span, resource["service.name"]) for span in scope_spans.spans]


def _received(span: SpanMessage, service: str) -> ReceivedSpan:
    return ReceivedSpan(
        trace_id=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=SpanMessage.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        service=service,
        is_failed=span.status.code == Status.STATUS_CODE_ERROR,
        attributes={it.key: getattr(it.value, str(it.value.WhichOneof("value"))) for it in span.attributes},
    )


@contextmanager
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """Yield a receiver that serves on loopback."""
    receiver = OtlpReceiver()

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_traces = self.path == "/v1/traces"
            if is_traces:
                receiver.take_in(body)
            else:
                receiver.refused.append(self.path)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200 if is_traces else 404)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
