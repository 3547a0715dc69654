"""Schedules: tasks that are made again and again, at the times of a cron line or at an interval."""

from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from taskmill.contracts.instants import GivenInstant
from taskmill.contracts.limits import (
    DEFAULT_CATCH_UP_SECONDS,
    DEFAULT_NEXT_TIMES,
    DEFAULT_PAGE_ITEMS,
    MAX_CATCH_UP_SECONDS,
    MAX_CRON_CHARS,
    MAX_INTERVAL_SECONDS,
    MAX_NEXT_TIMES,
    MAX_SCHEDULE_NAME_CHARS,
    MIN_CATCH_UP_SECONDS,
)
from taskmill.contracts.patterns import CRON_PATTERN, TIME_ZONE_PATTERN
from taskmill.contracts.requests import (
    ClientFields,
    Cursor,
    ExpectedRevision,
    KeyedRequest,
    PageLimit,
    Request,
)
from taskmill.contracts.tasks import WITHOUT_NUL, ConcurrencyKey, Instant, NextCursor, Queue, WireModel

# Few processes need these, and their validators take memory: they are built when they are used first.
_LAZY = ConfigDict(defer_build=True)


class TaskTemplate(ClientFields):
    """What each task of a schedule is made of: the fields of a new task, but for when it is processed."""

    model_config = _LAZY

    queue: Annotated[
        Queue | None,
        Field(
            description="The pool that the task waits in and processors serve; null: what the kind says, or else "
            "`default`.",
            examples=["default"],
        ),
    ] = None
    concurrency_key: ConcurrencyKey = None


class Overlap(StrEnum):
    """What becomes of a time while tasks of the schedule are still in a run."""

    ALLOW = "allow"
    """Its task is made all the same."""
    SKIP = "skip"
    """None is made."""
    CANCEL_RUNNING = "cancel_running"
    """They are cancelled, and its task is made."""


ScheduleName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_SCHEDULE_NAME_CHARS),
    WITHOUT_NUL,
    Field(description="What it is for, for people. 1 to 200 characters.", examples=["Nightly report"]),
]
CronLine = Annotated[
    Annotated[str, StringConstraints(pattern=CRON_PATTERN, max_length=MAX_CRON_CHARS)] | None,
    Field(
        description="When: minute, hour, day of the month, month and day of the week, as Debian's cron has them; also "
        "`L`, `LW`, `MON#2` and `5L`. Up to 100 characters.",
        examples=["0 3 * * *"],
    ),
]
TimeZone = Annotated[
    str,
    StringConstraints(pattern=TIME_ZONE_PATTERN),
    Field(description="Whose clock the cron line is read by: a name of the IANA database.", examples=["Europe/Berlin"]),
]
IntervalSeconds = Annotated[
    Annotated[int, Field(ge=1, le=MAX_INTERVAL_SECONDS)] | None,
    Field(
        description="How often, instead of a cron line: so many seconds from `starts_at` on, or else from when it was "
        "made. 1 to 31,622,400 (366 days)."
    ),
]
CatchUpSeconds = Annotated[
    int,
    Field(
        ge=MIN_CATCH_UP_SECONDS,
        le=MAX_CATCH_UP_SECONDS,
        description="How late a time may be made up for after an outage, in seconds: 10 to 604,800 (7 days); what is "
        "older counts as missed.",
    ),
]
StartsAt = Annotated[GivenInstant | None, Field(description="No time before this instant; null: from now on.")]
EndsAt = Annotated[GivenInstant | None, Field(description="No time at or after this instant; null: without end.")]


class ScheduleFields(Request):
    """All that a client may say of a schedule, with what holds when it does not."""

    model_config = _LAZY

    name: ScheduleName
    template: Annotated[TaskTemplate, Field(description="What each task is made of.")]
    cron: CronLine = None
    time_zone: TimeZone = "UTC"
    interval_seconds: IntervalSeconds = None
    overlap: Annotated[
        Overlap,
        Field(
            description="What becomes of a time while tasks of the schedule are still in a run. allow: its task is "
            "made; skip: none is; cancel_running: they are cancelled first."
        ),
    ] = Overlap.ALLOW
    catch_up_seconds: CatchUpSeconds = DEFAULT_CATCH_UP_SECONDS
    is_paused: Annotated[
        bool, Field(description="Whether its times pass without a task. They are not made up for later.")
    ] = False
    starts_at: StartsAt = None
    ends_at: EndsAt = None

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if (self.cron is None) == (self.interval_seconds is None):
            raise PydanticCustomError("schedule_timing", "Either `cron` or `interval_seconds` should be given")
        if self.starts_at is not None and self.ends_at is not None and self.ends_at <= self.starts_at:
            raise PydanticCustomError("schedule_span", "`ends_at` should be behind `starts_at`")
        return self


class ScheduleChange(KeyedRequest):
    """Base of what changes schedules, or makes tasks of one."""

    model_config = _LAZY


class CreateSchedule(ScheduleChange, ScheduleFields):
    """Create a schedule. Replied to with `Schedule`."""

    id: Annotated[UUID, Field(description="The new schedule's id: a UUID, version 7, made by the caller.")]


class UpdateSchedule(ScheduleChange):
    """Change a schedule. Replied to with `Schedule`.

    The store applies `changes` to the schedule's fields as RFC 7396 does, and the outcome must be `ScheduleFields`.
    """

    id: UUID
    changes: Annotated[dict[str, JsonValue], Field(description="New values by field; null: as when it was left out.")]
    is_replacement: Annotated[
        bool, Field(description="Fields that are left out have the default of creation. False: they keep their value.")
    ] = False
    expected_revision: ExpectedRevision = None


class DeleteSchedule(ScheduleChange):
    """Delete a schedule; its tasks stay. Replied to with `DeleteScheduleReply`."""

    id: UUID
    expected_revision: ExpectedRevision = None


class DeleteScheduleReply(WireModel):
    """The schedule is gone."""

    id: UUID


class RunSchedule(ScheduleChange):
    """Make a task of a schedule now. Replied to with `Task`."""

    id: UUID
    task_id: Annotated[UUID, Field(description="The new task's id: a UUID, version 7, made by the caller.")]


class GetSchedule(Request):
    """Read a schedule. Replied to with `Schedule`."""

    model_config = _LAZY

    id: UUID


class ListSchedules(Request):
    """Read a page of schedules, oldest first. Replied to with `SchedulePage`."""

    model_config = _LAZY

    limit: PageLimit = DEFAULT_PAGE_ITEMS
    cursor: Cursor | None = None


class ListFires(Request):
    """Read a page of what became of a schedule's times, newest first. Replied to with `FirePage`."""

    model_config = _LAZY

    schedule_id: UUID
    limit: PageLimit = DEFAULT_PAGE_ITEMS
    cursor: Cursor | None = None


class GetNextTimes(Request):
    """Ask for a schedule's next times. Replied to with `NextTimes`."""

    model_config = _LAZY

    id: UUID
    count: Annotated[int, Field(ge=1, le=MAX_NEXT_TIMES, description="How many. 1 to 100.")] = DEFAULT_NEXT_TIMES


class BackfillSpan(Request):
    """A span of the past."""

    model_config = _LAZY

    since: Annotated[GivenInstant, Field(description="From this instant on.")]
    until: Annotated[GivenInstant, Field(description="Before this instant, which has passed.")]

    @model_validator(mode="after")
    def _spans_forwards(self) -> Self:
        if self.until <= self.since:
            raise PydanticCustomError("backfill_span", "`until` should be behind `since`")
        return self


class BackfillSchedule(BackfillSpan):
    """Make the tasks of a schedule's times of a span that have none. Replied to with `Backfill`."""

    id: UUID


class Schedule(ScheduleFields, WireModel):
    """A schedule as it stands."""

    id: Annotated[UUID, Field(description="Identifies the schedule: a UUID, version 7.")]
    timing: Annotated[str, Field(description="When it fires, in words.", examples=["At 03:00 every day"])]
    next_fire_at: Annotated[
        Instant | None, Field(description="The next time; null: it is paused, or there is none any more.")
    ] = None
    last_fire_at: Annotated[Instant | None, Field(description="The newest time that came; null: none did.")] = None
    missed_count: Annotated[
        int, Field(ge=0, description="How many of its times passed in outages and were too old to be made up for.")
    ] = 0
    missed_since: Annotated[Instant | None, Field(description="The first of the newest that were missed.")] = None
    missed_until: Annotated[Instant | None, Field(description="The last that was missed.")] = None
    revision: Annotated[int, Field(ge=1, description="Rises when a client changes it: the ETag.")]
    created_at: Instant
    updated_at: Instant


class SchedulePage(WireModel):
    """A page of schedules, oldest first. It may end before `limit` so that it fits a message."""

    items: Annotated[list[Schedule], Field(description="The schedules. Up to 200.")]
    next_cursor: NextCursor = None


class FireOutcome(StrEnum):
    """What became of a time."""

    CREATED = "created"
    SKIPPED = "skipped"


class FireOrigin(StrEnum):
    """Why there was a fire."""

    TIME = "time"
    MANUAL = "manual"
    BACKFILL = "backfill"


class ScheduleFire(WireModel):
    """What became of one time of a schedule."""

    fire_at: Annotated[Instant, Field(description="The time; of one by hand, when it was asked for.")]
    outcome: Annotated[
        FireOutcome, Field(description="created: its task was made; skipped: it was not, for others were in a run.")
    ]
    origin: Annotated[
        FireOrigin, Field(description="time: its time had come; manual: a client wanted it at once; backfill: later.")
    ]
    task_id: Annotated[UUID | None, Field(description="The task; null: there is none.")] = None
    decided_at: Annotated[Instant, Field(description="When the store did it.")]


class FirePage(WireModel):
    """A page of fires, newest first."""

    items: Annotated[list[ScheduleFire], Field(description="The fires, the newest time first. Up to 200.")]
    next_cursor: NextCursor = None


class NextTimes(WireModel):
    """When a schedule fires next."""

    items: Annotated[list[Instant], Field(description="The times, the next one first; fewer, if there are no more.")]


class Backfill(WireModel):
    """What became of a backfill."""

    created: Annotated[int, Field(ge=0, description="Tasks that were made now.")]
    existing: Annotated[int, Field(ge=0, description="Times that had their task already.")]
