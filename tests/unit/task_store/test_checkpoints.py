"""The checkpoint of a run: the newest that an execution left, until the task is completed or processed anew."""

import pytest

from taskmill.contracts.reports import RunReport
from taskmill.task_store.domain.reports import comes_early, decide_report
from taskmill.task_store.domain.retries import NO_DEFAULTS
from taskmill.task_store.domain.runs import decide_process
from taskmill.task_store.domain.state import TaskState
from tests.support.task_states import (
    HEARING,
    NOW,
    TASK_ID,
    after,
    cancelled,
    checkpointed,
    completed,
    failed,
    given_back,
    queued_task,
    started,
)
from tests.unit.task_store.test_batch import batch, bundle, overdue


def at_page_3(**fields: object) -> TaskState:
    """A task whose handler has left a checkpoint."""
    return after(queued_task(**fields), started(), checkpointed(checkpoint={"page": 3}))


def test_a_checkpoint_is_kept_without_an_event() -> None:
    """Nobody but the next execution is told."""
    running = after(queued_task(), started())
    decision = decide_report(running, checkpointed(checkpoint=["ä"]), HEARING)
    assert decision.state == running._replace(checkpoint='["ä"]', checkpoint_number=1)
    assert decision.events == ()


def test_the_newest_stays() -> None:
    """A report that comes again behind a newer one changes nothing."""
    running = after(queued_task(), started(), *(checkpointed(number=number, checkpoint=number) for number in (2, 7)))
    assert after(running, checkpointed(number=2, checkpoint=2)) is running
    assert running.checkpoint == "7"


def test_an_execution_that_was_given_up_leaves_none() -> None:
    """Its numbers say nothing of those of the execution that took over, either."""
    taken_over = after(at_page_3(), started(delivery=2))
    assert taken_over.checkpoint == '{"page":3}'
    assert after(taken_over, checkpointed(number=9)) is taken_over
    assert after(taken_over, checkpointed(delivery=2, checkpoint=4)).checkpoint == "4"


@pytest.mark.parametrize("end", [failed(), given_back(reason="draining"), given_back(reason="not_now")])
def test_the_next_attempt_of_the_run_has_it(end: RunReport) -> None:
    """After a failure, and after work that was given back."""
    assert after(at_page_3(max_attempts=2), end).checkpoint == '{"page":3}'


@pytest.mark.parametrize(
    "end",
    [
        failed(checkpointed=2),
        cancelled(checkpointed=2),
        given_back(reason="draining", checkpointed=2),
        given_back(reason="not_now", checkpointed=2),
    ],
    ids=lambda report: report.type,
)
def test_an_end_does_not_overtake_the_last_checkpoint(end: RunReport) -> None:
    """The next attempt would go on from an earlier one; if it is lost, the end is applied without it."""
    of = batch(at_page_3(max_attempts=2))
    assert of.decide(bundle(end)).early == (end,)
    assert of.tasks.changed == []
    lost = batch(at_page_3(max_attempts=2))
    assert not lost.decide(overdue(end)).early
    assert not of.decide(bundle(checkpointed(number=2, checkpoint="last"), end)).early
    assert [it.tasks.states[TASK_ID].checkpoint for it in (of, lost)] == ['"last"', '{"page":3}']
    assert [it.tasks.states[TASK_ID].status for it in (of, lost)] in (["scheduled"] * 2, ["queued"] * 2)


def test_a_checkpoint_does_not_overtake_the_start() -> None:
    """It would change nothing, and its end would wait for it."""
    assert comes_early(queued_task(), checkpointed(), "processor-1")
    assert comes_early(at_page_3(), checkpointed(delivery=2), "processor-1")
    assert not comes_early(at_page_3(), checkpointed(), "processor-2")


def test_a_completed_task_waits_for_no_checkpoint() -> None:
    """Nobody goes on from it."""
    assert not comes_early(at_page_3(), completed(checkpointed=2), "processor-1")


def test_a_completed_task_has_none() -> None:
    """The work is done."""
    assert after(at_page_3(), completed()).checkpoint == "null"


def test_a_new_run_begins_without() -> None:
    """Who asks for it wants all of it."""
    ended = after(at_page_3(), failed())
    assert ended.checkpoint == '{"page":3}'
    assert decide_process(ended, NO_DEFAULTS, NOW).state.checkpoint == "null"
