"""Activity: how much was done in each minute, and how long it took."""

from typing import Annotated

from pydantic import Field

from taskmill.contracts.limits import MAX_ACTIVITY_MINUTES
from taskmill.contracts.requests import Request
from taskmill.contracts.tasks import Instant, WireModel


class ReadActivity(Request):
    """Read what was done in the last minutes. Replied to with `Activity`."""

    minutes: Annotated[int, Field(ge=1, le=MAX_ACTIVITY_MINUTES, description="How many minutes back.")] = 60


class Spans(WireModel):
    """How long something took, estimated from how often it took about how long; null: it did not happen."""

    p50_seconds: Annotated[float | None, Field(ge=0, description="Half of them took no longer.")] = None
    p95_seconds: Annotated[float | None, Field(ge=0, description="19 of 20 took no longer.")] = None


class ActivityMinute(WireModel):
    """What was done in a minute, as far as task stores have written it down: each does so every 10 s."""

    at: Annotated[Instant, Field(description="When the minute began.")]
    created: Annotated[int, Field(ge=0, description="Tasks that were created.")] = 0
    completed: Annotated[int, Field(ge=0, description="Runs that completed.")] = 0
    failed: Annotated[int, Field(ge=0, description="Runs that failed.")] = 0
    cancelled: Annotated[int, Field(ge=0, description="Tasks that were cancelled.")] = 0
    waited: Annotated[Spans, Field(description="From when an attempt is queued to its start.")] = Spans()
    ran: Annotated[Spans, Field(description="From the start of an attempt to its end.")] = Spans()
    oldest_queued_seconds: Annotated[
        float | None, Field(ge=0, description="How long the oldest queued task had waited, at most; null: none did.")
    ] = None


class Activity(WireModel):
    """The last minutes in which something was done or waited, oldest first. The newest is not over."""

    items: Annotated[list[ActivityMinute], Field(description="A minute in which nothing happened is left out.")]
