"""How traces go through messages: as W3C Trace Context has it (https://www.w3.org/TR/trace-context/)."""

from typing import Annotated

from pydantic import Field, StringConstraints

TRACEPARENT_HEADER = "traceparent"
"""On requests, work items and events: of which span they come. Nobody needs it to be there."""

TRACEPARENTS_HEADER = "Taskmill-Traceparents"
"""The same on a bundle of requests: one for each, separated by commas; nothing for those without."""

Traceparent = Annotated[
    str | None,
    StringConstraints(pattern=r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"),
    Field(description="Of which span of a trace it comes (W3C Trace Context); null: it is not traced."),
]
