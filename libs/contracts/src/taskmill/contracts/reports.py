"""Reports: what a processor says of the attempts that it executes.

They travel in bundles on the stream TASK_REPORTS. Every report carries the fence (attempt, dispatch, delivery), by
which the store tells a report of the current execution from one of an execution that was given up.
"""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field, JsonValue, StringConstraints

from taskmill.contracts.instants import BoundedInstant
from taskmill.contracts.limits import (
    MAX_BACKOFF_SECONDS,
    MAX_KINDS_PER_PROCESSOR,
    MAX_LINES_IN_A_REPORT,
    MAX_NUMBER,
    MAX_QUEUES_PER_PROCESSOR,
    MAX_TRACEBACK_CHARS,
)
from taskmill.contracts.requests import IdentifiedTask
from taskmill.contracts.tasks import (
    Checkpoint,
    Kind,
    KindDefaults,
    Line,
    ProcessorId,
    Progress,
    Queue,
    Result,
    TaskError,
    WireModel,
)
from taskmill.contracts.tracing import Traceparent


class AttemptReport(WireModel):
    """Base of every report: which execution of which task it speaks of."""

    task_id: UUID
    attempt: Annotated[int, Field(ge=1, le=MAX_NUMBER)]
    dispatch: Annotated[int, Field(ge=1, le=MAX_NUMBER)]
    delivery: Annotated[int, Field(ge=1, le=MAX_NUMBER, description="JetStream's delivery count of the work item.")]
    traceparent: Traceparent = None


class OrderedReport(AttemptReport):
    """Base of what must not overtake the tasks that its execution submitted before it."""

    submitted: Annotated[
        int,
        Field(
            ge=0,
            le=MAX_NUMBER,
            description="How many tasks its execution had submitted before: this counts only once those are taken in.",
        ),
    ] = 0


class EndReport(OrderedReport):
    """Base of what ends an execution: it must not overtake what its handler told before it, either."""

    logged: Annotated[
        int,
        Field(
            ge=0,
            le=MAX_NUMBER,
            description="The number of the last line that its execution told before; 0: none. This counts once the "
            "lines are taken in, or after 30 s without them.",
        ),
    ] = 0
    checkpointed: Annotated[
        int,
        Field(
            ge=0,
            le=MAX_NUMBER,
            description="The number of the last checkpoint that its execution told before; 0: none. As for lines; but "
            "what is completed does not wait for it.",
        ),
    ] = 0


class Started(AttemptReport):
    """The handler is about to be called."""

    type: Literal["started"] = "started"
    started_at: BoundedInstant


class Heartbeat(AttemptReport):
    """The processor still holds the attempt: renews its lease."""

    type: Literal["heartbeat"] = "heartbeat"


class HandlerReport(AttemptReport):
    """Base of what a handler itself says. It counts only while its attempt is in progress.

    Attributes:
        newest_every_seconds: Of each attempt the newest is told, at most this often; None: each one is told.
        is_void_at_end: Whether what still waits when its attempt ends is dropped; if not, it is told before the end.
    """

    newest_every_seconds: ClassVar[float | None] = None
    is_void_at_end: ClassVar[bool] = False


class Progressed(HandlerReport):
    """How far the handler says it is."""

    newest_every_seconds = 1.0
    is_void_at_end = True

    type: Literal["progressed"] = "progressed"
    progress: Progress


class Checkpointed(HandlerReport, OrderedReport):
    """Where the next attempt of the run may go on, as the handler says. It makes no event."""

    newest_every_seconds = 1.0

    type: Literal["checkpointed"] = "checkpointed"
    number: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_NUMBER,
            description="Which checkpoint of its execution this is: 1, 2, 3, …; not all are told. A report that comes "
            "again is recognised by it.",
        ),
    ] = 1
    checkpoint: Checkpoint


class Submitted(HandlerReport):
    """The handler wants a further task to exist. One whose id is in use exists already, and stays as it is."""

    type: Literal["submitted"] = "submitted"
    number: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_NUMBER,
            description="Which task of its execution this is: 1, 2, 3, …; each is told, in this order. A report that "
            "comes again is recognised by it.",
        ),
    ] = 1
    task: IdentifiedTask


class Logged(HandlerReport):
    """The lines that the handler wrote since the last such report. They gather for about a second."""

    type: Literal["logged"] = "logged"
    first_number: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_NUMBER,
            description="Which line of its execution the first of these is: 1, 2, 3, …, dropped ones included. A "
            "report that comes again, or before another, is recognised by it.",
        ),
    ] = 1
    dropped: Annotated[
        int,
        Field(
            ge=0,
            le=MAX_NUMBER,
            description="How many lines before these were dropped, for they could not be told in time.",
        ),
    ] = 0
    lines: Annotated[list[Line], Field(min_length=1, max_length=MAX_LINES_IN_A_REPORT)]


class Completed(EndReport):
    """The handler returned. It stands for `started` too: a quick task is told in one report."""

    type: Literal["completed"] = "completed"
    started_at: BoundedInstant
    finished_at: BoundedInstant
    result: Result = None


class Failed(EndReport):
    """The handler raised, or its result cannot be kept. Stands for `started` too."""

    type: Literal["failed"] = "failed"
    started_at: BoundedInstant
    finished_at: BoundedInstant
    error: TaskError
    traceback: Annotated[str | None, StringConstraints(max_length=MAX_TRACEBACK_CHARS)] = None
    is_final: Annotated[bool, Field(description="The handler says that another attempt is of no use.")] = False
    retry_after_seconds: Annotated[
        float | None,
        Field(ge=0, le=MAX_BACKOFF_SECONDS, description="The wait that the handler asks for; null: the backoff."),
    ] = None


class Cancelled(EndReport):
    """The handler was stopped because a client had asked for it."""

    type: Literal["cancelled"] = "cancelled"
    started_at: BoundedInstant
    finished_at: BoundedInstant


class GivenBack(EndReport):
    """The processor will not execute the work item; it is queued again under a new dispatch, not charged."""

    type: Literal["given_back"] = "given_back"
    reason: Annotated[
        Literal["draining", "unknown_kind", "not_now", "paused"],
        Field(
            description="Why: the processor stops; it has no handler for the kind (queued after a backoff); the "
            "handler wants to be called later; its queue is paused, and it was not begun."
        ),
    ]
    after_seconds: Annotated[
        float, Field(ge=0, le=MAX_BACKOFF_SECONDS, description="For `not_now`: how long the task waits.")
    ] = 0


class Hello(WireModel):
    """A processor tells what it serves, at its start, after each reconnect, when it drains, and every few seconds.

    The store makes the queues' consumers exist, and knows which processors there are.
    """

    type: Literal["hello"] = "hello"
    queues: Annotated[list[Queue], Field(min_length=1, max_length=MAX_QUEUES_PER_PROCESSOR)]
    kinds: Annotated[list[Kind], Field(max_length=MAX_KINDS_PER_PROCESSOR)]
    kind_defaults: Annotated[
        dict[Kind, KindDefaults],
        Field(max_length=MAX_KINDS_PER_PROCESSOR, description="What the handlers of those kinds declare."),
    ] = {}
    payload_schemas: Annotated[
        dict[Kind, dict[str, JsonValue]] | None,
        Field(
            max_length=MAX_KINDS_PER_PROCESSOR,
            description="The JSON Schemas of the payloads that those of its handlers take that have one; null: as it "
            "told them last under the same digest.",
        ),
    ] = None
    payload_schemas_digest: Annotated[
        str | None,
        StringConstraints(pattern=r"^[0-9a-f]{64}$"),
        Field(description="SHA-256 of these schemas; null: no handler has one."),
    ] = None
    slots: Annotated[int, Field(ge=1, le=MAX_NUMBER, description="Handlers that it executes at once.")]
    running: Annotated[int, Field(ge=0, le=MAX_NUMBER, description="Handlers that run now.")] = 0
    started_at: Annotated[BoundedInstant | None, Field(description="Since when it runs; null: it does not say.")] = None
    is_draining: Annotated[bool, Field(description="It takes no more work, and is about to end.")] = False
    software_version: str


RunReport = (
    Started | Heartbeat | Progressed | Checkpointed | Submitted | Logged | Completed | Failed | Cancelled | GivenBack
)
"""A report of an attempt, of any type."""

Report = Annotated[RunReport | Hello, Field(discriminator="type")]


class ReportBundle(WireModel):
    """Everything that a processor has to say since its last bundle, in order. At most `MAX_BODY_BYTES` as JSON."""

    processor_id: ProcessorId
    reports: Annotated[list[Report], Field(min_length=1)]
