"""What clients send where schedules are concerned."""

from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue

from taskmill.contracts.instants import GivenInstant
from taskmill.contracts.limits import DEFAULT_NEXT_TIMES, MAX_NEXT_TIMES
from taskmill.contracts.requests import Request
from taskmill.contracts.schedules import (
    BackfillSpan,
    CatchUpSeconds,
    CronLine,
    EndsAt,
    IntervalSeconds,
    Overlap,
    ScheduleFields,
    ScheduleName,
    StartsAt,
    TimeZone,
)
from taskmill.gateway.api.left_out import left_out, without_defaults
from taskmill.gateway.api.queries import is_decimal

# FastAPI wants the models of bodies whole.
_BUILT = ConfigDict(defer_build=False)


class NewSchedule(ScheduleFields):
    """A schedule that a client wants to exist. Either `cron` or `interval_seconds` is given."""

    model_config = _BUILT


class ScheduleDocument(ScheduleFields):
    """A schedule as GET gave it, with changes. Fields that are left out have the default of creation.

    Those that only Taskmill sets may be there. They are not compared: they change without the schedule's revision.
    """

    model_config = _BUILT

    id: Annotated[UUID | None, Field(description="The schedule's id: that of the path.")] = None
    timing: Annotated[str | None, Field(description="When it fires, in words.")] = None
    next_fire_at: Annotated[GivenInstant | None, Field(description="The next time.")] = None
    last_fire_at: Annotated[GivenInstant | None, Field(description="The newest time that came.")] = None
    missed_count: Annotated[int | None, Field(description="How many of its times were missed.")] = None
    missed_since: Annotated[GivenInstant | None, Field(description="The first of the newest that were missed.")] = None
    missed_until: Annotated[GivenInstant | None, Field(description="The last that was missed.")] = None
    revision: Annotated[int | None, Field(description="The ETag's number.")] = None
    created_at: Annotated[GivenInstant | None, Field(description="When it was made.")] = None
    updated_at: Annotated[GivenInstant | None, Field(description="When it last changed.")] = None

    def changes(self) -> dict[str, JsonValue]:
        """The fields that clients may set, as JSON values, as far as they were given."""
        return self.model_dump(mode="json", include=set(ScheduleFields.model_fields), exclude_unset=True)


class SchedulePatch(Request):
    """Changes of a schedule (RFC 7396): objects merge, null clears, fields that are left out keep their value."""

    model_config = ConfigDict(json_schema_extra=without_defaults)

    name: ScheduleName = Field(default_factory=left_out)
    template: Annotated[
        dict[str, JsonValue],
        Field(description="Merged into the template that is there; the outcome is one."),
    ] = Field(default_factory=left_out)
    cron: CronLine = Field(default_factory=left_out)
    time_zone: Annotated[TimeZone | None, Field(description="Cleared: UTC.")] = Field(default_factory=left_out)
    interval_seconds: IntervalSeconds = Field(default_factory=left_out)
    overlap: Annotated[Overlap | None, Field(description="Cleared: allow.")] = Field(default_factory=left_out)
    catch_up_seconds: Annotated[CatchUpSeconds | None, Field(description="Cleared: 3,600.")] = Field(
        default_factory=left_out
    )
    is_paused: Annotated[
        bool | None, Field(description="Whether its times pass without a task. They are not made up for later.")
    ] = Field(default_factory=left_out)
    starts_at: StartsAt = Field(default_factory=left_out)
    ends_at: EndsAt = Field(default_factory=left_out)

    def changes(self) -> dict[str, JsonValue]:
        """The fields that the client gave, as JSON values."""
        return self.model_dump(mode="json", exclude_unset=True)


class NewBackfill(BackfillSpan):
    """A span of the past whose times are to have their tasks. It may have 1,000 times."""

    model_config = _BUILT


class NextTimesQuery(Request):
    """How many times."""

    count: Annotated[
        Annotated[int, Field(ge=1, le=MAX_NEXT_TIMES, description="How many times. 1 to 100.")],
        BeforeValidator(is_decimal),
    ] = DEFAULT_NEXT_TIMES
