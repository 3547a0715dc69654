"""A task as clients see it, and the types of its fields."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, StringConstraints
from pydantic_core import PydanticCustomError, to_json

from taskmill.contracts.instants import BoundedInstant
from taskmill.contracts.json_text import is_nested_within
from taskmill.contracts.limits import (
    MAX_ATTEMPTS,
    MAX_BACKOFF_FACTOR,
    MAX_BACKOFF_SECONDS,
    MAX_CHECKPOINT_BYTES,
    MAX_DEPENDENCIES,
    MAX_DESCRIPTION_CHARS,
    MAX_ERROR_MESSAGE_CHARS,
    MAX_JSON_DEPTH,
    MAX_LABEL_VALUE_CHARS,
    MAX_LABELS,
    MAX_LINE_CHARS,
    MAX_PAYLOAD_BYTES,
    MAX_PROCESSOR_ID_CHARS,
    MAX_PROGRESS_MESSAGE_CHARS,
    MAX_RESULT_BYTES,
    MAX_TIMEOUT_SECONDS,
    MAX_TITLE_CHARS,
)
from taskmill.contracts.patterns import CHOSEN_KEY_PATTERN, LABEL_KEY_PATTERN, NAME_PATTERN
from taskmill.contracts.status import Priority, TaskStatus

DEFAULT_KIND = "echo"
DEFAULT_QUEUE = "default"


def _no_nul(text: str) -> str:
    if "\x00" in text:
        raise PydanticCustomError("nul_character", "The character U+0000 cannot be stored")
    return text


def _payload_fits(value: JsonValue) -> JsonValue:
    if len(text := to_json(value)) > MAX_PAYLOAD_BYTES:
        raise PydanticCustomError("payload_too_large", "The payload is larger than 262144 bytes as compact JSON")
    return _nesting_fits(value, text)


def _result_fits(value: JsonValue) -> JsonValue:
    if len(text := to_json(value)) > MAX_RESULT_BYTES:
        raise PydanticCustomError("result_too_large", "The result is larger than 262144 bytes as compact JSON")
    return _nesting_fits(value, text)


def _checkpoint_fits(value: JsonValue) -> JsonValue:
    if len(text := to_json(value)) > MAX_CHECKPOINT_BYTES:
        raise PydanticCustomError("checkpoint_too_large", "The checkpoint is larger than 65536 bytes as compact JSON")
    return _nesting_fits(value, text)


def _nesting_fits(value: JsonValue, text: bytes) -> JsonValue:
    # Without that many brackets nothing is nested that deep, and need not be walked through.
    if text.count(b"[") + text.count(b"{") > MAX_JSON_DEPTH and not is_nested_within(value, MAX_JSON_DEPTH):
        raise PydanticCustomError("nested_too_deeply", "Arrays and objects are nested deeper than 32")
    return value


WITHOUT_NUL = AfterValidator(_no_nul)
"""After the other constraints of a text, which are checked much faster than behind it."""


class AlwaysEditable:
    """Marks a field that clients may change in any state of the task: no run depends on it."""


ALWAYS_EDITABLE = AlwaysEditable()

Title = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_TITLE_CHARS),
    WITHOUT_NUL,
    ALWAYS_EDITABLE,
    Field(description="What the task is, for people. 1 to 200 characters.", examples=["Fetch the front page"]),
]
Description = Annotated[
    Annotated[str, StringConstraints(max_length=MAX_DESCRIPTION_CHARS), WITHOUT_NUL] | None,
    ALWAYS_EDITABLE,
    Field(description="More about the task, for people. Up to 10,000 characters."),
]
Kind = Annotated[
    str,
    StringConstraints(pattern=NAME_PATTERN),
    Field(description="Names the handler that does the work.", examples=["http-request"]),
]
Queue = Annotated[
    str,
    StringConstraints(pattern=NAME_PATTERN),
    Field(description="The pool that the task waits in and processors serve.", examples=["default"]),
]
LabelKey = Annotated[str, StringConstraints(pattern=LABEL_KEY_PATTERN)]
LabelValue = Annotated[str, StringConstraints(max_length=MAX_LABEL_VALUE_CHARS), WITHOUT_NUL]
Labels = Annotated[
    dict[LabelKey, LabelValue],
    ALWAYS_EDITABLE,
    Field(
        max_length=MAX_LABELS,
        json_schema_extra={"additionalProperties": False},
        description="Names and values to find tasks by. Up to 32; a value has up to 200 characters.",
        examples=[{"team": "web"}],
    ),
]
Payload = Annotated[
    JsonValue,
    AfterValidator(_payload_fits),
    Field(
        description="The input of the handler: any JSON value of up to 256 KiB (262,144 bytes as compact JSON).",
        examples=[{"method": "GET", "url": "https://example.org/"}],
    ),
]
Result = Annotated[
    JsonValue,
    AfterValidator(_result_fits),
    Field(description="What the handler returned: any JSON value of up to 256 KiB."),
]
Checkpoint = Annotated[
    JsonValue,
    AfterValidator(_checkpoint_fits),
    Field(description="Where a handler may go on: any JSON value of up to 64 KiB; null: at the beginning."),
]
ProcessorId = Annotated[
    str,
    StringConstraints(pattern=NAME_PATTERN, max_length=MAX_PROCESSOR_ID_CHARS),
    Field(description="Names one processor process."),
]
ConcurrencyKey = Annotated[
    Annotated[str, StringConstraints(pattern=CHOSEN_KEY_PATTERN)] | None,
    Field(
        description="Whose work it is, such as a tenant's: tasks of different keys share their queue, and limits may "
        "hold for each key. 1 to 200 visible ASCII characters but `/`.",
        examples=["tenant-17"],
    ),
]
UniqueKey = Annotated[
    Annotated[str, StringConstraints(pattern=CHOSEN_KEY_PATTERN)] | None,
    Field(
        description="What the task is about: no two tasks hold the same key at a time. One that has ended holds it no "
        "more.",
        examples=["invoice-4711"],
    ),
]
Instant = Annotated[AwareDatetime, Field(description="An instant, ISO 8601 in UTC.")]


NextCursor = Annotated[str | None, Field(description="Where the next page starts; null: this is the last.")]


class WireModel(BaseModel):
    """Base of what Taskmill writes: immutable; a reader ignores fields that a newer writer added."""

    # Validators are built when they are used first: no process needs all, and all take 2 MB.
    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")


class RetryBackoff(WireModel):
    """How long a task waits for its next attempt: `base_seconds`, times `factor` for each retry before, up to a cap."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_seconds: Annotated[
        float, Field(ge=0, le=MAX_BACKOFF_SECONDS, description="The wait before the first retry, in seconds.")
    ] = 2.0
    factor: Annotated[
        float, Field(ge=1, le=MAX_BACKOFF_FACTOR, description="By what each wait is longer than the one before.")
    ] = 2.0
    cap_seconds: Annotated[float, Field(ge=0, le=MAX_BACKOFF_SECONDS, description="The longest wait, in seconds.")] = (
        300.0
    )
    jitter: Annotated[
        float,
        Field(ge=0, le=1, description="Share of each wait that is random, so that tasks do not come back all at once."),
    ] = 0.1


MaxAttempts = Annotated[
    Annotated[int, Field(ge=1, le=MAX_ATTEMPTS)] | None,
    Field(description="Attempts in a run at most, 1 to 100; null: what the kind says, or else 1."),
]
Backoff = Annotated[
    RetryBackoff | None, Field(description="The wait between attempts; null: what the kind says, or else 2 s, doubled.")
]
TimeoutSeconds = Annotated[
    Annotated[float, Field(gt=0, le=MAX_TIMEOUT_SECONDS)] | None,
    Field(description="How long an attempt may take, in seconds; null: what the kind says, or else for ever."),
]


class KindDefaults(WireModel):
    """What holds for tasks of a kind that do not say otherwise. Its handler declares it."""

    queue: Annotated[Queue | None, Field(description="The queue that its tasks wait in; null: `default`.")] = None
    max_attempts: MaxAttempts = None
    backoff: Backoff = None
    timeout_seconds: TimeoutSeconds = None


class TaskFields(BaseModel):
    """Fields that clients may set, and that look the same in all that makes, edits, patches or shows a task.

    One that stands here is in all of them, and in the event of the creation.
    """

    title: Title
    description: Description = None
    max_attempts: MaxAttempts = None
    timeout_seconds: TimeoutSeconds = None


class WaitReason(StrEnum):
    """What a waiting task waits for."""

    DUE_TIME = "due_time"
    SLOT = "slot"
    PROCESSOR = "processor"
    KIND = "kind"
    RESUME = "resume"
    DEPENDENCIES = "dependencies"
    TURN = "turn"
    LIMIT = "limit"
    RATE = "rate"


class DependencyFailure(StrEnum):
    """What becomes of a task when one that it comes after is not completed."""

    CANCEL = "cancel"
    PROCESS = "process"


def _are_different(ids: list[UUID]) -> list[UUID]:
    if len(set(ids)) < len(ids):
        raise PydanticCustomError("repeated_id", "Each id should be given once")
    return ids


EACH_ONCE = AfterValidator(_are_different)

After = Annotated[
    Annotated[list[UUID], Field(max_length=MAX_DEPENDENCIES, json_schema_extra={"uniqueItems": True}), EACH_ONCE]
    | None,
    Field(
        description="Tasks that it comes after, by their ids: it is processed once all of them are completed, whether "
        "`process` is true or not. Up to 100, each once, and they must exist."
    ),
]


class WaitingFor(WireModel):
    """Why a task does not move: told for every task that is scheduled or queued."""

    reason: Annotated[
        WaitReason,
        Field(
            description="due_time: its `run_at`. slot: a processor that serves its queue and kind to be free. "
            "processor: any that serves its queue. kind: one in its queue that has a handler for its kind. "
            "resume: its queue is paused. dependencies: tasks that it comes after. turn: others come before it. "
            "limit: as many are in progress as a limit allows. rate: as many had their turn as one allows in its time."
        ),
    ]
    until: Annotated[
        datetime | None,
        Field(description="When a scheduled task is due, or offered to processors again, or when a rate has room."),
    ] = None
    limit: Annotated[str | None, Field(description="The name of the limit that holds it; left out: none does.")] = None
    after: Annotated[
        list[UUID] | None,
        Field(
            description="With `dependencies`, where one task is read: those that it still waits for. Empty for a task "
            "that follows a group: it waits for the group's."
        ),
    ] = None


class Cancellation(StrEnum):
    """What became of a request to cancel."""

    BEFORE_START = "before_start"
    """The task had not been started."""

    CONFIRMED = "confirmed"
    """The processor stopped the handler."""

    EXPIRED = "expired"
    """The processor did not answer until the lease ran out; whatever it still reports changes nothing."""

    DEPENDENCY = "dependency"
    """What it comes after ended otherwise than it needs: a task was not completed, or a group has the other outcome."""

    TOO_LATE = "too_late"
    """The attempt had ended before the request reached it."""


class Progress(WireModel):
    """How far a handler says it is."""

    fraction: Annotated[float, Field(ge=0, le=1, description="Share of the work that is done, 0 to 1.")]
    message: Annotated[
        Annotated[str, StringConstraints(max_length=MAX_PROGRESS_MESSAGE_CHARS), WITHOUT_NUL] | None,
        Field(description="What is being done, for people. Up to 200 characters."),
    ] = None


class LineLevel(StrEnum):
    """How much a line matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class Line(WireModel):
    """What a handler wrote for people, with `ctx.log`."""

    at: Annotated[BoundedInstant, Field(description="When, by the clock of its processor.")]
    level: Annotated[LineLevel, Field(description="How much it matters.")]
    text: Annotated[
        str,
        StringConstraints(max_length=MAX_LINE_CHARS),
        WITHOUT_NUL,
        Field(description="What happened, for people. Up to 1,000 characters; what was longer ends with `…`."),
    ]


class TaskLine(Line):
    """A line among those of its task."""

    position: Annotated[
        int, Field(ge=1, description="Which line of the task it is: 1, 2, 3, …; those that are missing were dropped.")
    ]
    attempt: Annotated[int, Field(ge=1, description="The attempt that wrote it.")]


class TaskError(WireModel):
    """Why an attempt failed. It never holds a traceback."""

    code: Annotated[
        str,
        StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$"),
        Field(description="Stable name of the cause."),
    ]
    type: Annotated[
        str | None,
        StringConstraints(max_length=200),
        Field(description="Type of the exception, if there was one."),
    ] = None
    message: Annotated[
        str,
        StringConstraints(max_length=MAX_ERROR_MESSAGE_CHARS),
        WITHOUT_NUL,
        Field(description="What happened, for people."),
    ]


class IdentifiedModel(WireModel):
    """Base of what shows a task."""

    id: Annotated[UUID, Field(description="Identifies the task: a UUID, version 7.")]


class TaskSummary(TaskFields, IdentifiedModel):
    """A task as a list shows it: without payload and result."""

    kind: Kind
    queue: Queue
    priority: Annotated[Priority, Field(description="Served first to last: critical, high, medium, low.")]
    labels: Labels
    status: Annotated[TaskStatus, Field(description="Where the task stands.")]
    is_run_active: Annotated[bool, Field(description="Whether the task waits for, or is in, processing.")]
    version: Annotated[int, Field(ge=1, description="Number of the task's newest event; rises by one with each.")]
    revision: Annotated[int, Field(ge=1, description="Rises when the status or an editable field changes: the ETag.")]
    run: Annotated[int, Field(ge=0, description="How often processing was asked for.")]
    attempt: Annotated[int, Field(ge=0, description="Number of the newest attempt, over all runs.")]
    attempt_limit: Annotated[
        int, Field(ge=0, description="The number of the last attempt that the newest run may come to.")
    ] = 0
    backoff: Backoff = None
    run_at: Annotated[datetime | None, Field(description="When a scheduled task is due.")] = None
    concurrency_key: ConcurrencyKey = None
    unique_key: UniqueKey = None
    group_id: Annotated[UUID | None, Field(description="The group that it belongs to.")] = None
    schedule_id: Annotated[UUID | None, Field(description="The schedule that made it.")] = None
    cancel_requested_at: Annotated[
        datetime | None, Field(description="When it was asked to cancel the attempt that is in progress.")
    ] = None
    waiting_for: Annotated[
        WaitingFor | None, Field(description="What a scheduled or queued task waits for, when it was read.")
    ] = None
    processor_id: Annotated[str | None, Field(description="The processor that has, or had, the newest attempt.")] = None
    progress: Annotated[Progress | None, Field(description="How far the newest attempt says it is.")] = None
    error: Annotated[TaskError | None, Field(description="Why the newest attempt failed.")] = None
    created_at: Instant
    updated_at: Instant
    queued_at: Annotated[
        datetime | None, Field(description="When the newest attempt was last queued; null: it has not been.")
    ] = None
    started_at: Annotated[datetime | None, Field(description="When the newest attempt started.")] = None
    finished_at: Annotated[datetime | None, Field(description="When the newest run ended.")] = None


class Task(TaskSummary):
    """A task, whole."""

    payload: Payload = None
    result: Result = None


class TaskReceipt(IdentifiedModel):
    """What a batch is answered of each of its tasks: enough to find it, small enough that a thousand fit a message."""

    title: Title
    kind: Kind
    queue: Queue
    priority: Annotated[Priority, Field(description="Served first to last: critical, high, medium, low.")]
    status: Annotated[TaskStatus, Field(description="Where the task stands.")]
    version: Annotated[int, Field(ge=1, description="Number of the task's newest event.")]
    revision: Annotated[int, Field(ge=1, description="The ETag's number.")]
    created_at: Instant
    is_existing: Annotated[
        bool, Field(description="It was there before, and stands for the new one under the same unique key.")
    ] = False


class AttemptOutcome(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Attempt(WireModel):
    """One execution of a task within a run."""

    attempt: Annotated[int, Field(ge=1, description="Number of the attempt, over all runs of the task.")]
    run: Annotated[int, Field(ge=1, description="The run that it belongs to.")]
    processor_id: Annotated[str | None, Field(description="Who executed it last; null: nobody has started it.")] = None
    delivery: Annotated[int, Field(ge=0, description="How often its work item had been delivered when it started.")]
    queued_at: Instant
    started_at: Annotated[datetime | None, Field(description="When it started; null: it has not.")] = None
    finished_at: Annotated[datetime | None, Field(description="When it ended; null: it has not.")] = None
    outcome: Annotated[AttemptOutcome | None, Field(description="How it ended; null: it has not.")] = None
    error: Annotated[TaskError | None, Field(description="Why it failed.")] = None
    traceback: Annotated[str | None, Field(description="The end of the handler's traceback, for its developer.")] = None
