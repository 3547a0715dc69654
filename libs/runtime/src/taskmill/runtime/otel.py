"""Spans of OpenTelemetry, exported by OTLP over HTTP. Imported only where an endpoint is set.

What is set beside the endpoint are OpenTelemetry's own variables, which its SDK reads: `OTEL_EXPORTER_OTLP_HEADERS`,
`OTEL_TRACES_SAMPLER`, `OTEL_RESOURCE_ATTRIBUTES` and so on.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Self

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanContext, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from taskmill.runtime.spans import Attributes, SpanKind

EXPORT_TIMEOUT_SECONDS = 5
EXPORT_INTERVAL_SECONDS = 1
SHUTDOWN_SECONDS = 1
"""A receiver that is away does not hold up the end of a service; its last spans are lost then."""

_KINDS = {kind.name.lower(): kind for kind in trace.SpanKind}
_PROPAGATOR = TraceContextTextMapPropagator()


class OtelSpan:
    """A `taskmill.runtime.tracing.Span`."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self.traceparent = _traceparent(span.get_span_context())

    def describe(self, attributes: Attributes, *, name: str | None = None) -> None:
        """See `Span`."""
        self._span.set_attributes(dict(attributes))
        if name is not None:
            self._span.update_name(name)

    def fail(self, reason: str) -> None:
        """See `Span`."""
        self._span.set_status(StatusCode.ERROR)
        self._span.set_attribute("error.type", reason)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """See `Span`."""
        trace_id = self.traceparent.split("-")[1]
        with (
            # What an error says may be a secret.
            trace.use_span(self._span, record_exception=False, set_status_on_exception=False),
            structlog.contextvars.bound_contextvars(trace_id=trace_id),
        ):
            yield

    def end(self) -> None:
        """See `Span`."""
        self._span.end()


class OtelTracer:
    """A `taskmill.runtime.tracing.Tracer`, which handlers' own spans go through, too.

    Args:
        service: The service's name, as in `task-store`.
        processor: Takes the spans that have ended.
    """

    def __init__(self, service: str, processor: SpanProcessor) -> None:
        name = f"taskmill-{service}"
        resource = Resource.create({"service.name": name, "service.version": version(name)})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        trace.set_tracer_provider(self._provider)
        self._tracer = self._provider.get_tracer("taskmill", version(name))

    @classmethod
    def exporting(cls, service: str, endpoint: str) -> Self:
        """One whose spans are exported, in batches, by a thread of its own.

        Args:
            service: The service's name.
            endpoint: The receiver's URL, to which `/v1/traces` is added.
        """
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_TIMEOUT_SECONDS)
        return cls(service, BatchSpanProcessor(exporter, schedule_delay_millis=EXPORT_INTERVAL_SECONDS * 1_000))

    def start(self, name: str, kind: SpanKind, parent: str | None, attributes: Attributes) -> OtelSpan:
        """See `start_span`."""
        context = Context()
        if parent is not None:
            context = _PROPAGATOR.extract({"traceparent": parent}, context)
        return self._start(name, kind, context, attributes)

    def start_child(self, name: str, kind: SpanKind, attributes: Attributes) -> OtelSpan | None:
        """See `start_child`."""
        is_within = trace.get_current_span().get_span_context().is_valid
        return self._start(name, kind, None, attributes) if is_within else None

    def current_traceparent(self) -> str | None:
        """See `current_traceparent`."""
        context = trace.get_current_span().get_span_context()
        return _traceparent(context) if context.is_valid else None

    def shut_down(self) -> None:
        """Export what there is, within a second."""
        thread = threading.Thread(target=self._provider.shutdown, name="tracing-shutdown", daemon=True)
        thread.start()
        thread.join(SHUTDOWN_SECONDS)

    def _start(self, name: str, kind: SpanKind, context: Context | None, attributes: Attributes) -> OtelSpan:
        return OtelSpan(self._tracer.start_span(name, context, _KINDS[kind], dict(attributes)))


def _traceparent(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
