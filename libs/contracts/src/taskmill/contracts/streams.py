"""The JetStream streams and consumers of Taskmill, as values. The task store makes the servers agree with them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from taskmill.contracts import subjects
from taskmill.contracts.limits import MAX_INTEGER
from taskmill.contracts.status import Priority

MESSAGE_ID_HEADER = "Nats-Msg-Id"
"""JetStream drops a message whose id it has seen within the stream's duplicate window."""

EXPECTED_LAST_SEQUENCE_HEADER = "Nats-Expected-Last-Sequence"
"""JetStream refuses a message unless the stream's newest one has this sequence."""

ROLLUP_HEADER = "Nats-Rollup"
"""With the value `sub`: the message replaces all others of its subject."""

POSITION_HEADER = "Taskmill-Position"
"""On events: the position in the store's log."""

PREVIOUS_POSITION_HEADER = "Taskmill-Previous-Position"
"""On events: the position of the event before it in the log; 0: it is the first. Whoever has another one before it has
missed something."""

EPOCH_METADATA = "taskmill.epoch"
"""In a stream's metadata: the epoch of the log that it belongs to. Where it is not, that is the first, 0."""


class Retention(StrEnum):
    """How long a stream keeps a message."""

    LIMITS = "limits"
    WORK_QUEUE = "workqueue"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSpec:
    """What a stream must be. Sizes in bytes, times in seconds; `None`: unlimited."""

    name: str
    subjects: tuple[str, ...]
    retention: Retention
    max_bytes: int | None = None
    max_age_seconds: float | None = None
    max_msgs_per_subject: int | None = None
    replicas: int | None = None
    """On how many servers of a cluster it is kept; `None`: one, unless somebody has changed that."""
    duplicate_window_seconds: float = 120
    discard_new: bool = False
    allow_direct: bool = False
    allow_batched: bool = False
    deny_delete: bool = False
    deny_purge: bool = False
    is_of_epoch: bool = True
    """Whether what it holds is worth something in one epoch of the log only: then it is made anew in the next."""
    placeholder_subject: str | None = None
    """Here stands a message that nobody consumes, so that the stream is never empty: each time one gets empty, the
    server deletes a file and creates another, which on an idle system is a quarter of what it does for a task."""

    @property
    def all_subjects(self) -> tuple[str, ...]:
        """Those that are consumed, and the placeholder's."""
        return self.subjects if self.placeholder_subject is None else (*self.subjects, self.placeholder_subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerSpec:
    """What a durable pull consumer must be. Acks are always explicit: AckAll loses what a dead client held."""

    stream: str
    name: str
    filter_subject: str
    ack_wait_seconds: float
    max_ack_pending: int
    is_paused: bool = False
    """Whether it is paused when it is created. One that exists stays as it is."""


WORK_STREAM = "TASK_WORK"
REPORTS_STREAM = "TASK_REPORTS"
EVENTS_STREAM = "TASK_EVENTS"
SET_ASIDE_STREAM = "TASK_SET_ASIDE"

SET_ASIDE_MAX_BYTES = 64 * 1024 * 1024
SET_ASIDE_MAX_AGE_SECONDS = 30 * 24 * 3_600

WORK_ACK_WAIT_SECONDS = 30

WorkAckWaitSeconds = Annotated[
    float,
    Field(
        ge=1,
        le=3_600,
        description="After this long without a heartbeat a work item is given to another processor; "
        "the same for the task store and all processors.",
    ),
]

HEARTBEATS_PER_ACK_WAIT = 3
"""A processor says that it holds a work item this often within the consumer's ack wait."""


def work_stream() -> StreamSpec:
    """Work items. One per task: a new dispatch replaces the old, which is then not redelivered."""
    return StreamSpec(
        name=WORK_STREAM,
        subjects=(subjects.WORK_SUBJECTS,),
        retention=Retention.WORK_QUEUE,
        max_msgs_per_subject=1,
        allow_direct=True,
        allow_batched=True,
        placeholder_subject=subjects.WORK_PLACEHOLDER_SUBJECT,
    )


def reports_stream(max_bytes: int) -> StreamSpec:
    """Reports. When it is full, processors keep their reports and try again, so nothing old is discarded."""
    return StreamSpec(
        name=REPORTS_STREAM,
        subjects=(subjects.REPORT_SUBJECTS,),
        retention=Retention.WORK_QUEUE,
        max_bytes=max_bytes,
        discard_new=True,
        placeholder_subject=subjects.REPORT_PLACEHOLDER_SUBJECT,
    )


def events_stream(max_bytes: int, max_age_seconds: float) -> StreamSpec:
    """Events. The log in PostgreSQL is the full history; this is what subscribers follow."""
    return StreamSpec(
        name=EVENTS_STREAM,
        subjects=(subjects.EVENT_SUBJECTS,),
        retention=Retention.LIMITS,
        max_bytes=max_bytes,
        max_age_seconds=max_age_seconds,
        allow_direct=True,
        allow_batched=True,
        deny_delete=True,
        deny_purge=True,
    )


def set_aside_stream() -> StreamSpec:
    """What nobody could read, for an operator to look at: the newest 64 MiB of 30 days, of whatever epoch."""
    return StreamSpec(
        name=SET_ASIDE_STREAM,
        subjects=(subjects.SET_ASIDE_SUBJECTS,),
        retention=Retention.LIMITS,
        max_bytes=SET_ASIDE_MAX_BYTES,
        max_age_seconds=SET_ASIDE_MAX_AGE_SECONDS,
        allow_direct=True,
        is_of_epoch=False,
    )


def parse_position(text: str | None) -> int | None:
    """The position in the log that a header tells; None: it tells none, as that of somebody else's message may."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > len(str(MAX_INTEGER)):
        return None
    return position if (position := int(text)) <= MAX_INTEGER else None


def work_consumer_name(queue: str, priority: Priority) -> str:
    """The consumer that processors of a queue pull one priority from."""
    return f"work-{queue}-{priority.value}"


def parse_work_consumer(name: str) -> str | None:
    """The queue of a consumer that `work_consumer_name` names; None: it is another one."""
    prefix, _, rest = name.partition("-")
    queue, _, _priority = rest.rpartition("-")
    return queue if prefix == "work" and queue else None


def work_consumer(queue: str, priority: Priority, ack_wait_seconds: float, *, is_paused: bool = False) -> ConsumerSpec:
    """The consumer of one queue and priority. The store owns the limits of redelivery, so JetStream has none."""
    return ConsumerSpec(
        stream=WORK_STREAM,
        name=work_consumer_name(queue, priority),
        filter_subject=subjects.work_filter(queue, priority),
        ack_wait_seconds=ack_wait_seconds,
        max_ack_pending=10_000,
        is_paused=is_paused,
    )


REPORTS_CONSUMER = "reports"

MAX_REPORTS_PENDING = 2_000
"""Bundles that all task stores together have in hand, or have asked for again."""

REPORTS_ACK_WAIT_SECONDS = 3
"""After so long a bundle that a store had in hand when it died is delivered again. A living one says before that it
still has it; should it come twice all the same, what is applied a second time changes nothing."""


def reports_consumer() -> ConsumerSpec:
    """The consumer that all task stores share."""
    return ConsumerSpec(
        stream=REPORTS_STREAM,
        name=REPORTS_CONSUMER,
        filter_subject=subjects.REPORT_SUBJECTS,
        ack_wait_seconds=REPORTS_ACK_WAIT_SECONDS,
        max_ack_pending=MAX_REPORTS_PENDING,
    )
