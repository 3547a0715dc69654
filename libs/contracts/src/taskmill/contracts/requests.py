"""Requests to the task store and its replies.

A request goes to `tasks.v1.cmd.<verb>`; the reply is the reply model's JSON, or, with the headers of NATS' ADR-32
(`Nats-Service-Error`, `Nats-Service-Error-Code`), a `Problem`. What is asked comes from clients, so unknown fields are
refused.
"""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from taskmill.contracts.errors import FieldProblem
from taskmill.contracts.instants import GivenInstant
from taskmill.contracts.limits import (
    DEFAULT_PAGE_ITEMS,
    MAX_BATCH_TASKS,
    MAX_IDEMPOTENCY_KEY_CHARS,
    MAX_LABEL_CONDITIONS,
    MAX_LISTED_QUEUES,
    MAX_PAGE_ITEMS,
    MAX_REFUSAL_PROBLEMS,
    MAX_TITLE_CHARS,
    MAX_UNKNOWN_KINDS,
)
from taskmill.contracts.patterns import CHOSEN_KEY_PATTERN, CURSOR_PATTERN, VISIBLE_ASCII_PATTERN
from taskmill.contracts.status import Priority, TaskStatus
from taskmill.contracts.tasks import (
    DEFAULT_KIND,
    DEFAULT_QUEUE,
    WITHOUT_NUL,
    After,
    Attempt,
    Backoff,
    Checkpoint,
    ConcurrencyKey,
    DependencyFailure,
    Kind,
    LabelKey,
    Labels,
    LabelValue,
    NextCursor,
    Payload,
    Progress,
    Queue,
    Result,
    TaskError,
    TaskFields,
    TaskLine,
    TaskReceipt,
    TaskSummary,
    UniqueKey,
    WireModel,
)
from taskmill.contracts.tracing import Traceparent
from taskmill.contracts.unique import Uniqueness, not_debounced, without_run_at

REPLAYED_HEADER = "Taskmill-Replayed"
"""On a reply that was given before, to the first request under the same idempotency key; its value is `true`."""

EXISTING_HEADER = "Taskmill-Existing"
"""On a reply to a creation that made no task: it tells the one that holds the unique key; its value is `true`."""

ADDED_LATER = Field(exclude_if=lambda value: value is None)
"""For a field that requests had not from the beginning: null is not written. So a request that does not use it stays
the same to whoever compares it with one of an earlier release, as is done under an idempotency key."""

Cursor = Annotated[
    str,
    StringConstraints(pattern=CURSOR_PATTERN),
    Field(description="Where the next page starts, as the last page told it. Opaque."),
]
ExpectedRevision = Annotated[
    int | None, Field(ge=1, description="The revision that the caller saw (If-Match); null: any.")
]
PageLimit = Annotated[int, Field(ge=1, le=MAX_PAGE_ITEMS, description="Items in a page at most. 1 to 200.")]


class Request(BaseModel):
    """Base of what is asked: immutable; an unknown field is an error, not a wish that is ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class IdempotencyKey(Request):
    """By which the store recognises a request that is made again: it is answered as the first one was.

    A key belongs to what is asked of which task: the same one may be used for another command.
    """

    key: Annotated[
        str,
        StringConstraints(pattern=VISIBLE_ASCII_PATTERN, max_length=MAX_IDEMPOTENCY_KEY_CHARS),
        Field(description="What the client chose: 1 to 255 visible ASCII characters."),
    ]
    fingerprint: Annotated[
        str,
        StringConstraints(pattern=r"^[0-9a-f]{64}$"),
        Field(description="SHA-256 of the request's content, by which another request under the same key is noticed."),
    ]
    refusal: Annotated[
        list[FieldProblem] | None,
        Field(
            min_length=1,
            max_length=MAX_REFUSAL_PROBLEMS,
            description="For creations: the request is refused for this, unless it was answered before under the key. "
            "What was accepted once is answered so again, whatever schema its kind has today.",
        ),
    ] = None


Idempotency = Annotated[
    IdempotencyKey | None, Field(description="Under which the request may be repeated without being done twice.")
]


class KeyedRequest(Request):
    """Base of what may be asked under an idempotency key."""

    idempotency: Idempotency = None


class TaskRequest(Request):
    """Base of what changes one task that exists. All but `DeleteTask` are replied to with `Task`."""

    id: UUID
    expected_revision: ExpectedRevision = None


class ClientFields(Request, TaskFields):
    """All that a client may say of a task, with what holds when it does not."""

    priority: Annotated[Priority, Field(description="Served first to last: critical, high, medium, low.")] = (
        Priority.MEDIUM
    )
    kind: Kind = DEFAULT_KIND
    payload: Payload = None
    labels: Annotated[Labels, Field(json_schema_extra={"additionalProperties": False, "default": {}})] = Field(
        # A default that is there already is copied deeply for each task, which takes longer.
        default_factory=dict
    )
    backoff: Backoff = None


class NewTask(ClientFields):
    """A task that a client wants to exist."""

    queue: Annotated[
        Queue | None,
        Field(
            description="The pool that the task waits in and processors serve; null: what the kind says, or else "
            "`default`.",
            examples=["default"],
        ),
    ] = None
    process: Annotated[bool, Field(description="Whether to start processing at once.")] = False
    run_at: Annotated[
        GivenInstant | None, Field(description="When to start processing; one that has passed means at once.")
    ] = None
    concurrency_key: Annotated[ConcurrencyKey, ADDED_LATER] = None
    # Behind `run_at`, which its check looks at.
    unique: Annotated[
        Uniqueness | None,
        AfterValidator(without_run_at),
        ADDED_LATER,
        Field(description="Under which key it is the only one; null: under none."),
    ] = None
    # Behind `unique`, which its check looks at.
    after: Annotated[After, AfterValidator(not_debounced), ADDED_LATER] = None
    on_dependency_failure: Annotated[
        DependencyFailure,
        Field(
            # As of `ADDED_LATER`.
            exclude_if=lambda value: value is DependencyFailure.CANCEL,
            description="With `after`: what becomes of it when one of them fails, is cancelled or is deleted. "
            "`cancel`: it is cancelled, too. `process`: that one counts as completed.",
        ),
    ] = DependencyFailure.CANCEL


class IdentifiedTask(NewTask):
    """A task that a client wants to exist, and its id."""

    id: Annotated[UUID, Field(description="The new task's id: a UUID, version 7, made by the caller.")]
    traceparent: Traceparent = None


class CreateTask(KeyedRequest, IdentifiedTask):
    """Create one task. Replied to with `Task`."""


class CreateTasks(KeyedRequest):
    """Create many tasks, all or none. Replied to with `CreateTasksReply`."""

    tasks: Annotated[list[IdentifiedTask], Field(min_length=1, max_length=MAX_BATCH_TASKS)]


class CreateTasksReply(WireModel):
    """The tasks of a `CreateTasks`, in its order."""

    items: Annotated[list[TaskReceipt], Field(description="The new tasks, in the order of the request.")]


class GetTask(Request):
    """Read one task. Replied to with `Task`."""

    id: UUID


class GetCheckpoint(Request):
    """Read the newest checkpoint of a task's run. Replied to with `StoredCheckpoint`."""

    id: UUID
    run: Annotated[int, Field(ge=1, description="The run: one that is over is not found.")]


class StoredCheckpoint(WireModel):
    """Where a run may go on."""

    checkpoint: Checkpoint = None


class TaskSort(StrEnum):
    """The order of a list."""

    NEWEST_FIRST = "-created_at"
    OLDEST_FIRST = "created_at"


class TaskFilter(Request):
    """Which tasks are meant, in a list or a bulk operation: those that meet every condition that is given."""

    status: Annotated[list[TaskStatus], Field(max_length=len(TaskStatus), description="Any of these.")] = []
    title: Annotated[
        Annotated[str, StringConstraints(min_length=1, max_length=MAX_TITLE_CHARS), WITHOUT_NUL] | None,
        Field(description="A part of the title, in any case."),
    ] = None
    kind: Annotated[Kind | None, Field(description="Its kind.")] = None
    queue: Annotated[Queue | None, Field(description="Its queue.")] = None
    priority: Annotated[Priority | None, Field(description="Its priority.")] = None
    concurrency_key: Annotated[
        Annotated[str, StringConstraints(pattern=CHOSEN_KEY_PATTERN)] | None, Field(description="Its concurrency key.")
    ] = None
    labels: Annotated[
        dict[LabelKey, LabelValue | None],
        Field(
            max_length=MAX_LABEL_CONDITIONS,
            json_schema_extra={"additionalProperties": False},
            description="Labels that the task has; null: with any value.",
        ),
    ] = {}
    schedule_id: Annotated[UUID | None, ADDED_LATER, Field(description="The schedule that made it.")] = None
    unique_key: Annotated[
        UniqueKey, ADDED_LATER, Field(description="Its unique key, whether it still holds it or not.")
    ] = None
    group_id: Annotated[UUID | None, ADDED_LATER, Field(description="The group that it belongs to.")] = None
    created_after: Annotated[GivenInstant | None, Field(description="Created at or after this instant.")] = None
    created_before: Annotated[GivenInstant | None, Field(description="Created before this instant.")] = None


class ListTasks(Request):
    """Read a page of tasks. Replied to with `TaskPage`."""

    filter: TaskFilter = TaskFilter()
    sort: TaskSort = TaskSort.NEWEST_FIRST
    limit: PageLimit = DEFAULT_PAGE_ITEMS
    cursor: Cursor | None = None


class TaskPage(WireModel):
    """A page of tasks. It may end before `limit` so that it fits a message."""

    items: Annotated[list[TaskSummary], Field(description="The tasks. Up to 200.")]
    next_cursor: NextCursor = None


class CountTasks(Request):
    """Count tasks by their status. Replied to with `TaskCounts`."""

    filter: TaskFilter = TaskFilter()


class TaskCounts(WireModel):
    """How many tasks there are of each status."""

    counts: Annotated[
        dict[TaskStatus, Annotated[int, Field(ge=0)]],
        Field(description="By status; each is counted up to 10,000, which then means that many or more."),
    ]


class EditableTask(ClientFields):
    """The part of a task that clients may edit. A field that is left out, or cleared, has the default of creation.

    But the queue is `default` then, whatever the kind says.
    """

    queue: Queue = DEFAULT_QUEUE
    status: TaskStatus


class ServerFields(Request):
    """Fields that only Taskmill sets, as a client sent them back. Those that are given must be unchanged."""

    id: Annotated[UUID | None, Field(description="Identifies the task.")] = None
    is_run_active: Annotated[bool | None, Field(description="Whether the task waits for, or is in, processing.")] = None
    version: Annotated[int | None, Field(description="Number of the task's newest event.")] = None
    revision: Annotated[int | None, Field(description="The ETag's number.")] = None
    run: Annotated[int | None, Field(description="How often processing was asked for.")] = None
    attempt: Annotated[int | None, Field(description="Number of the newest attempt, over all runs.")] = None
    attempt_limit: Annotated[
        int | None, Field(description="The number of the last attempt that the newest run may come to.")
    ] = None
    run_at: Annotated[GivenInstant | None, Field(description="When a scheduled task is due.")] = None
    concurrency_key: ConcurrencyKey = None
    unique_key: UniqueKey = None
    group_id: Annotated[UUID | None, Field(description="The group that it belongs to.")] = None
    schedule_id: Annotated[UUID | None, Field(description="The schedule that made it.")] = None
    cancel_requested_at: Annotated[
        GivenInstant | None, Field(description="When it was asked to cancel the attempt that is in progress.")
    ] = None
    processor_id: Annotated[str | None, Field(description="The processor that has, or had, the newest attempt.")] = None
    progress: Annotated[Progress | None, Field(description="How far the newest attempt says it is.")] = None
    result: Result = None
    error: Annotated[TaskError | None, Field(description="Why the newest attempt failed.")] = None
    created_at: Annotated[GivenInstant | None, Field(description="When the task was created.")] = None
    updated_at: Annotated[GivenInstant | None, Field(description="When the task last changed.")] = None
    queued_at: Annotated[GivenInstant | None, Field(description="When the task was last queued.")] = None
    started_at: Annotated[GivenInstant | None, Field(description="When the newest attempt started.")] = None
    finished_at: Annotated[GivenInstant | None, Field(description="When the newest run ended.")] = None


class UpdateTask(TaskRequest):
    """Edit one task. Replied to with `Task`.

    The store applies `changes` to the task's editable part, and the outcome must be an `EditableTask`.
    """

    changes: Annotated[dict[str, JsonValue], Field(description="New values by field. Other fields keep their value.")]
    is_merge_patch: Annotated[
        bool, Field(description="Apply `changes` as RFC 7396 does: objects merge, null clears. False: values replace.")
    ] = False
    unchanged: Annotated[
        ServerFields, Field(description="Only fields that are present are compared with the task's.")
    ] = ServerFields()


class DeleteTask(TaskRequest):
    """Delete one task; its events stay. Replied to with `DeleteTaskReply`."""

    force: Annotated[bool, Field(description="Cancel an active run first, and do not wait for its processor.")] = False


class DeleteTaskReply(WireModel):
    """The task is gone."""

    id: UUID
    version: Annotated[int, Field(description="Number of the task's last event, `deleted`.")]


class ProcessTask(KeyedRequest, TaskRequest):
    """Start a run of a task. Replied to with `Task`."""

    traceparent: Traceparent = None


class CancelTask(KeyedRequest, TaskRequest):
    """Cancel a task's run. Replied to with `Task`: `cancelled`, or in progress with `cancel_requested_at`."""


class ListAttempts(Request):
    """Read a page of a task's attempts, oldest first. Replied to with `AttemptPage`."""

    task_id: UUID
    limit: PageLimit = DEFAULT_PAGE_ITEMS
    cursor: Cursor | None = None


class AttemptPage(WireModel):
    """A page of attempts, oldest first."""

    items: Annotated[list[Attempt], Field(description="The attempts. Up to 200.")]
    next_cursor: NextCursor = None


class ListLines(Request):
    """Read a page of a task's lines, oldest first. Replied to with `LinePage`."""

    task_id: UUID
    limit: PageLimit = DEFAULT_PAGE_ITEMS
    cursor: Cursor | None = None


class LinePage(WireModel):
    """A page of lines, oldest first."""

    items: Annotated[list[TaskLine], Field(description="The lines. Up to 200.")]
    dropped: Annotated[
        int,
        Field(ge=0, description="Lines of the task that are not kept: of more than 1,000 the oldest, and lost ones."),
    ] = 0
    next_cursor: NextCursor = None


class ListEvents(Request):
    """Read a page of a task's events, oldest first, as they were published. Replied to with an `EventPage`."""

    task_id: UUID
    limit: PageLimit = DEFAULT_PAGE_ITEMS
    cursor: Cursor | None = None


class CheckHealth(Request):
    """Ask a task store how it is. Replied to with `StoreHealth`."""


class ComponentState(StrEnum):
    """Whether a part of the system can be used."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"
    """Whoever could tell is away."""


class UnknownKind(WireModel):
    """A kind that no processor of the queue knows in which tasks of it wait."""

    queue: Annotated[Queue, Field(description="Where they wait.")]
    kind: Annotated[Kind, Field(description="What nobody there has a handler for.")]


class FleetSummary(WireModel):
    """Whether there is somebody for what waits."""

    processors: Annotated[int, Field(ge=0, description="How many processors live and do not drain.")]
    paused_queues: Annotated[int, Field(ge=0, description="How many queues are paused.")]
    unserved_queues: Annotated[
        list[Queue],
        Field(
            max_length=MAX_LISTED_QUEUES,
            description="Queues in which tasks wait, and which none of those processors serves, by name: the first 50.",
        ),
    ]
    unknown_kinds: Annotated[
        list[UnknownKind],
        Field(
            max_length=MAX_UNKNOWN_KINDS,
            description="Kinds of tasks that a processor gave back because it does not know them, and that none of its "
            "queue knows, by queue and kind: the first 50. Tasks that nobody has been offered yet are not among them.",
        ),
    ] = []
    differing_kinds: Annotated[
        list[Kind],
        Field(
            max_length=MAX_UNKNOWN_KINDS,
            description="Kinds for which those processors declare different things, by name: the first 50. "
            "`GET /kinds` tells what. Up to 10 s old.",
        ),
    ] = []


class StoreHealth(WireModel):
    """What one task store says of what it stands on."""

    postgresql: ComponentState
    fleet: Annotated[
        FleetSummary | None, Field(description="Who is there for the tasks; null: PostgreSQL cannot be asked.")
    ] = None
