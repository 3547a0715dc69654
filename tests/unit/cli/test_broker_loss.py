"""The drill: in this order, and judged by what was accepted."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from taskmill.cli.drill.broker import Broker, StreamContent
from taskmill.cli.drill.broker_loss import BrokerLoss
from taskmill.cli.drill.drill_tasks import DrillTasks
from taskmill.cli.drill.errors import NoWorkUnderWayError
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import TaskSummary
from tests.unit.cli.test_drill_counts import task


class FakeStack(Broker):
    """A broker that notes what is done to it, and tasks of which some may never end, and some wait before the loss."""

    def __init__(self, *, lost_tasks: int = 0, waiting_tasks: int = 1) -> None:
        super().__init__("nats://nowhere", 0, Path("/nowhere"))
        self.done: list[str] = []
        self.tasks = FakeTasks(self, lost_tasks, waiting_tasks)

    def look(self) -> dict[str, StreamContent]:
        """Return one stream."""
        return {"TASK_WORK": StreamContent("today", 3)}

    def lose_everything(self) -> None:
        """Note it."""
        self.done.append("everything lost")

    def await_new_streams(self, old: dict[str, StreamContent], *, deadline: float) -> dict[str, StreamContent]:
        """Have them at once."""
        del deadline
        self.done.append("streams made anew")
        return old


class FakeTasks(DrillTasks):
    """Tasks in memory: at work until the broker has lost everything, and then completed."""

    def __init__(self, stack: FakeStack, lost_tasks: int, waiting_tasks: int) -> None:
        super().__init__("http://nowhere", "drill", deadline=0)
        self._stack = stack
        self._lost_tasks = lost_tasks
        self._waiting_tasks = waiting_tasks
        self._found: list[TaskSummary] = []

    def post(self, count: int) -> list[UUID]:
        """Take them in."""
        self._stack.done.append(f"{count} posted")
        new = [task(TaskStatus.IN_PROGRESS) for _ in range(count)]
        self._found += new
        return [found.id for found in new]

    def all(self) -> Iterator[TaskSummary]:
        """Yield them as they are by now."""
        for number, found in enumerate(self._found):
            if self._stack.done[-1] == "streams made anew" and number >= self._lost_tasks:
                yield found.model_copy(update={"status": TaskStatus.COMPLETED, "version": 4 + number})
            elif number < self._waiting_tasks:
                yield found.model_copy(update={"status": TaskStatus.QUEUED})
            else:
                yield found

    def history(self, task_id: UUID) -> list[str]:
        """Every task was begun again, as it seems."""
        assert isinstance(task_id, uuid.UUID)
        return ["taskmill.task.started.v1"] * 2


def run(stack: FakeStack, lines: list[str]) -> bool:
    """Run a drill that has no time to wait for anything."""
    return BrokerLoss(stack, stack.tasks, deadline=time.monotonic(), say=lines.append).run(10)


def test_tasks_are_posted_before_the_loss_and_during_it() -> None:
    """Those that are at work lose their messages; those that come then are accepted all the same."""
    stack, lines = FakeStack(), list[str]()
    assert run(stack, lines)
    assert stack.done == ["8 posted", "everything lost", "2 posted", "streams made anew"]
    assert lines[0] == "before: 1 queued, 7 in progress"
    assert "accepted 10, ended 10 (10 completed), lost 0" in lines[-1]
    # The first had no more events than an undisturbed one.
    assert "handler called more than once: 9" in lines[-1]


def test_fewer_tasks_than_slots_are_enough() -> None:
    """None of them waits, but all are at work when their messages are lost."""
    stack, lines = FakeStack(waiting_tasks=0), list[str]()
    assert run(stack, lines)
    assert lines[0] == "before: 8 in progress"


def test_a_task_that_has_not_ended_in_time_is_lost() -> None:
    """The drill has failed, and says how many."""
    stack, lines = FakeStack(lost_tasks=3), list[str]()
    assert not run(stack, lines)
    assert "accepted 10, ended 7 (1 queued, 2 in progress, 7 completed), lost 3" in lines[-1]


def test_nothing_is_deleted_unless_work_is_under_way() -> None:
    """With nothing at work the drill would prove little, and ends before it does harm."""
    stack = FakeStack(waiting_tasks=8)
    with pytest.raises(NoWorkUnderWayError):
        run(stack, [])
    assert stack.done == ["8 posted"]
