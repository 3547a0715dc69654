"""Tasks that handlers submit: made once, under the fence, and never overtaken by what follows them."""

import pytest

from taskmill.contracts.reports import RunReport
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import KindDefaults
from taskmill.task_store.domain.operations import named_queues, new_tasks
from taskmill.task_store.domain.reports import comes_early
from taskmill.task_store.domain.state import TaskState
from tests.support.task_states import (
    SUBMITTED_ID,
    TASK_ID,
    after,
    checkpointed,
    completed,
    failed,
    given_back,
    given_up_executions,
    queued_task,
    started,
    submitted,
)
from tests.unit.task_store.test_batch import OTHER_ID, batch, bundle, overdue


def running() -> TaskState:
    """A task in progress."""
    return after(queued_task(), started())


def test_a_submitted_task_is_made_like_any_other() -> None:
    """With the defaults of its kind and the events of a creation; of the submitting task nothing is told."""
    of = batch(running(), kinds={"echo": KindDefaults(max_attempts=4)})
    answer = of.decide(bundle(submitted(payload=1, labels={"a": "b"})))
    [child] = of.tasks.created
    assert (child.id, child.status, child.attempt_limit) == (SUBMITTED_ID, TaskStatus.QUEUED, 4)
    assert (child.payload, child.labels) == ("1", '{"a":"b"}')
    assert [(event.task_id, event.type) for event in of.tasks.events] == [
        (SUBMITTED_ID, "created"),
        (SUBMITTED_ID, "queued"),
    ]
    [(_, parent)] = of.tasks.changed
    assert parent == running()._replace(submission_number=1)
    assert not answer.early


def test_the_same_task_is_made_once() -> None:
    """Not by a report that comes again, nor by another execution, nor when it was deleted since."""
    of = batch(running())
    of.decide(bundle(submitted(), submitted()))
    of.decide(bundle(started(2), submitted(2), submitted(2, number=2, title="Changed")))
    assert [child.title for child in of.tasks.created] == ["Another"]
    used = batch(running(), used_ids=[SUBMITTED_ID])
    used.decide(bundle(submitted()))
    assert used.tasks.created == []


def test_an_execution_that_was_given_up_submits_nothing() -> None:
    """Neither one that another has taken over from, nor one behind its end."""
    of = batch(after(running(), started(2)))
    assert not of.decide(bundle(submitted())).early
    ended = batch(after(running(), completed()))
    assert not ended.decide(bundle(submitted())).early
    assert of.tasks.created == ended.tasks.created == []


def test_there_is_always_room_for_it() -> None:
    """Nobody could tell the handler: a full queue takes it, and in place of a queue too many it gets its task's."""
    of = batch(running(), queues={"default": 10}, limit=1, max_waiting=10)
    of.decide(bundle(submitted(), submitted(number=2, id=OTHER_ID, queue="new")))
    assert [child.queue for child in of.tasks.created] == ["default", "default"]


def test_a_bundle_names_what_it_makes() -> None:
    """So that queues and ids are looked for under the lock where they must be."""
    told = bundle(submitted(queue="new"), completed(submitted=1))
    assert [task.id for task in new_tasks(told)] == [SUBMITTED_ID]
    assert named_queues(told) == ["new"]


@pytest.mark.parametrize(
    "late",
    [
        completed(submitted=2),
        failed(submitted=2),
        given_back(submitted=2),
        checkpointed(submitted=2),
        submitted(number=3, id=OTHER_ID),
    ],
)
def test_what_overtakes_a_submitted_task_comes_again(late: RunReport) -> None:
    """It changes nothing at first; then it follows."""
    of = batch(running())
    assert of.decide(bundle(submitted(), late)).early == (late,)
    assert of.tasks.states[TASK_ID] == running()._replace(submission_number=1)
    assert not of.decide(bundle(submitted(number=2, id=OTHER_ID), late)).early
    assert of.tasks.states[TASK_ID] != running()._replace(submission_number=2)


@pytest.mark.parametrize("early", [submitted(), completed(submitted=1)])
def test_what_overtakes_the_start_comes_again(early: RunReport) -> None:
    """Also where an execution that fell silent holds the attempt."""
    assert comes_early(queued_task(), early, "processor-1")
    assert comes_early(running(), early.model_copy(update={"delivery": 2}), "processor-1")


@pytest.mark.parametrize("state", given_up_executions().values(), ids=given_up_executions().keys())
def test_what_counts_no_more_is_not_waited_for(state: TaskState) -> None:
    """It would never be applied."""
    for report in (submitted(number=2), completed(submitted=1), checkpointed(submitted=1)):
        assert not comes_early(state, report, "processor-1")


def test_what_is_lost_is_worth_another_execution() -> None:
    """However long it has been asked for, what overtook a submitted task changes nothing: the attempt is begun anew."""
    for state in (running(), queued_task()):
        of = batch(state)
        late = completed(submitted=1)
        assert of.decide(overdue(late)).early == (late,)
        assert of.tasks.changed == []


def test_an_end_without_submissions_waits_for_nothing() -> None:
    """Whoever reports it."""
    assert not comes_early(queued_task(), completed(), "processor-1")
    assert not comes_early(running(), completed(2), "processor-2")
