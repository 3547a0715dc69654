"""Traces: which span of which trace something is done in.

Nothing of OpenTelemetry is imported, and next to nothing is done here, unless an endpoint is set. Between processes a
span is named by its `traceparent`, a text of W3C Trace Context.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import MappingProxyType

from taskmill.runtime.settings import TracingSettings
from taskmill.runtime.spans import Attributes, Span, SpanKind, Tracer

_NO_ATTRIBUTES: Attributes = MappingProxyType({})
_NOTHING = nullcontext()


class _Configured:
    tracer: Tracer | None = None


@contextmanager
def traced(service: str, settings: TracingSettings) -> Iterator[None]:
    """Trace what this process does, if an endpoint is set; at the end export what is left, within a second.

    Args:
        service: The service's name, as in `task-store`.
        settings: Where spans go.
    """
    if settings.otlp_endpoint is None:
        yield
        return
    from taskmill.runtime.otel import OtelTracer  # noqa: PLC0415 (it takes memory)

    tracer = _Configured.tracer = OtelTracer.exporting(service, settings.otlp_endpoint)
    try:
        yield
    finally:
        _Configured.tracer = None
        tracer.shut_down()


def is_tracing() -> bool:
    """Whether spans are made."""
    return _Configured.tracer is not None


def start_span(name: str, kind: SpanKind, parent: str | None, attributes: Attributes = _NO_ATTRIBUTES) -> Span | None:
    """Begin a span, whatever the current one is.

    Args:
        name: What is done: of few values, without ids.
        kind: Whether somebody is answered or asked, or a message sent or taken in.
        parent: The traceparent of the span that it belongs to; None, or no traceparent at all: it begins a trace.
        attributes: What else is to be known; nothing that a client says.

    Returns:
        None: nothing is traced.
    """
    tracer = _Configured.tracer
    return None if tracer is None else tracer.start(name, kind, parent, attributes)


def start_child(name: str, kind: SpanKind, attributes: Attributes = _NO_ATTRIBUTES) -> Span | None:
    """Begin a span within the current one; see `start_span`. None: nothing is traced, or there is no current one."""
    tracer = _Configured.tracer
    return None if tracer is None else tracer.start_child(name, kind, attributes)


def current_traceparent() -> str | None:
    """The traceparent of the current span; None: there is none."""
    tracer = _Configured.tracer
    return None if tracer is None else tracer.current_traceparent()


@contextmanager
def ending(spans: Iterable[Span | None]) -> Iterator[None]:
    """End spans when what is done within has ended; all have failed when it raises."""
    begun = [span for span in spans if span is not None]
    try:
        yield
    except BaseException as error:
        for span in begun:
            span.fail(type(error).__name__)
        raise
    finally:
        for span in begun:
            span.end()


def current(span: Span | None) -> AbstractContextManager[None]:
    """Have a span be the current one, and end it; None: nothing is traced."""
    return _NOTHING if span is None else _entered(span)


@contextmanager
def _entered(span: Span) -> Iterator[None]:
    with ending([span]), span.entered():
        yield
