from collections.abc import Iterable
from uuid import UUID

import pytest

from taskmill.contracts.errors import (
    RevisionMismatchError,
    RunActiveError,
    TaskExistsError,
    TaskNotFoundError,
    TooManyQueuesError,
)
from taskmill.contracts.reports import Hello, ReportBundle
from taskmill.contracts.requests import CreateTask, CreateTasks, DeleteTask, ProcessTask, UpdateTask
from taskmill.contracts.status import TaskStatus
from taskmill.task_store.domain.batch import Batch, MakeDue, named_queues
from taskmill.task_store.domain.queues import QueueBook
from taskmill.task_store.domain.runs import RunReport
from taskmill.task_store.domain.state import TaskState
from tests.support.task_states import (
    NOW,
    RULES,
    TASK_ID,
    after,
    completed,
    create_request,
    pending_task,
    queued_task,
    started,
)

OTHER_ID = UUID("01a20000-0000-7000-8000-000000000002")


def batch(
    *states: TaskState, used_ids: Iterable[UUID] = (), queues: Iterable[str] = ("default",), limit: int = 3
) -> Batch:
    """A batch that has read these states."""
    return Batch(states, used_ids, QueueBook(queues, limit), RULES, NOW)


def bundle(*reports: RunReport | Hello) -> ReportBundle:
    """What a processor says."""
    return ReportBundle(processor_id="processor-1", reports=list(reports))


def other_task(**fields: object) -> CreateTask:
    """A request for another task."""
    return CreateTask.model_validate({"id": OTHER_ID, "title": "Other", **fields})


def versions(of: Batch) -> list[tuple[UUID, int]]:
    """The events of a batch in the order of the log."""
    return [(event.task_id, event.version) for event in of.events]


def test_operations_see_those_before_them() -> None:
    """Several operations on one task in a batch act one after another, and are written as one change."""
    of = batch(pending_task())
    of.decide(UpdateTask(id=TASK_ID, changes={"title": "new"}))
    of.decide(ProcessTask(id=TASK_ID, expected_revision=2))
    of.decide(bundle(started(), completed(result=1)))
    of.decide(ProcessTask(id=TASK_ID))
    assert versions(of) == [(TASK_ID, version) for version in (2, 3, 4, 5, 6)]
    ((read_version, state),) = of.changed
    assert (read_version, state.version, state.title, state.attempt) == (1, 6, "new", 2)
    assert [(attempt.attempt, attempt.outcome) for attempt in of.attempts] == [(1, "completed"), (2, None)]


def test_a_refused_operation_leaves_everything_as_it_was() -> None:
    """Its neighbours are decided as if it had not been there."""
    of = batch(queued_task())
    with pytest.raises(RunActiveError):
        of.decide(ProcessTask(id=TASK_ID))
    with pytest.raises(RevisionMismatchError):
        of.decide(DeleteTask(id=TASK_ID, expected_revision=9))
    with pytest.raises(TaskNotFoundError):
        of.decide(UpdateTask(id=OTHER_ID, changes={}))
    assert (of.created, of.changed, of.deleted, of.events, of.attempts) == ([], [], [], [], [])


def test_a_task_may_be_created_and_processed_in_one_batch() -> None:
    """What is created in a batch is inserted as it stands at the end of it."""
    of = batch()
    of.decide(create_request())
    of.decide(ProcessTask(id=TASK_ID))
    (state,) = of.created
    assert (state.status, state.version, of.changed) == (TaskStatus.QUEUED, 2, [])


@pytest.mark.parametrize("second", [create_request(), CreateTasks(tasks=[other_task(), create_request()])])
def test_an_id_is_used_once(second: CreateTask | CreateTasks) -> None:
    """A second task with an id is refused, alone or among others, in the same batch or after."""
    of = batch()
    of.decide(create_request())
    with pytest.raises(TaskExistsError):
        of.decide(second)
    assert [state.id for state in of.created] == [TASK_ID]
    with pytest.raises(TaskExistsError):
        batch(used_ids=[TASK_ID]).decide(second)


def test_many_are_created_all_or_none() -> None:
    """One id twice, or one queue too many, and none of the tasks exists."""
    of = batch(limit=1)
    with pytest.raises(TaskExistsError):
        of.decide(CreateTasks(tasks=[create_request(), other_task(), create_request()]))
    with pytest.raises(TooManyQueuesError):
        of.decide(CreateTasks(tasks=[create_request(), other_task(queue="web")]))
    assert (of.created, of.events, of.queues.added) == ([], [], [])
    of.decide(CreateTasks(tasks=[create_request(), other_task()]))
    assert len(of.created) == 2


def test_a_deleted_task_is_gone_for_the_rest_of_the_batch() -> None:
    """Later operations do not find it, its attempts are not written, its events are."""
    of = batch(after(queued_task(), completed()))
    of.decide(ProcessTask(id=TASK_ID))
    of.decide(bundle(completed(attempt=2, dispatch=2)))
    of.decide(DeleteTask(id=TASK_ID))
    with pytest.raises(TaskNotFoundError):
        of.decide(ProcessTask(id=TASK_ID))
    of.decide(bundle(started(9)))
    assert of.deleted == [(4, TASK_ID)]
    assert (of.changed, of.created, of.attempts) == ([], [], [])
    assert [event.type.value for event in of.events] == ["queued", "started", "completed", "deleted"]


def test_created_and_deleted_in_one_batch_leaves_only_history() -> None:
    """Nothing is inserted, and both events are told."""
    of = batch()
    of.decide(create_request())
    of.decide(DeleteTask(id=TASK_ID))
    assert (of.created, of.deleted) == ([], [])
    assert versions(of) == [(TASK_ID, 1), (TASK_ID, 2)]


def test_reports_of_unknown_tasks_are_ignored() -> None:
    """A report of a task that was deleted changes nothing, and its bundle is done."""
    of = batch()
    assert of.decide(bundle(completed(), started())) == ()
    assert of.events == []


def test_queues_are_limited() -> None:
    """A new queue is admitted while there is room, at creation as at an update."""
    of = batch(pending_task(), queues=["default", "a"], limit=3)
    of.decide(other_task(queue="b"))
    with pytest.raises(TooManyQueuesError):
        of.decide(UpdateTask(id=TASK_ID, changes={"queue": "c"}))
    of.decide(UpdateTask(id=TASK_ID, changes={"queue": "b"}))
    assert of.queues.added == ["b"]


def test_a_hello_brings_its_queues_as_far_as_there_is_room() -> None:
    """A processor's queues exist from its hello on; beyond the limit they do not, and nothing fails."""
    of = batch(queues=["default"], limit=2)
    hello = Hello(queues=["default", "a", "b"], kinds=[], slots=1, software_version="1")
    assert of.decide(bundle(hello)) == ()
    assert of.queues.added == ["a"]


def test_due_tasks_are_looked_at_again() -> None:
    """Of the tasks that were found due, those that no longer wait are left alone."""
    of = batch(queued_task())
    assert of.decide(MakeDue((TASK_ID, OTHER_ID))) == ()
    assert of.events == []


def test_every_queue_that_may_come_into_being_is_named() -> None:
    """Whatever leads to a queue is known before the states are read: a cleared queue is the default one."""
    hello = Hello(queues=["a", "b"], kinds=[], slots=1, software_version="1")
    assert named_queues(bundle(started(), hello)) == ["a", "b"]
    assert named_queues(UpdateTask(id=TASK_ID, changes={"queue": None}, is_merge_patch=True)) == ["default"]
    assert named_queues(UpdateTask(id=TASK_ID, changes={"queue": 5})) == []
    assert named_queues(UpdateTask(id=TASK_ID, changes={"title": "x"})) == []
    assert named_queues(CreateTasks(tasks=[create_request(queue="c"), other_task()])) == ["c", "default"]
