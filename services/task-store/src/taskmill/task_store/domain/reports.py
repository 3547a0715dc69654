"""What a processor's reports change."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, assert_never

import orjson

from taskmill.contracts.events import EventType
from taskmill.contracts.reports import (
    AttemptReport,
    Cancelled,
    Checkpointed,
    Completed,
    EndReport,
    Failed,
    GivenBack,
    HandlerReport,
    Heartbeat,
    Logged,
    Progressed,
    RunReport,
    Started,
    Submitted,
)
from taskmill.contracts.retries import is_last_failure
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import AttemptOutcome, Cancellation, KindDefaults, TaskError
from taskmill.task_store.domain import endings
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.documents import line_fields
from taskmill.task_store.domain.events import LoggedEvent, compose_event
from taskmill.task_store.domain.fence import is_holder
from taskmill.task_store.domain.lifecycle import Cause, transition
from taskmill.task_store.domain.retries import attempt_limit, retry_wait
from taskmill.task_store.domain.runs import RunRules, to_queued, to_scheduled
from taskmill.task_store.domain.state import (
    JSON_NULL,
    AttemptState,
    LineState,
    TaskState,
    changer,
    newest_attempt,
    next_revision,
)
from taskmill.task_store.domain.waiting import ServedWork

MAX_CRASHES = 3
"""After so many an attempt fails: its work, it seems, ends whoever does it."""

KNOWN_ELSEWHERE_BACKOFF = timedelta(milliseconds=250)
"""How long a task waits at first, after a processor did not know its kind and another one of its queue does."""

MAX_DOUBLINGS = 16

_CRASH_LOOP = TaskError(
    code="crash_loop", message=f"{MAX_CRASHES} processors fell silent while they executed this attempt."
).model_dump_json()


class Hearing(NamedTuple):
    """What goes with a report: who told it, when the store hears it, and what holds for the task."""

    processor_id: str
    now: datetime
    rules: RunRules
    defaults: KindDefaults
    """What the task's kind declares."""
    random: Callable[[], float]
    """Returns a number from 0 to 1, for the jitter of retries."""
    services: Sequence[ServedWork] = ()
    """What the living processors do."""


def decide_report(state: TaskState, report: RunReport, hearing: Hearing) -> Decision:
    """What a report changes: nothing, when it is stale, a replay, or impossible where the task stands."""
    way = transition(state.status, is_run_active=state.is_run_active, by=cause_of(report))
    if way is None or way.fence is None or not way.fence.admits(state, report, hearing.processor_id):
        return Decision(state)
    return _apply(state, report, hearing)


class _Before(NamedTuple):
    """What must be taken in before a report: up to which number of its execution's; None: it follows none of them."""

    tasks: int | None
    lines: int | None
    checkpoints: int | None


def comes_early(state: TaskState, report: RunReport, processor_id: str, *, is_overdue: bool = False) -> bool:
    """Whether a report has overtaken others of its execution that it must follow: it must come again.

    Bundles come out of turn when several stores take them in, or one dies that had some in hand. Were the end of the
    attempt applied first, the others would be lost: nothing counts behind an end. What a report of an execution that
    was given up says, or one that was applied before, changes nothing, whenever it comes.

    Args:
        state: The task.
        report: What is said of it.
        processor_id: Who says so.
        is_overdue: Whether the report has come again for so long that what is missing is lost: then it is early only
            for tasks that were submitted. Lines and checkpoints are not worth another execution.
    """
    before = _before(report)
    if before is None or not state.is_run_active or not _is_of_dispatch(state, report):
        return False
    tasks, lines, checkpoints = before
    if is_holder(state, report, processor_id):
        if tasks is not None and state.submission_number < tasks:
            return True
        misses_lines = lines is not None and state.line_number < lines
        misses_checkpoint = checkpoints is not None and state.checkpoint_number < checkpoints
        return (misses_lines or misses_checkpoint) and not is_overdue
    # That it started is among what it has overtaken.
    if state.status is TaskStatus.SCHEDULED:
        return False
    if tasks is not None:
        return report.delivery >= state.delivery
    # At the same delivery another processor has taken over, as a rule, and there is nothing to wait for.
    return report.delivery > state.delivery and not is_overdue


def _is_of_dispatch(state: TaskState, report: RunReport) -> bool:
    return (report.attempt, report.dispatch) == (state.attempt, state.dispatch)


def _before(report: RunReport) -> _Before | None:
    """What a report must not overtake; None: it may come at any time."""
    # To tell what else a model is than of its own class takes long: that is asked once of most reports.
    if isinstance(report, EndReport):
        if not (report.submitted or report.logged or report.checkpointed):
            return None
        # Of a run that is completed nobody goes on.
        checkpoints = None if isinstance(report, Completed) else report.checkpointed or None
        return _Before(report.submitted or None, report.logged or None, checkpoints)
    if isinstance(report, HandlerReport):
        match report:
            case Submitted():
                return _Before(report.number - 1, None, None)
            case Logged():
                return _Before(None, report.first_number - 1 - report.dropped, None)
            case Checkpointed():
                return _Before(report.submitted or None, None, 0)
    return None


def _apply(state: TaskState, report: RunReport, hearing: Hearing) -> Decision:
    if report.traceparent is not None:
        state = state._replace(traceparent=report.traceparent)
    match report:
        case Completed():
            decision = _complete(state, report, hearing)
        case Started():
            decision = _take_over(state, report, hearing)
        case Heartbeat():
            decision = _renew_lease(state, hearing)
        case Progressed() | Checkpointed() | Submitted() | Logged():
            decision = _note_said(state, report, hearing)
        case Failed():
            decision = _fail(state, report, hearing)
        case Cancelled():
            decision = _stop(state, report, hearing)
        case GivenBack():
            decision = _give_back(state, report, hearing)
        case _:
            assert_never(report)
    return decision


_CAUSES = {cause.value: cause for cause in Cause}


def cause_of(report: RunReport) -> Cause:
    """The cause that a report is: of the same name, but for the reasons of `given_back`, and what handlers tell."""
    if isinstance(report, HandlerReport):
        return Cause.TOLD
    if isinstance(report, GivenBack):
        return _CAUSES.get(report.reason, Cause.GIVEN_BACK)
    return _CAUSES[report.type]


def _take_over(state: TaskState, report: Started, hearing: Hearing) -> Decision:
    if state.crashes + is_crash(state, report) >= MAX_CRASHES:
        return endings.failed(state, _CRASH_LOOP, hearing.now, hearing.now)
    started, event = _start(state, report, hearing)
    return Decision(started, (event,), newest_attempt(started))


def is_crash(state: TaskState, report: AttemptReport) -> bool:
    """Whether the delivery that holds the attempt is given up when a later one speaks: it started, and never ended.

    The same delivery at another processor tells of a crash of NATS, which no task is to blame for.
    """
    return state.status is TaskStatus.IN_PROGRESS and report.delivery > state.delivery


_started = changer(
    *("version", "revision", "delivery", "crashes", "lease_until", "processor_id", "updated_at", "started_at"),
    status=TaskStatus.IN_PROGRESS,
    refusals=0,
    line_number=0,
    checkpoint_number=0,
    submission_number=0,
    progress=None,
)


def _start(
    state: TaskState, report: Started | Completed | Failed | Cancelled, hearing: Hearing
) -> tuple[TaskState, LoggedEvent]:
    """The execution that reports takes the attempt over: from now on only it may speak of it."""
    # Once it is to be cancelled, nobody prolongs the lease.
    lease_until = state.lease_until if state.cancel_requested_at else hearing.now + hearing.rules.lease
    started = _started(
        state,
        state.version + 1,
        next_revision(state, TaskStatus.IN_PROGRESS),
        report.delivery,
        state.crashes + is_crash(state, report),
        lease_until,
        hearing.processor_id,
        hearing.now,
        report.started_at,
    )
    details = {
        "dispatch": started.dispatch,
        "delivery": started.delivery,
        "processor_id": started.processor_id,
        "started_at": started.started_at,
    }
    return started, compose_event(EventType.STARTED, started, hearing.now, details)


def _renew_lease(state: TaskState, hearing: Hearing) -> Decision:
    if state.cancel_requested_at is not None:
        return Decision(state)
    return Decision(state._replace(lease_until=hearing.now + hearing.rules.lease))


def _note_said(state: TaskState, report: Progressed | Checkpointed | Submitted | Logged, hearing: Hearing) -> Decision:
    match report:
        case Progressed():
            return _progress(state, report, hearing)
        case Checkpointed():
            return _keep_checkpoint(state, report)
        case Submitted():
            return _note_submission(state, report)
        case Logged():
            return _log(state, report, hearing)


def _progress(state: TaskState, report: Progressed, hearing: Hearing) -> Decision:
    progress = report.progress.model_dump_json()
    progressed = state._replace(version=state.version + 1, progress=progress, updated_at=hearing.now)
    event = compose_event(EventType.PROGRESSED, progressed, hearing.now, {"progress": orjson.Fragment(progress)})
    return Decision(progressed, (event,))


def _keep_checkpoint(state: TaskState, report: Checkpointed) -> Decision:
    if report.number <= state.checkpoint_number:
        # A report that comes again, when a newer one was taken in.
        return Decision(state)
    checkpoint = orjson.dumps(report.checkpoint).decode()
    return Decision(state._replace(checkpoint=checkpoint, checkpoint_number=report.number))


def _note_submission(state: TaskState, report: Submitted) -> Decision:
    """That it is taken in; the task that it wants is the caller's to make."""
    if report.number <= state.submission_number:
        return Decision(state)
    return Decision(state._replace(submission_number=report.number))


def _log(state: TaskState, report: Logged, hearing: Hearing) -> Decision:
    if report.first_number <= state.line_number:
        # Unlike progress, lines that come again must not be told again.
        return Decision(state)
    first_position = state.line_count + report.dropped + 1
    lines = tuple(
        LineState(state.id, position, state.attempt, line.at, line.level, line.text)
        for position, line in enumerate(report.lines, first_position)
    )
    logged = state._replace(
        version=state.version + 1,
        line_count=lines[-1].position,
        line_number=report.first_number + len(lines) - 1,
        updated_at=hearing.now,
    )
    details = {"dropped": report.dropped, "lines": [line_fields(line) for line in lines]}
    return Decision(logged, (compose_event(EventType.LOGGED, logged, hearing.now, details),), lines=lines)


def _complete(state: TaskState, report: Completed, hearing: Hearing) -> Decision:
    result = JSON_NULL if report.result is None else orjson.dumps(report.result).decode()
    state, earlier_events = _started_first(state, report, hearing)
    return _after(earlier_events, endings.completed(state, result, report.finished_at, hearing.now))


def _fail(state: TaskState, report: Failed, hearing: Hearing) -> Decision:
    error = report.error.model_dump_json()
    state, earlier_events = _started_first(state, report, hearing)
    state = state._replace(attempt_limit=max(attempt_limit(state, hearing.defaults), state.attempt))
    if is_last_failure(
        state.attempt,
        state.attempt_limit,
        is_final=report.is_final,
        is_to_be_cancelled=state.cancel_requested_at is not None,
    ):
        decision = endings.failed(state, error, report.finished_at, hearing.now)
    else:
        decision = _retry(state, error, report, hearing)
    attempt = decision.attempt and decision.attempt._replace(traceback=report.traceback)
    return _after(earlier_events, decision._replace(attempt=attempt))


def _retry(state: TaskState, error: str, report: Failed, hearing: Hearing) -> Decision:
    """The attempt is over; the next one waits for its time, and is written down when it is queued."""
    if report.retry_after_seconds is None:
        wait = retry_wait(state, hearing.defaults, hearing.random)
    else:
        wait = timedelta(seconds=report.retry_after_seconds)
    ended = newest_attempt(state)
    next_attempt = state._replace(attempt=state.attempt + 1, crashes=0, queued_at=None, error=error)
    scheduled, event = to_scheduled(next_attempt, hearing.now + wait, "retry", hearing.now)
    return Decision(scheduled, (event,), ended and _failed_attempt(ended, error, report.finished_at))


def _failed_attempt(attempt: AttemptState, error: str, finished_at: datetime) -> AttemptState:
    return attempt._replace(finished_at=finished_at, outcome=AttemptOutcome.FAILED, error=error)


def _stop(state: TaskState, report: Cancelled, hearing: Hearing) -> Decision:
    if state.cancel_requested_at is None:
        # What stopped it was meant for an earlier run: a message that came late.
        return to_queued(_charged(state, report), "given_back", hearing.now)
    state, earlier_events = _started_first(state, report, hearing)
    return _after(earlier_events, endings.cancelled(state, Cancellation.CONFIRMED, report.finished_at, hearing.now))


def _give_back(state: TaskState, report: GivenBack, hearing: Hearing) -> Decision:
    if state.cancel_requested_at is not None:
        return endings.cancelled(state, Cancellation.CONFIRMED, hearing.now, hearing.now)
    match report.reason:
        case "draining" | "paused":
            return to_queued(_charged(state, report), "given_back", hearing.now)
        case "not_now" as reason:
            wait = timedelta(seconds=report.after_seconds)
        case "unknown_kind" as reason:
            wait = _wait_after_refusal(state, hearing)
    refusals = state.refusals + 1 if reason == "unknown_kind" else 0
    given_back = _charged(state, report)._replace(refusals=refusals)
    scheduled, event = to_scheduled(given_back, hearing.now + wait, reason, hearing.now)
    return Decision(scheduled, (event,))


def _wait_after_refusal(state: TaskState, hearing: Hearing) -> timedelta:
    """Short while another processor knows the kind, and is only to be met; longer and longer while none does."""
    rules, doubled = hearing.rules, 1 << min(state.refusals, MAX_DOUBLINGS)
    others = (service for service in hearing.services if service.processor_id != hearing.processor_id)
    if any(state.queue in service.queues and state.kind in service.kinds for service in others):
        return min(rules.unknown_kind_backoff, KNOWN_ELSEWHERE_BACKOFF * doubled)
    return min(rules.max_unknown_kind_backoff, rules.unknown_kind_backoff * doubled)


def _charged(state: TaskState, report: GivenBack | Cancelled) -> TaskState:
    """The crash that a report tells of: it is charged before the next dispatch, which counts its deliveries anew.

    Were it forgotten, poison that was given back while it waited for its turn would be begun beside others again, as if
    it had never ended a processor. Whether they are too many is decided by the next `started`.
    """
    return state._replace(crashes=state.crashes + is_crash(state, report))


def _started_first(
    state: TaskState, report: Completed | Failed | Cancelled, hearing: Hearing
) -> tuple[TaskState, tuple[LoggedEvent, ...]]:
    """A quick task is told in one report: its start belongs to the history all the same."""
    if is_holder(state, report, hearing.processor_id):
        return state, ()
    started, event = _start(state, report, hearing)
    return started, (event,)


def _after(earlier_events: tuple[LoggedEvent, ...], decision: Decision) -> Decision:
    # Nothing else is in the decision of an end.
    return Decision(decision.state, (*earlier_events, *decision.events), decision.attempt)
