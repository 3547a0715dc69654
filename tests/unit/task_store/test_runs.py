from collections.abc import Callable
from datetime import timedelta

import pytest

from taskmill.contracts.errors import RunActiveError
from taskmill.contracts.events import EventType
from taskmill.contracts.reports import RunReport
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import AttemptOutcome
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.reports import decide_report
from taskmill.task_store.domain.retries import NO_DEFAULTS
from taskmill.task_store.domain.runs import decide_due, decide_offer, decide_process
from taskmill.task_store.domain.state import TaskState, newest_attempt
from taskmill.task_store.domain.waiting import ServedWork
from tests.support.task_states import (
    FINISHED_AT,
    HEARING,
    NOW,
    RULES,
    STARTED_AT,
    after,
    cancelled,
    completed,
    failed,
    given_back,
    heartbeat,
    pending_task,
    progressed,
    queued_task,
    started,
    started_at,
)

ReportMaker = Callable[..., RunReport]


def types(decision: Decision) -> list[EventType]:
    """What a decision tells the world."""
    return [event.type for event in decision.events]


def assert_ignored(state: TaskState, report: RunReport) -> None:
    """The report changes nothing and tells nothing."""
    decision = decide_report(state, report, HEARING)
    assert decision.state is state
    assert decision == Decision(state)


def test_processing_begins_a_run() -> None:
    """Run, attempt and dispatch rise, and the task is queued; the attempt is what the task's state says of it."""
    decision = decide_process(pending_task(), NO_DEFAULTS, NOW)
    assert decision.state.status is TaskStatus.QUEUED
    assert (decision.state.run, decision.state.attempt, decision.state.dispatch, decision.state.delivery) == (
        1,
        1,
        1,
        0,
    )
    assert types(decision) == [EventType.QUEUED]
    assert decision.attempt is None
    attempt = newest_attempt(decision.state)
    assert attempt is not None
    assert (attempt.attempt, attempt.queued_at, attempt.outcome) == (1, NOW, None)


def test_processing_again_clears_what_the_last_run_left() -> None:
    """A new run starts without result, error, progress and times; numbers go on."""
    ended = after(queued_task(), started(), progressed(), failed())
    again = decide_process(ended, NO_DEFAULTS, NOW).state
    assert (again.run, again.attempt, again.dispatch, again.delivery) == (2, 2, 2, 0)
    assert (again.error, again.progress, again.started_at, again.finished_at, again.processor_id) == (None,) * 5
    assert again.result == "null"


@pytest.mark.parametrize("state", [queued_task(), after(queued_task(), started())], ids=["queued", "in progress"])
def test_a_run_must_end_before_the_next(state: TaskState) -> None:
    """Process is refused while a run is active."""
    with pytest.raises(RunActiveError):
        decide_process(state, NO_DEFAULTS, NOW)


def test_started_takes_the_attempt() -> None:
    """A started report puts the task in progress under its delivery, with a lease."""
    decision = decide_report(queued_task(), started(delivery=3), HEARING)
    state = decision.state
    assert state.status is TaskStatus.IN_PROGRESS
    assert (state.delivery, state.processor_id, state.started_at) == (3, "processor-1", STARTED_AT)
    assert state.lease_until == NOW + RULES.lease
    assert types(decision) == [EventType.STARTED]


def test_a_later_delivery_takes_over() -> None:
    """When the work item was delivered again, the second started replaces the first, without its progress."""
    state = after(queued_task(), started(1), progressed(1), started(2))
    assert (state.delivery, state.progress) == (2, None)
    assert_ignored(state, progressed(1))
    assert_ignored(state, heartbeat(1))


@pytest.mark.parametrize("report", [started(1), started(2)], ids=["older", "same"])
def test_started_needs_a_newer_delivery(report: RunReport) -> None:
    """A started of the delivery that holds the attempt, or of one before it, is ignored."""
    assert_ignored(after(queued_task(), started(2)), report)


@pytest.mark.parametrize("make", [started, heartbeat, progressed, completed, failed, cancelled, given_back])
@pytest.mark.parametrize("fence", [{"attempt": 2}, {"dispatch": 2}], ids=["attempt", "dispatch"])
def test_reports_of_another_execution_are_ignored(make: ReportMaker, fence: dict[str, int]) -> None:
    """Attempt and dispatch must be the row's, whatever the delivery."""
    assert_ignored(after(queued_task(), started(1)), make(2, **fence))


@pytest.mark.parametrize("make", [started, heartbeat, progressed, completed, failed, cancelled, given_back])
def test_reports_after_the_end_are_ignored(make: ReportMaker) -> None:
    """A run that ended takes no report, not even of a later delivery."""
    ended = after(queued_task(), completed(1))
    assert_ignored(ended, make(1))
    assert_ignored(ended, make(9))


def test_a_heartbeat_renews_the_lease_in_silence() -> None:
    """A heartbeat of the execution that holds the attempt moves the lease; it is no event and no version."""
    state = after(queued_task(), started())
    later = HEARING._replace(now=NOW + timedelta(seconds=10))
    decision = decide_report(state, heartbeat(), later)
    assert decision.state.lease_until == NOW + timedelta(seconds=10) + RULES.lease
    assert decision.state.version == state.version
    assert decision.events == ()


@pytest.mark.parametrize("report", [heartbeat(1), progressed(1)], ids=["heartbeat", "progress"])
def test_only_a_started_task_lives_and_progresses(report: RunReport) -> None:
    """Before started was heard, heartbeat and progress are ignored."""
    assert_ignored(queued_task(), report)


def test_progress_moves_the_version_but_not_the_revision() -> None:
    """Progress is an event, and no reason for a client's If-Match to fail."""
    before = after(queued_task(), started())
    decision = decide_report(before, progressed(), HEARING)
    assert types(decision) == [EventType.PROGRESSED]
    assert (decision.state.version, decision.state.revision) == (before.version + 1, before.revision)


def test_a_quick_task_tells_its_start_and_end_at_once() -> None:
    """A completed report of a task that is not in progress under this delivery makes both events."""
    decision = decide_report(queued_task(), completed(result={"status": 200}), HEARING)
    assert types(decision) == [EventType.STARTED, EventType.COMPLETED]
    state = decision.state
    assert (state.status, state.result, state.is_run_active) == (TaskStatus.COMPLETED, '{"status":200}', False)
    assert (state.started_at, state.finished_at, state.lease_until) == (STARTED_AT, FINISHED_AT, None)
    assert decision.attempt is not None
    assert decision.attempt.outcome is AttemptOutcome.COMPLETED


def test_an_ending_of_the_holder_is_one_event() -> None:
    """After started, the ending of the same delivery is told alone."""
    assert types(decide_report(after(queued_task(), started()), completed(), HEARING)) == [EventType.COMPLETED]


def test_an_ending_of_a_later_delivery_counts() -> None:
    """The second execution may end the attempt without having told its start."""
    decision = decide_report(after(queued_task(), started(1)), failed(2), HEARING)
    assert types(decision) == [EventType.STARTED, EventType.FAILED]
    assert (decision.state.delivery, decision.state.status) == (2, TaskStatus.FAILED)


ELSEWHERE = HEARING._replace(processor_id="elsewhere")
LATER = STARTED_AT + timedelta(microseconds=1)


def test_the_same_delivery_at_another_processor_takes_over() -> None:
    """A killed NATS may count from one again; whoever started last holds the attempt, and nobody is charged a crash."""
    state = after(queued_task(), started())
    decision = decide_report(state, started_at(LATER), ELSEWHERE)
    assert types(decision) == [EventType.STARTED]
    assert (decision.state.processor_id, decision.state.crashes) == ("elsewhere", 0)
    for report in (progressed(), heartbeat()):
        assert_ignored(decision.state, report)


def test_what_began_earlier_does_not_take_the_attempt_back() -> None:
    """Neither by a start that counted before and comes again, nor by one that comes for the first time."""
    state = after(queued_task(), started_at(LATER))
    for start in (started(), started_at(LATER)):
        assert decide_report(state, start, ELSEWHERE).state is state
    taken_over = decide_report(after(queued_task(), started()), started_at(LATER), ELSEWHERE).state
    assert_ignored(taken_over, started())


def test_an_ending_at_another_processor_tells_its_own_start() -> None:
    """So that the history says which execution the result is of."""
    state = after(queued_task(), started())
    decision = decide_report(state, completed(), ELSEWHERE)
    assert types(decision) == [EventType.STARTED, EventType.COMPLETED]
    assert decision.state.processor_id == "elsewhere"


def test_an_ending_of_an_earlier_delivery_does_not_count() -> None:
    """Once the second execution has started, the first has lost the attempt."""
    assert_ignored(after(queued_task(), started(2)), completed(1))


def test_failed_keeps_the_error_on_task_and_attempt() -> None:
    """The reason of a failure is told in both places."""
    decision = decide_report(queued_task(), failed(), HEARING)
    assert decision.state.error is not None
    assert "no such page" in decision.state.error
    assert decision.attempt is not None
    assert decision.attempt.error == decision.state.error


@pytest.mark.parametrize("before", [queued_task(), after(queued_task(), started())], ids=["queued", "in progress"])
@pytest.mark.parametrize("reason", ["draining", "paused"])
def test_given_back_is_queued_again_and_not_charged(before: TaskState, reason: str) -> None:
    """Work of a processor that drains, or of a queue that is paused, goes out under a new dispatch of its attempt."""
    decision = decide_report(before, given_back(reason=reason), HEARING)
    state = decision.state
    assert (state.status, state.attempt, state.dispatch, state.delivery) == (TaskStatus.QUEUED, 1, 2, 0)
    assert types(decision) == [EventType.QUEUED]
    assert_ignored(state, completed(1))


def test_an_unknown_kind_waits_then_is_queued() -> None:
    """After the backoff, and not before, the store queues the same attempt under a new dispatch."""
    scheduled = decide_report(queued_task(), given_back(reason="unknown_kind"), HEARING).state
    assert scheduled.status is TaskStatus.SCHEDULED
    assert scheduled.run_at == NOW + RULES.unknown_kind_backoff
    assert scheduled.is_run_active
    too_early = scheduled.run_at - timedelta(microseconds=1)
    assert decide_due(scheduled, too_early) == Decision(scheduled)
    due = decide_due(scheduled, scheduled.run_at)
    assert (due.state.status, due.state.attempt, due.state.dispatch) == (TaskStatus.QUEUED, 1, 2)
    assert due.state.run_at is None
    assert types(due) == [EventType.QUEUED]


def test_what_is_put_off_waits_as_long_as_its_handler_said() -> None:
    """It is the same attempt again, as often as the handler wants."""
    state = queued_task(max_attempts=1)
    for dispatch in (1, 2, 3):
        report = given_back(dispatch=dispatch, reason="not_now", after_seconds=90)
        state = decide_report(after(state, started(1, dispatch=dispatch)), report, HEARING).state
        assert (state.status, state.attempt, state.run_at) == (TaskStatus.SCHEDULED, 1, NOW + timedelta(seconds=90))
        state = decide_due(state, NOW + timedelta(seconds=90)).state
    assert (state.status, state.attempt, state.attempt_limit) == (TaskStatus.QUEUED, 1, 1)


def test_due_again_changes_nothing() -> None:
    """Two stores may find the same task due: the second changes nothing."""
    state = queued_task()
    assert decide_due(state, NOW) == Decision(state)


def refused(state: TaskState, *others: ServedWork) -> tuple[TaskState, float]:
    """A queued task after a processor did not know its kind, and for how many seconds it waits."""
    hearing = HEARING._replace(services=others)
    waiting = decide_report(state, given_back(reason="unknown_kind", dispatch=state.dispatch), hearing).state
    assert waiting.run_at is not None
    return waiting, (waiting.run_at - NOW).total_seconds()


def waits(*others: ServedWork, times: int) -> list[float]:
    """For how long a task waits each time that it is offered and refused."""
    state, found = queued_task(kind="thumb"), []
    for _ in range(times):
        waiting, seconds = refused(state, *others)
        found.append(seconds)
        state = decide_offer(waiting, NOW).state
        assert state.status is TaskStatus.QUEUED
    return found


def test_the_wait_for_a_processor_that_knows_a_kind_grows() -> None:
    """Up to its bound; it is short while another processor of the queue knows the kind."""
    knows = ServedWork(frozenset(["default"]), frozenset(["thumb"]), "processor-2")
    assert waits(times=8) == [5, 10, 20, 40, 80, 160, 300, 300]
    assert waits(knows, times=7) == [0.25, 0.5, 1, 2, 4, 5, 5]
    elsewhere = knows._replace(queues=frozenset(["other"]))
    itself = knows._replace(processor_id=HEARING.processor_id)
    assert waits(elsewhere, itself, times=1) == [5]


def test_who_knows_the_kind_ends_the_growth() -> None:
    """Once an attempt has been started, it begins anew."""
    waiting, _ = refused(queued_task(kind="thumb"))
    queued = decide_offer(waiting, NOW).state
    begun = decide_report(queued, started(dispatch=queued.dispatch), HEARING).state
    assert (queued.refusals, begun.refusals) == (1, 0)


def test_only_what_was_refused_is_offered_before_its_time() -> None:
    """A retry, or a task for later, waits on."""
    later = decide_process(pending_task(), NO_DEFAULTS, NOW, run_at=NOW + timedelta(hours=1)).state
    assert decide_offer(later, NOW).state == later
    assert decide_offer(queued_task(), NOW).events == ()
