"""How a task is processed: asked for by a client, told by a processor's reports, continued when it is due."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import orjson

from taskmill.contracts.errors import RunActiveError
from taskmill.contracts.events import EventType
from taskmill.contracts.reports import Completed, Failed, GivenBack, Heartbeat, Progressed, Started
from taskmill.contracts.status import TaskStatus
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.events import LoggedEvent, compose_event
from taskmill.task_store.domain.lifecycle import Cause, transition
from taskmill.task_store.domain.state import JSON_NULL, TaskState, newest_attempt

RunReport = Started | Heartbeat | Progressed | Completed | Failed | GivenBack


@dataclass(frozen=True, slots=True)
class RunRules:
    """What an operator decides about runs."""

    lease: timedelta
    """How long a processor holds an attempt after its last sign of life."""

    unknown_kind_backoff: timedelta
    """How long a task waits after a processor had no handler for its kind."""


class Hearing(NamedTuple):
    """What goes with a report: who told it, when the store hears it, and under which rules."""

    processor_id: str
    now: datetime
    rules: RunRules


def decide_process(state: TaskState, now: datetime) -> Decision:
    """A new run with its first attempt queued; what the last run left behind is cleared.

    Raises:
        RunActiveError: The task is in a run already.
    """
    if transition(state.status, is_run_active=state.is_run_active, by=Cause.PROCESS) is None:
        raise RunActiveError
    new_run: dict[str, Any] = {
        "is_run_active": True,
        "run": state.run + 1,
        "attempt": state.attempt + 1,
        "error": None,
        "finished_at": None,
        "result": JSON_NULL,
    }
    return _queue(state, "process", now, new_run)


def decide_due(state: TaskState, now: datetime) -> Decision:
    """Queue a scheduled task whose time has come; anything else stays as it is."""
    is_open = transition(state.status, is_run_active=state.is_run_active, by=Cause.DUE) is not None
    if not is_open or state.run_at is None or state.run_at > now:
        return Decision(state)
    return _queue(state, "due", now)


def decide_report(state: TaskState, report: RunReport, hearing: Hearing) -> Decision:
    """What a report changes: nothing, when it is stale, a replay, or impossible where the task stands."""
    way = transition(state.status, is_run_active=state.is_run_active, by=_cause(report))
    if way is None or way.fence is None or not way.fence.admits(state, report):
        return Decision(state)
    return _apply(state, report, hearing)


def _apply(state: TaskState, report: RunReport, hearing: Hearing) -> Decision:
    match report:
        case Completed():
            decision = _complete(state, report, hearing)
        case Started():
            decision = _started(state, report, hearing)
        case Heartbeat():
            decision = Decision(state._replace(lease_until=hearing.now + hearing.rules.lease))
        case Progressed():
            decision = _progress(state, report, hearing)
        case Failed():
            decision = _fail(state, report, hearing)
        case GivenBack(reason="unknown_kind"):
            decision = _postpone(state, hearing)
        case GivenBack():
            decision = _queue(state, "given_back", hearing.now)
    return decision


_CAUSES: dict[type[RunReport], Cause] = {
    Started: Cause.STARTED,
    Heartbeat: Cause.HEARTBEAT,
    Progressed: Cause.PROGRESSED,
    Completed: Cause.COMPLETED,
    Failed: Cause.FAILED,
    GivenBack: Cause.GIVEN_BACK,
}


def _cause(report: RunReport) -> Cause:
    if isinstance(report, GivenBack) and report.reason == "unknown_kind":
        return Cause.UNKNOWN_KIND
    return _CAUSES[type(report)]


def _queue(
    state: TaskState,
    reason: Literal["process", "given_back", "due"],
    now: datetime,
    new_run: Mapping[str, Any] = MappingProxyType({}),
) -> Decision:
    """Under a new dispatch, at which no delivery has started: reports of the one before no longer count."""
    queued = state._replace(
        status=TaskStatus.QUEUED,
        version=state.version + 1,
        revision=_next_revision(state, TaskStatus.QUEUED),
        dispatch=state.dispatch + 1,
        delivery=0,
        run_at=None,
        lease_until=None,
        processor_id=None,
        progress=None,
        updated_at=now,
        queued_at=now,
        started_at=None,
        **new_run,
    )
    event = compose_event(EventType.QUEUED, queued, now, {"dispatch": queued.dispatch, "reason": reason})
    return Decision(queued, (event,), newest_attempt(queued))


def _postpone(state: TaskState, hearing: Hearing) -> Decision:
    run_at = hearing.now + hearing.rules.unknown_kind_backoff
    scheduled = state._replace(
        status=TaskStatus.SCHEDULED,
        version=state.version + 1,
        revision=_next_revision(state, TaskStatus.SCHEDULED),
        run_at=run_at,
        lease_until=None,
        processor_id=None,
        progress=None,
        updated_at=hearing.now,
        started_at=None,
    )
    event = compose_event(EventType.SCHEDULED, scheduled, hearing.now, {"run_at": run_at, "reason": "unknown_kind"})
    return Decision(scheduled, (event,), newest_attempt(scheduled))


def _started(state: TaskState, report: Started, hearing: Hearing) -> Decision:
    started, event = _start(state, report, hearing)
    return Decision(started, (event,), newest_attempt(started))


def _start(state: TaskState, report: Started | Completed | Failed, hearing: Hearing) -> tuple[TaskState, LoggedEvent]:
    """The execution that reports takes the attempt over: from now on only it may speak of it."""
    started = state._replace(
        status=TaskStatus.IN_PROGRESS,
        version=state.version + 1,
        revision=_next_revision(state, TaskStatus.IN_PROGRESS),
        delivery=report.delivery,
        lease_until=hearing.now + hearing.rules.lease,
        processor_id=hearing.processor_id,
        progress=None,
        updated_at=hearing.now,
        started_at=report.started_at,
    )
    details = {
        "dispatch": started.dispatch,
        "delivery": started.delivery,
        "processor_id": started.processor_id,
        "started_at": started.started_at,
    }
    return started, compose_event(EventType.STARTED, started, hearing.now, details)


def _progress(state: TaskState, report: Progressed, hearing: Hearing) -> Decision:
    progress = report.progress.model_dump_json()
    progressed = state._replace(version=state.version + 1, progress=progress, updated_at=hearing.now)
    event = compose_event(EventType.PROGRESSED, progressed, hearing.now, {"progress": orjson.Fragment(progress)})
    return Decision(progressed, (event,))


def _complete(state: TaskState, report: Completed, hearing: Hearing) -> Decision:
    result = JSON_NULL if report.result is None else orjson.dumps(report.result).decode()
    state, earlier_events = _started_first(state, report, hearing)
    completed = _ended(state, TaskStatus.COMPLETED, report.finished_at, hearing.now, result=result)
    details = {"finished_at": report.finished_at, "result": orjson.Fragment(result)}
    event = compose_event(EventType.COMPLETED, completed, hearing.now, details)
    return Decision(completed, (*earlier_events, event), newest_attempt(completed))


def _fail(state: TaskState, report: Failed, hearing: Hearing) -> Decision:
    error = report.error.model_dump_json()
    state, earlier_events = _started_first(state, report, hearing)
    failed = _ended(state, TaskStatus.FAILED, report.finished_at, hearing.now, error=error)
    details = {"finished_at": report.finished_at, "error": orjson.Fragment(error)}
    event = compose_event(EventType.FAILED, failed, hearing.now, details)
    return Decision(failed, (*earlier_events, event), newest_attempt(failed))


def _started_first(
    state: TaskState, report: Completed | Failed, hearing: Hearing
) -> tuple[TaskState, tuple[LoggedEvent, ...]]:
    """A quick task is told in one report: its start belongs to the history all the same."""
    if report.delivery == state.delivery:
        return state, ()
    started, event = _start(state, report, hearing)
    return started, (event,)


def _ended(state: TaskState, status: TaskStatus, finished_at: datetime, now: datetime, **outcome: Any) -> TaskState:
    return state._replace(
        status=status,
        is_run_active=False,
        version=state.version + 1,
        revision=_next_revision(state, status),
        lease_until=None,
        updated_at=now,
        finished_at=finished_at,
        **outcome,
    )


def _next_revision(state: TaskState, status: TaskStatus) -> int:
    """The revision is what clients compare: it moves with the status, not with every event."""
    return state.revision + (status is not state.status)
