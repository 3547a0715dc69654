"""What `taskmill.runtime.tracing` needs of OpenTelemetry."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Literal, Protocol

SpanKind = Literal["server", "client", "producer", "consumer"]
Attributes = Mapping[str, str | int]


class Span(Protocol):
    """Something that is being done."""

    @property
    def traceparent(self) -> str:
        """Names it in other processes."""

    def describe(self, attributes: Attributes, *, name: str | None = None) -> None:
        """Say what is known only now; `name` None: it keeps its name."""

    def fail(self, reason: str) -> None:
        """Say that it failed, and why: a code or the class of an error, never its text."""

    def entered(self) -> AbstractContextManager[None]:
        """Be what is done now: for spans that are begun within, and for the lines of the log."""

    def end(self) -> None:
        """It is done."""


class Tracer(Protocol):
    """Makes spans; `taskmill.runtime.otel` has the one that there is."""

    def start(self, name: str, kind: SpanKind, parent: str | None, attributes: Attributes) -> Span:
        """Begin a span; see `start_span`."""

    def start_child(self, name: str, kind: SpanKind, attributes: Attributes) -> Span | None:
        """Begin a span within the current one; None: there is none."""

    def current_traceparent(self) -> str | None:
        """The current span's; None: there is none."""

    def shut_down(self) -> None:
        """Export what there is, within a second."""
