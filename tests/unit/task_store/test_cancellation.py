from datetime import timedelta

import orjson
import pytest

from taskmill.contracts.errors import AlreadyFinishedError
from taskmill.contracts.events import EventType
from taskmill.contracts.reports import RunReport
from taskmill.contracts.requests import UpdateTask
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import AttemptOutcome
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.editing import decide_update
from taskmill.task_store.domain.endings import cancel_at_once, decide_cancel, decide_expiry
from taskmill.task_store.domain.reports import decide_report
from taskmill.task_store.domain.retries import NO_DEFAULTS
from taskmill.task_store.domain.runs import decide_lost, decide_process
from taskmill.task_store.domain.state import TaskState
from tests.support.task_states import (
    HEARING,
    NOW,
    RULES,
    TASK_ID,
    after,
    cancelled,
    cancelling_task,
    completed,
    failed,
    given_back,
    heartbeat,
    pending_task,
    queued_task,
    started,
)

LATER = HEARING._replace(now=NOW + timedelta(seconds=10))
LEASE_END = NOW + RULES.lease


def how_it_ended(decision: Decision) -> tuple[TaskStatus, str | None]:
    """The status, and what the last event tells of the cancellation."""
    data = orjson.loads(decision.events[-1].document)["data"]
    return decision.state.status, data["cancellation"]


@pytest.mark.parametrize(
    "state",
    [pending_task(), queued_task(), after(queued_task(max_attempts=2), failed())],
    ids=["pending", "queued", "scheduled"],
)
def test_what_has_not_started_is_cancelled_at_once(state: TaskState) -> None:
    """Nobody has it: the task ends, and reports of its work item no longer count."""
    decision = decide_cancel(state, NOW)
    assert how_it_ended(decision) == (TaskStatus.CANCELLED, "before_start")
    assert (decision.state.is_run_active, decision.state.run_at, decision.state.finished_at) == (False, None, NOW)
    assert decide_report(decision.state, started(9), HEARING) == Decision(decision.state)


def test_only_an_attempt_of_the_run_is_cancelled_with_it() -> None:
    """A queued attempt ends; one that has never been queued, or ended before, is left alone."""
    attempt = decide_cancel(queued_task(), NOW).attempt
    assert attempt is not None
    assert attempt.outcome is AttemptOutcome.CANCELLED
    assert decide_cancel(after(queued_task(max_attempts=2), failed()), NOW).attempt is None
    by_hand = decide_update(
        after(queued_task(), completed()), UpdateTask(id=TASK_ID, changes={"status": "pending"}), NOW
    )
    assert decide_cancel(by_hand.state, NOW).attempt is None


def test_of_what_is_in_progress_the_cancellation_is_asked_for_once() -> None:
    """The task stays in progress, with an event that the relay passes on; asking again changes nothing."""
    decision = decide_cancel(after(queued_task(), started()), NOW)
    assert [event.type for event in decision.events] == [EventType.CANCEL_REQUESTED]
    assert (decision.state.status, decision.state.cancel_requested_at) == (TaskStatus.IN_PROGRESS, NOW)
    assert decide_cancel(decision.state, LATER.now) == Decision(decision.state)


def by_hand() -> TaskState:
    """A task that a person has set in progress."""
    return decide_update(pending_task(), UpdateTask(id=TASK_ID, changes={"status": "in_progress"}), NOW).state


@pytest.mark.parametrize(
    "state",
    [
        by_hand(),
        after(queued_task(), completed()),
        after(queued_task(), failed()),
        decide_cancel(queued_task(), NOW).state,
    ],
    ids=["by hand", "completed", "failed", "cancelled"],
)
def test_what_is_not_in_a_run_cannot_be_cancelled(state: TaskState) -> None:
    """It is too late, or it is a person's."""
    with pytest.raises(AlreadyFinishedError):
        decide_cancel(state, NOW)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (cancelled(), (TaskStatus.CANCELLED, "confirmed")),
        (given_back(), (TaskStatus.CANCELLED, "confirmed")),
        (given_back(reason="unknown_kind"), (TaskStatus.CANCELLED, "confirmed")),
        (completed(), (TaskStatus.COMPLETED, "too_late")),
        (failed(), (TaskStatus.FAILED, "too_late")),
    ],
    ids=["cancelled", "draining", "unknown kind", "completed", "failed"],
)
def test_whichever_report_comes_first_ends_it(report: RunReport, expected: tuple[TaskStatus, str]) -> None:
    """Stopped, or done all the same; never tried again, though there are attempts left."""
    decision = decide_report(cancelling_task(max_attempts=9), report, LATER)
    assert how_it_ended(decision) == expected
    assert decision.state.cancel_requested_at is None
    assert not decision.state.is_run_active


def test_nothing_prolongs_the_lease_of_what_is_to_be_cancelled() -> None:
    """Neither a heartbeat nor a processor that takes the work over."""
    state = cancelling_task()
    assert decide_report(state, heartbeat(), LATER) == Decision(state)
    assert decide_report(state, started(2), LATER).state.lease_until == LEASE_END


def test_without_an_answer_it_ends_with_the_lease() -> None:
    """Not before; and what the processor still says changes nothing."""
    state = cancelling_task()
    assert decide_expiry(state, LEASE_END - timedelta(microseconds=1)) == Decision(state)
    decision = decide_expiry(state, LEASE_END)
    assert how_it_ended(decision) == (TaskStatus.CANCELLED, "expired")
    assert decide_report(decision.state, completed(), LATER) == Decision(decision.state)


@pytest.mark.parametrize(
    "state", [queued_task(), after(queued_task(), started()), pending_task()], ids=["queued", "in progress", "pending"]
)
def test_only_cancellations_expire(state: TaskState) -> None:
    """A lease that is over is no reason to cancel what nobody wants cancelled."""
    assert decide_expiry(state, LEASE_END) == Decision(state)


def test_a_cancellation_that_nobody_asked_for_is_given_back() -> None:
    """A message for an earlier run came late and stopped the handler: the attempt is queued again."""
    decision = decide_report(after(queued_task(), started()), cancelled(), HEARING)
    assert (decision.state.status, decision.state.attempt, decision.state.dispatch) == (TaskStatus.QUEUED, 1, 2)


def test_a_cancelled_task_may_be_done_after_all() -> None:
    """Process begins a new run."""
    again = decide_process(decide_report(cancelling_task(), cancelled(), LATER).state, NO_DEFAULTS, NOW).state
    assert (again.run, again.attempt, again.status) == (2, 2, TaskStatus.QUEUED)


@pytest.mark.parametrize(
    ("state", "cancellation"),
    [(queued_task(), "before_start"), (after(queued_task(), started()), "expired"), (cancelling_task(), "expired")],
    ids=["queued", "in progress", "to be cancelled"],
)
def test_force_does_not_wait(state: TaskState, cancellation: str) -> None:
    """What is deleted by force is cancelled first, without asking its processor."""
    assert how_it_ended(cancel_at_once(state, NOW)) == (TaskStatus.CANCELLED, cancellation)


def test_lost_work_is_queued_again() -> None:
    """A queued task, or one whose lease is over, gets another dispatch of the same attempt."""
    for state in (queued_task(), after(queued_task(), started())):
        again = decide_lost(state, 1, LEASE_END).state
        assert (again.status, again.attempt, again.dispatch, again.delivery) == (TaskStatus.QUEUED, 1, 2, 0)


@pytest.mark.parametrize(
    ("state", "dispatch"),
    [
        (queued_task(), 2),
        (after(queued_task(), started()), 1),
        (after(queued_task(max_attempts=2), failed()), 1),
        (after(queued_task(), completed()), 1),
        (cancelling_task()._replace(lease_until=NOW), 1),
    ],
    ids=["newer dispatch", "held", "scheduled", "ended", "to be cancelled"],
)
def test_what_is_not_lost_stays(state: TaskState, dispatch: int) -> None:
    """Between the looking and the deciding the task may have moved on."""
    assert decide_lost(state, dispatch, NOW) == Decision(state)
