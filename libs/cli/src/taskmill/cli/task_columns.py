"""How tasks look in tables."""

from pydantic_core import to_json

from taskmill.cli.output import Column
from taskmill.cli.wording import age, duration, instant, labels
from taskmill.contracts.tasks import Attempt, Task, TaskSummary


def _progress(task: TaskSummary) -> str | None:
    if task.progress is None:
        return None
    return f"{task.progress.fraction:.0%} {task.progress.message or ''}".rstrip()


def _why(task: TaskSummary) -> str | None:
    if task.error is not None:
        return f"{task.error.code}: {task.error.message}"
    if task.waiting_for is not None:
        until = instant(task.waiting_for.until)
        name = f" {task.waiting_for.limit}" if task.waiting_for.limit else ""
        after = ", ".join(map(str, task.waiting_for.after or []))
        return (
            f"waits for {task.waiting_for.reason}{name}"
            + (f" until {until}" if until else "")
            + (f": {after}" if after else "")
        )
    return None


def _json(value: object) -> str | None:
    return None if value is None else to_json(value).decode()


def _took(attempt: Attempt) -> str | None:
    if attempt.started_at is None or attempt.finished_at is None:
        return None
    return duration((attempt.finished_at - attempt.started_at).total_seconds())


TASKS: list[Column[TaskSummary]] = [
    Column("ID", lambda task: task.id),
    Column("STATUS", lambda task: task.status),
    Column("KIND", lambda task: task.kind),
    Column("QUEUE", lambda task: task.queue),
    Column("PRIORITY", lambda task: task.priority),
    Column("AGE", lambda task: age(task.created_at)),
    Column("TITLE", lambda task: task.title, may_be_cut=True),
]
"""A line for each."""

TASK: list[Column[Task]] = [
    Column("id", lambda task: task.id),
    Column("title", lambda task: task.title),
    Column("description", lambda task: task.description),
    Column("status", lambda task: task.status),
    Column("because", _why),
    Column("kind", lambda task: task.kind),
    Column("queue", lambda task: task.queue),
    Column("priority", lambda task: task.priority),
    Column("concurrency key", lambda task: task.concurrency_key),
    Column("unique key", lambda task: task.unique_key),
    Column("labels", lambda task: labels(task.labels)),
    Column("group", lambda task: task.group_id),
    Column("schedule", lambda task: task.schedule_id),
    Column("run", lambda task: task.run),
    Column("attempt", lambda task: f"{task.attempt} of {task.attempt_limit}" if task.attempt_limit else task.attempt),
    Column("processor", lambda task: task.processor_id),
    Column("progress", _progress),
    Column("created", lambda task: instant(task.created_at)),
    Column("queued", lambda task: instant(task.queued_at)),
    Column("started", lambda task: instant(task.started_at)),
    Column("finished", lambda task: instant(task.finished_at)),
    Column("revision", lambda task: task.revision),
    Column("payload", lambda task: _json(task.payload)),
    Column("result", lambda task: _json(task.result)),
]
"""All that is told of one."""

ATTEMPTS: list[Column[Attempt]] = [
    Column("ATTEMPT", lambda attempt: attempt.attempt),
    Column("RUN", lambda attempt: attempt.run),
    Column("OUTCOME", lambda attempt: attempt.outcome),
    Column("STARTED", lambda attempt: instant(attempt.started_at)),
    Column("TOOK", _took),
    Column("PROCESSOR", lambda attempt: attempt.processor_id),
    Column(
        "ERROR", lambda attempt: attempt.error and f"{attempt.error.code}: {attempt.error.message}", may_be_cut=True
    ),
]
"""A line for each."""
