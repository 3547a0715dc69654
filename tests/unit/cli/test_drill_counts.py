"""What became of the tasks of a drill is counted one by one."""

import uuid
from datetime import UTC, datetime

import pytest

from taskmill.cli.drill.counts import Repetition, count, count_repetition
from taskmill.contracts.status import Priority, TaskStatus
from taskmill.contracts.tasks import TaskSummary

CREATED, QUEUED, STARTED = (f"taskmill.task.{name}.v1" for name in ("created", "queued", "started"))


def task(status: TaskStatus) -> TaskSummary:
    """A task as a list shows it."""
    now = datetime.now(UTC)
    return TaskSummary(
        id=uuid.uuid4(),
        title="Drill",
        kind="sleep",
        queue="default",
        priority=Priority.MEDIUM,
        labels={},
        status=status,
        is_run_active=True,
        version=1,
        revision=1,
        run=1,
        attempt=1,
        attempt_limit=1,
        created_at=now,
        updated_at=now,
    )


def test_every_accepted_task_is_counted_once() -> None:
    """Neither a task that a page showed twice, nor one that nobody was told of, counts."""
    waiting, done = task(TaskStatus.QUEUED), task(TaskStatus.COMPLETED)
    counts = count([waiting.id, done.id], [waiting, done, done, task(TaskStatus.COMPLETED)])
    assert (counts.accepted, counts.ended, counts.unended) == (2, 1, 1)
    assert str(counts) == "1 queued, 1 completed"


def test_a_task_that_is_not_found_is_missing() -> None:
    """It is told in the counts, and is not taken for one that has ended."""
    done = task(TaskStatus.COMPLETED)
    counts = count([done.id, uuid.uuid4()], [done])
    assert str(counts) == "1 completed, 1 MISSING"
    assert counts.unended == 1


@pytest.mark.parametrize("status", [TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED])
def test_whatever_ended_is_not_lost(status: TaskStatus) -> None:
    """A task that failed, or that somebody cancelled meanwhile, came to its end."""
    ended = task(status)
    assert count([ended.id], [ended]).unended == 0


QUEUED_TASK, TASK_AT_WORK, DONE_TASK = map(task, (TaskStatus.QUEUED, TaskStatus.IN_PROGRESS, TaskStatus.COMPLETED))


@pytest.mark.parametrize(
    ("tasks", "is_under_way"),
    [
        ([QUEUED_TASK, TASK_AT_WORK, DONE_TASK], True),
        ([TASK_AT_WORK], True),
        ([QUEUED_TASK, DONE_TASK], False),
        ([TASK_AT_WORK, DONE_TASK], False),
    ],
)
def test_work_is_under_way_when_some_is_done_while_some_waits(tasks: list[TaskSummary], is_under_way: bool) -> None:
    """Or all at once, when there are slots for all. With nothing at work, or the last of it, a drill proves little."""
    assert count([found.id for found in tasks], tasks).is_work_under_way is is_under_way


def test_what_was_done_again_is_counted_by_task() -> None:
    """However often it was: a second dispatch is one thing, a second call of the handler another."""
    histories = [
        [CREATED, QUEUED, STARTED],
        [CREATED, QUEUED, QUEUED, STARTED],
        [CREATED, QUEUED, STARTED, QUEUED, STARTED, QUEUED, STARTED],
    ]
    assert count_repetition(histories) == Repetition(dispatched_again=2, ran_again=1)
