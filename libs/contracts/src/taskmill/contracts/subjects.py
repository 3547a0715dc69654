"""Every subject that Taskmill uses. Nothing else builds or parses one."""

from collections.abc import Collection
from functools import cache
from uuid import UUID

from taskmill.contracts.events import EventType
from taskmill.contracts.status import Priority

PREFIX = "tasks.v1"

WORK_SUBJECTS = f"{PREFIX}.work.>"
REPORT_SUBJECTS = f"{PREFIX}.report.>"
EVENT_SUBJECTS = f"{PREFIX}.event.>"
COMMAND_SUBJECTS = f"{PREFIX}.cmd.>"
CONTROL_SUBJECTS = f"{PREFIX}.ctl.>"

REPLAY_SUBJECTS = f"{PREFIX}.replay.*"

WORK_PLACEHOLDER_SUBJECT = f"{PREFIX}.placeholder.work"
REPORT_PLACEHOLDER_SUBJECT = f"{PREFIX}.placeholder.report"
"""What nobody consumes: see `StreamSpec.placeholder_subject`."""
PLACEHOLDER_SUBJECTS = f"{PREFIX}.placeholder.*"

SET_ASIDE_SUBJECTS = f"{PREFIX}.set_aside.*"
SET_ASIDE_REPORTS_SUBJECT = f"{PREFIX}.set_aside.reports"
SET_ASIDE_WORK_SUBJECT = f"{PREFIX}.set_aside.work"
"""What nobody can read, byte for byte, for an operator to look at."""

CANCEL_SUBJECTS = f"{PREFIX}.ctl.cancel.*"
"""Every processor listens: whoever has the task stops it."""

DRAIN_SUBJECTS = f"{PREFIX}.ctl.drain.*"

RELAY_WAKE_SUBJECT = f"{PREFIX}.ctl.relay"
"""A store that does not lead tells the leader that it has committed events. A hint: losing it costs a poll's delay."""


QUEUES_PAUSED_SUBJECT = f"{PREFIX}.ctl.paused"
"""Every processor listens. Core NATS: it may be lost, and is repeated while any queue is paused."""


def drain(processor_id: str) -> str:
    """Tells a processor to drain, and to end; the body is `Drain`. A request: the processor answers that it begins."""
    return f"{PREFIX}.ctl.drain.{processor_id}"


@cache
def command(verb: str) -> str:
    """The subject of a request to the task store, such as `tasks.v1.cmd.create`."""
    return f"{PREFIX}.cmd.{verb}"


def bundle(command_subject: str) -> str:
    """Where requests of one subject go that travel together, such as `tasks.v1.cmd.create.bundle`."""
    return f"{command_subject}.bundle"


def work(queue: str, priority: Priority, kind: str, task_id: UUID | str) -> str:
    """The subject of a task's work item. A task has one, so that a new dispatch replaces the old.

    Args:
        queue: Where the task waits.
        priority: With which priority.
        kind: Its kind.
        task_id: The task; as text, if that is there.
    """
    return f"{PREFIX}.work.{queue}.{priority.value}.{kind}.{task_id}"


def work_filter(queue: str, priority: Priority) -> str:
    """What the consumer of one queue and priority selects."""
    return f"{PREFIX}.work.{queue}.{priority.value}.>"


def report(processor_id: str) -> str:
    """The subject of a processor's reports."""
    return f"{PREFIX}.report.{processor_id}"


def cancel(task_id: UUID) -> str:
    """Tells the processor that has a task to stop its handler; the body is `CancelAttempt`.

    Core NATS: it may be lost, and is repeated.
    """
    return f"{PREFIX}.ctl.cancel.{task_id}"


def task_work(task_id: UUID) -> str:
    """What selects the work item of a task, whatever queue, priority and kind it was published for."""
    return f"{PREFIX}.work.*.*.*.{task_id}"


def event(event_type: str, kind: str, task_id: UUID | str) -> str:
    """The subject of an event, such as `tasks.v1.event.completed.http-request.<task id>`.

    Args:
        event_type: An `EventType`, or one that only a newer version knows.
        kind: The kind of its task.
        task_id: Its task; as text, if that is there.
    """
    return f"{PREFIX}.event.{event_type}.{kind}.{task_id}"


def event_filters(
    *, types: Collection[EventType] = (), kind: str | None = None, task_id: UUID | None = None
) -> list[str]:
    """What selects events: those of some types (empty: all), of a kind (None: any), of a task (None: any)."""
    if not types and kind is None and task_id is None:
        return [EVENT_SUBJECTS]
    wanted = sorted(event_type.value for event_type in types) or ["*"]
    return [f"{PREFIX}.event.{one}.{kind or '*'}.{task_id or '*'}" for one in wanted]


def parse_event(subject: str) -> tuple[str, str, UUID]:
    """Type (an `EventType`, or one that only a newer version knows), kind and task that a subject of `event` names.

    Raises:
        ValueError: It is no such subject.
    """
    prefix, *tokens = subject.rsplit(".", 3)
    if prefix != f"{PREFIX}.event" or len(tokens) != 3:
        raise ValueError("not the subject of an event")
    return tokens[0], tokens[1], UUID(tokens[2])


def replay(name: str) -> str:
    """The subject that a replay of the log publishes events to. Core NATS: who does not listen misses them."""
    return f"{PREFIX}.replay.{name}"


def parse_cancel(subject: str) -> UUID:
    """The task that a subject of `cancel` names.

    Raises:
        ValueError: It is no such subject.
    """
    prefix, _, task_id = subject.rpartition(".")
    if prefix != f"{PREFIX}.ctl.cancel":
        raise ValueError("not the subject of a cancellation")
    return UUID(task_id)
