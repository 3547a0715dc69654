from datetime import timedelta
from typing import Any

import orjson
import pytest

from taskmill.contracts.events import EventType
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import AttemptOutcome, KindDefaults, RetryBackoff
from taskmill.task_store.domain.creation import decide_create
from taskmill.task_store.domain.reports import MAX_CRASHES, decide_report
from taskmill.task_store.domain.retries import NO_DEFAULTS, retry_wait
from taskmill.task_store.domain.runs import decide_due, decide_process
from taskmill.task_store.domain.state import TaskState, newest_attempt
from tests.support.task_states import (
    FINISHED_AT,
    HEARING,
    NOW,
    after,
    cancelled,
    cancelling_task,
    completed,
    create_request,
    failed,
    given_back,
    no_jitter,
    pending_task,
    queued_task,
    started,
)

BACKOFF = {"base_seconds": 10, "factor": 3, "cap_seconds": 60, "jitter": 0.5}


def due(state: TaskState) -> TaskState:
    """The task when its time has come."""
    assert state.run_at is not None
    return decide_due(state, state.run_at).state


def test_a_failed_attempt_is_followed_by_another() -> None:
    """The attempt ends; the next waits with the error of the first, and is queued when it is due."""
    decision = decide_report(after(queued_task(max_attempts=2), started()), failed(traceback="Traceback"), HEARING)
    state, attempt = decision.state, decision.attempt
    assert (state.status, state.attempt, state.is_run_active) == (TaskStatus.SCHEDULED, 2, True)
    assert state.run_at == NOW + timedelta(seconds=2)
    assert attempt is not None
    assert (attempt.attempt, attempt.outcome, attempt.finished_at) == (1, AttemptOutcome.FAILED, FINISHED_AT)
    assert (attempt.error, attempt.traceback) == (state.error, "Traceback")
    (event,) = decision.events
    data = orjson.loads(event.document)["data"]
    assert (data["reason"], data["attempt"], data["attempt_limit"]) == ("retry", 2, 2)
    assert data["error"]["message"] == "no such page"
    again = decide_due(state, state.run_at).state
    next_one = newest_attempt(again)
    assert next_one is not None
    assert (next_one.attempt, next_one.error) == (2, None)
    assert again.error == state.error


def test_the_last_attempt_ends_the_run() -> None:
    """At `attempt_limit` a failure is final; the error of the row is then the last one's."""
    second = due(after(queued_task(max_attempts=2), failed()))
    ended = decide_report(second, failed(attempt=2, dispatch=2), HEARING)
    assert (ended.state.status, ended.state.attempt) == (TaskStatus.FAILED, 2)
    assert ended.attempt is not None
    assert ended.attempt.error == ended.state.error


def test_success_forgets_the_errors_before() -> None:
    """A task that completed at the second attempt shows no error."""
    second = due(after(queued_task(max_attempts=2), failed()))
    assert after(second, completed(attempt=2, dispatch=2)).error is None


def test_a_handler_may_give_up() -> None:
    """`is_final` ends the run, whatever attempts are left."""
    assert after(queued_task(max_attempts=9), failed(is_final=True)).status is TaskStatus.FAILED


def test_a_handler_may_say_when() -> None:
    """Then there is neither backoff nor jitter."""
    state = after(queued_task(max_attempts=9, backoff=BACKOFF), failed(retry_after_seconds=7))
    assert state.run_at == NOW + timedelta(seconds=7)


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 10), (2, 30), (3, 60), (99, 60)])
def test_waits_grow_to_their_cap(attempt: int, seconds: float) -> None:
    """Base, times the factor for each retry before, and no longer than the cap."""
    state = queued_task(max_attempts=100, backoff=BACKOFF)._replace(attempt=attempt)
    assert retry_wait(state, NO_DEFAULTS, no_jitter) == timedelta(seconds=seconds)


def test_a_share_of_the_wait_is_random() -> None:
    """With a jitter of a half, the wait is between half of itself and itself."""
    state = queued_task(max_attempts=2, backoff=BACKOFF)
    assert retry_wait(state, NO_DEFAULTS, lambda: 1) == timedelta(seconds=5)


@pytest.mark.parametrize(
    ("fields", "limit", "seconds"),
    [({}, 4, 8), ({"max_attempts": 2}, 2, 8), ({"backoff": BACKOFF}, 4, 10)],
    ids=["kind", "attempts of the task", "backoff of the task"],
)
def test_what_a_task_leaves_open_its_kind_decides(fields: dict[str, Any], limit: int, seconds: float) -> None:
    """How many attempts there are, and how long the waits."""
    defaults = KindDefaults(max_attempts=4, backoff=RetryBackoff(base_seconds=8))
    state = decide_create(create_request(process=True, **fields), defaults, NOW).state
    assert state.attempt_limit == limit
    retried = decide_report(state, failed(), HEARING._replace(defaults=defaults)).state
    assert retried.run_at == NOW + timedelta(seconds=seconds)


def test_a_kind_that_is_heard_of_late_decides_all_the_same() -> None:
    """A run that began before any processor of its kind was there has the attempts that the kind declares by then."""
    late = HEARING._replace(defaults=KindDefaults(max_attempts=2))
    early = after(queued_task(), started())
    assert early.attempt_limit == 1
    retried = decide_report(early, failed(), late)
    assert (retried.state.status, retried.state.attempt_limit) == (TaskStatus.SCHEDULED, 2)
    assert orjson.loads(retried.events[-1].document)["data"]["attempt_limit"] == 2
    assert retried.state.run_at == NOW + timedelta(seconds=2)
    ended = decide_report(due(retried.state), failed(attempt=2, dispatch=2), late).state
    assert (ended.status, ended.attempt_limit) == (TaskStatus.FAILED, 2)
    again = decide_process(ended, NO_DEFAULTS, NOW).state
    assert decide_report(again, failed(attempt=3, dispatch=3), late).state.attempt_limit == 4


@pytest.mark.parametrize("fields", [{"max_attempts": 1}, {"first_attempt": 0}], ids=["said", "not noted"])
def test_a_kind_that_is_heard_of_late_changes_nothing_else(fields: dict[str, int]) -> None:
    """What the task says stays, and so does a run that began under a release which did not note where."""
    state = queued_task()._replace(**fields)  # type: ignore[arg-type]  # both are numbers
    late = HEARING._replace(defaults=KindDefaults(max_attempts=3))
    assert decide_report(state, failed(), late).state.status is TaskStatus.FAILED


def test_a_kind_that_declares_fewer_ends_the_run() -> None:
    """At the attempt where it is; its number stays within the limit."""
    second = due(decide_report(queued_task(), failed(), HEARING._replace(defaults=KindDefaults(max_attempts=3))).state)
    fewer = HEARING._replace(defaults=KindDefaults(max_attempts=1))
    ended = decide_report(second, failed(attempt=2, dispatch=2), fewer).state
    assert (ended.status, ended.attempt, ended.attempt_limit) == (TaskStatus.FAILED, 2, 2)


def test_a_run_counts_its_own_attempts() -> None:
    """A new run has all attempts before it, though the numbers go on; its waits begin anew."""
    ended = after(due(after(queued_task(max_attempts=2), failed())), failed(attempt=2, dispatch=2))
    again = decide_process(ended, NO_DEFAULTS, NOW).state
    assert (again.attempt, again.attempt_limit) == (3, 4)
    assert retry_wait(again, NO_DEFAULTS, no_jitter) == timedelta(seconds=2)


def test_a_task_may_begin_later() -> None:
    """With a `run_at` ahead the first attempt is scheduled, and written down when it is queued."""
    run_at = NOW + timedelta(minutes=1)
    decision = decide_create(create_request(run_at=run_at), NO_DEFAULTS, NOW)
    state = decision.state
    assert (state.status, state.run, state.attempt, state.revision) == (TaskStatus.SCHEDULED, 1, 1, 1)
    assert [event.type for event in decision.events] == [EventType.CREATED, EventType.SCHEDULED]
    assert decision.attempt is None
    assert decide_due(state, run_at - timedelta(microseconds=1)).state is state
    assert decide_due(state, run_at).state.queued_at == run_at


def test_a_time_that_has_passed_means_at_once() -> None:
    """A `run_at` implies processing, also when it lies behind."""
    assert decide_create(create_request(run_at=NOW), NO_DEFAULTS, NOW).state.status is TaskStatus.QUEUED


def crashed(state: TaskState, times: int) -> TaskState:
    """A task in progress after its processors fell silent this often."""
    return after(state, *(started(delivery) for delivery in range(1, times + 2)))


def test_the_third_crash_fails_the_attempt() -> None:
    """The fourth `started` of a dispatch starts nothing: the run is over, whatever attempts are left."""
    state = crashed(queued_task(max_attempts=9), MAX_CRASHES - 1)
    assert (state.status, state.crashes) == (TaskStatus.IN_PROGRESS, MAX_CRASHES - 1)
    decision = decide_report(state, started(MAX_CRASHES + 1), HEARING)
    assert [event.type for event in decision.events] == [EventType.FAILED]
    assert decision.state.status is TaskStatus.FAILED
    assert orjson.loads(decision.state.error or "")["code"] == "crash_loop"


def test_work_that_was_given_back_is_no_crash() -> None:
    """A rolling restart charges nobody: the count stays as it was."""
    state = crashed(queued_task(), 2)
    for dispatch in range(1, 11):
        state = after(state, given_back(state.delivery, dispatch=dispatch), started(1, dispatch=dispatch + 1))
    assert (state.status, state.crashes) == (TaskStatus.IN_PROGRESS, 2)


@pytest.mark.parametrize("reason", ["draining", "unknown_kind", "not_now"])
def test_a_crash_is_charged_although_its_work_was_given_back(reason: str) -> None:
    """A later delivery that is not begun tells of the crash, too: else poison would be like new after each restart."""
    assert after(queued_task(), given_back(2, reason=reason)).crashes == 0
    assert after(queued_task(), started(1), given_back(2, reason=reason)).crashes == 1
    assert after(crashed(queued_task(), 1), given_back(3, reason=reason)).crashes == 2


def test_a_crash_is_charged_although_its_work_was_stopped_by_mistake() -> None:
    """A cancellation that nobody asked for, or that came late, gives the work back."""
    assert after(queued_task(), cancelled(2)).crashes == 0
    state = after(queued_task(), started(1), cancelled(2))
    assert (state.status, state.crashes) == (TaskStatus.QUEUED, 1)


def test_after_the_third_crash_nothing_starts_wherever_it_was_told_of() -> None:
    """Who gives work back fails no task: that is left to the next `started`."""
    state = after(crashed(queued_task(), MAX_CRASHES - 1), given_back(MAX_CRASHES + 1))
    assert (state.status, state.crashes) == (TaskStatus.QUEUED, MAX_CRASHES)
    assert after(state, started(1, dispatch=2)).status is TaskStatus.FAILED


def test_the_next_attempt_starts_without_crashes() -> None:
    """Crashes are an attempt's, not a run's."""
    state = after(crashed(queued_task(max_attempts=2), 2), failed(3))
    assert state.crashes == 0


def test_whoever_crashed_may_yet_complete() -> None:
    """Only a `started` is refused: an ending is taken, whatever came before."""
    assert after(crashed(queued_task(), 2), completed(9)).status is TaskStatus.COMPLETED


def test_a_crash_loop_ends_what_is_to_be_cancelled() -> None:
    """It says that the cancellation came too late."""
    state = cancelling_task()._replace(crashes=MAX_CRASHES - 1)
    (event,) = decide_report(state, started(2), HEARING).events
    assert orjson.loads(event.document)["data"]["cancellation"] == "too_late"


def test_a_pending_task_has_no_limit_yet() -> None:
    """Attempts are counted from the run on."""
    assert pending_task(max_attempts=5).attempt_limit == 0
