"""Events: what the store committed, told to the world.

Every event is one CloudEvents 1.0 document in structured JSON mode. Its bytes are composed once, and are the same in
the log, on NATS and in every answer of the gateway. `sequence` is the task's version: 1, 2, 3, … without a gap, so that
a subscriber can prove that it missed nothing.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, JsonValue

from taskmill.contracts.status import Priority, TaskStatus
from taskmill.contracts.tasks import (
    Cancellation,
    ConcurrencyKey,
    NextCursor,
    Progress,
    RetryBackoff,
    TaskError,
    TaskFields,
    TaskLine,
    UniqueKey,
    WireModel,
)
from taskmill.contracts.tracing import Traceparent

EVENT_SOURCE = "/taskmill/task-store"
"""The `source` of every event of a log that was never set back."""

EVENT_CONTENT_TYPE = "application/cloudevents+json"


def event_source(epoch: int) -> str:
    """The `source` of the events of an epoch.

    An event of a log that was lost, and one that came in its place, may have the same `id`, but not the same source.

    Args:
        epoch: The position behind which its events stand; 0: the first epoch.
    """
    return f"{EVENT_SOURCE}/{epoch}" if epoch else EVENT_SOURCE


class EventType(StrEnum):
    """What happened to a task, in the past tense: a token of the event's subject."""

    CREATED = "created"
    UPDATED = "updated"
    QUEUED = "queued"
    SCHEDULED = "scheduled"
    STARTED = "started"
    PROGRESSED = "progressed"
    LOGGED = "logged"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCEL_REQUESTED = "cancel_requested"
    CANCELLED = "cancelled"
    DELETED = "deleted"

    @property
    def cloud_event_type(self) -> str:
        """The CloudEvents `type`, with the version of the schema of `data`."""
        return f"taskmill.task.{self.value}.v1"


class EventData(WireModel):
    """What every event tells: the task's state after the change."""

    kind: str
    queue: str
    status: TaskStatus
    revision: int
    run: int
    attempt: int
    labels: Annotated[dict[str, str], Field(description="The task's labels; left out when it has none.")] = {}


class TaskCreatedData(TaskFields, EventData):
    """A task exists. The first event of every task."""

    priority: Priority
    backoff: RetryBackoff | None = None
    payload: JsonValue = None
    concurrency_key: ConcurrencyKey = None
    unique_key: UniqueKey = None
    group_id: UUID | None = None
    schedule_id: UUID | None = None


class TaskUpdatedData(EventData):
    """A client edited the task."""

    changes: Annotated[dict[str, JsonValue], Field(description="The fields that changed, with their new values.")]


class TaskQueuedData(EventData):
    """The task waits for a processor."""

    dispatch: Annotated[int, Field(description="Number of the work item that is published for it.")]
    reason: Annotated[
        Literal["process", "given_back", "due", "lost", "turn"],
        Field(
            description="A client asked for processing; a processor gave the work back; its time has come; the work "
            "item was lost, and is published again; its turn has come."
        ),
    ]
    attempt_limit: int = 0


class TaskScheduledData(EventData):
    """The task waits: for a point in time, for its turn, or for other tasks."""

    run_at: Annotated[datetime | None, Field(description="The point in time; null: it waits for something else.")] = (
        None
    )
    reason: Annotated[
        Literal["run_at", "retry", "unknown_kind", "not_now", "turn", "dependencies", "debounced"],
        Field(
            description="A client gave the time; the attempt before failed; no handler for the kind where it was; the "
            "handler wants to be called later; limits or the share of its key hold for it; it comes after other tasks; "
            "the same was asked for again under its unique key."
        ),
    ]
    attempt_limit: int = 0
    error: Annotated[TaskError | None, Field(description="Why the attempt before failed, for `retry`.")] = None


class TaskStartedData(EventData):
    """A processor called the handler."""

    dispatch: int
    delivery: int
    processor_id: str
    started_at: datetime


class TaskProgressedData(EventData):
    """The handler said how far it is. At most about one a second for a task."""

    progress: Progress


class TaskLoggedData(EventData):
    """The handler wrote lines. At most about one a second for a task, but for the last lines."""

    dropped: Annotated[int, Field(description="How many lines right before these were dropped.")] = 0
    lines: Annotated[list[TaskLine], Field(description="The lines, oldest first. Up to 100.")]


EndedAllTheSame = Annotated[
    Literal["too_late"] | None, Field(description="A cancellation had been asked for, but the attempt ended before it.")
]


class TaskCompletedData(EventData):
    """The work is done."""

    finished_at: datetime
    result: JsonValue = None
    cancellation: EndedAllTheSame = None


class TaskFailedData(EventData):
    """The work could not be done."""

    finished_at: datetime
    error: TaskError
    cancellation: EndedAllTheSame = None


class TaskCancelRequestedData(EventData):
    """A client wants the attempt in progress to be stopped."""

    cancel_requested_at: datetime


class TaskCancelledData(EventData):
    """The task was cancelled."""

    finished_at: datetime
    cancellation: Annotated[
        Cancellation,
        Field(
            description="before_start: it had not been started; confirmed: its processor stopped it; expired: its "
            "processor did not answer; dependency: what it comes after ended otherwise than it needs."
        ),
    ]
    replaced_by: Annotated[
        UUID | None,
        Field(description="The new task that took its unique key. Left out when it was cancelled for another reason."),
    ] = None


REMOVED_BY_RETENTION = "retention"
DeletionReason = Literal["retention"]


class TaskDeletedData(EventData):
    """The task is gone. The last event of its history."""

    reason: Annotated[
        DeletionReason | None,
        Field(description="retention: it was kept for long enough after its end. Left out when a client asked for it."),
    ] = None


EVENT_DATA: dict[EventType, type[EventData]] = {
    EventType.CREATED: TaskCreatedData,
    EventType.UPDATED: TaskUpdatedData,
    EventType.QUEUED: TaskQueuedData,
    EventType.SCHEDULED: TaskScheduledData,
    EventType.STARTED: TaskStartedData,
    EventType.PROGRESSED: TaskProgressedData,
    EventType.LOGGED: TaskLoggedData,
    EventType.COMPLETED: TaskCompletedData,
    EventType.FAILED: TaskFailedData,
    EventType.CANCEL_REQUESTED: TaskCancelRequestedData,
    EventType.CANCELLED: TaskCancelledData,
    EventType.DELETED: TaskDeletedData,
}


class TaskEvent(WireModel):
    """The envelope (CloudEvents 1.0). `data` fits the model that `EVENT_DATA` names for the type."""

    specversion: Annotated[Literal["1.0"], Field(description="The version of CloudEvents.")] = "1.0"
    id: Annotated[str, Field(description="`<task id>.<sequence>`: the same in every copy, for deduplication.")]
    source: Annotated[
        str,
        Field(
            description="Who tells it. It ends with the number of the log's epoch when the log was set back to a "
            "backup: `id` is unique within a source."
        ),
    ] = EVENT_SOURCE
    type: Annotated[str, Field(description="`taskmill.task.<event>.v1`.")]
    subject: Annotated[UUID, Field(description="The task's id.")]
    time: Annotated[AwareDatetime, Field(description="When it happened.")]
    datacontenttype: Annotated[Literal["application/json"], Field(description="What `data` is.")] = "application/json"
    traceparent: Traceparent = None
    sequence: Annotated[int, Field(ge=1, description="The task's version: 1, 2, 3, … without a gap.")]
    data: Annotated[dict[str, Any], Field(description="What the event tells; the model depends on the type.")]


class EventPage(WireModel):
    """A page of a task's events, oldest first, each as it was published."""

    items: Annotated[list[TaskEvent], Field(description="The events. Up to 200.")]
    next_cursor: NextCursor = None
    removed: Annotated[
        int,
        Field(ge=0, description="The task's events up to this `sequence` were removed from the log; 0: none was."),
    ] = 0
