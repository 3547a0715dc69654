"""How a run ends, and how a task is cancelled."""

from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from taskmill.contracts.errors import AlreadyFinishedError
from taskmill.contracts.events import EventType
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import Cancellation
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.events import compose_event
from taskmill.task_store.domain.lifecycle import Cause, transition
from taskmill.task_store.domain.state import JSON_NULL, TaskState, changer, newest_attempt, next_revision


def decide_cancel(state: TaskState, now: datetime) -> Decision:
    """A client wants the task not to be done.

    One that nobody has started is cancelled. Of one in progress the cancellation is asked for: its processor confirms
    it, or the attempt ends before that, or the lease does. To ask again changes nothing.

    Raises:
        AlreadyFinishedError: The task is not in a run, nor pending.
    """
    way = transition(state.status, is_run_active=state.is_run_active, by=Cause.CANCEL)
    if way is None:
        raise AlreadyFinishedError
    if way.targets == (TaskStatus.CANCELLED,):
        return cancelled(state, Cancellation.BEFORE_START, now, now)
    if state.cancel_requested_at is not None:
        return Decision(state)
    requested = state._replace(version=state.version + 1, cancel_requested_at=now, updated_at=now)
    return Decision(
        requested, (compose_event(EventType.CANCEL_REQUESTED, requested, now, {"cancel_requested_at": now}),)
    )


def decide_expiry(state: TaskState, now: datetime) -> Decision:
    """The end of a cancellation that no processor answered; anything else stays as it is."""
    is_open = transition(state.status, is_run_active=state.is_run_active, by=Cause.EXPIRED) is not None
    is_over = state.lease_until is not None and state.lease_until <= now
    if not is_open or not is_over or state.cancel_requested_at is None:
        return Decision(state)
    return cancelled(state, Cancellation.EXPIRED, now, now)


def cancel_at_once(state: TaskState, now: datetime) -> Decision:
    """End a run without waiting for its processor, whose reports no longer count."""
    is_started = state.status is TaskStatus.IN_PROGRESS
    return cancelled(state, Cancellation.EXPIRED if is_started else Cancellation.BEFORE_START, now, now)


def replaced(state: TaskState, by: UUID, now: datetime) -> Decision:
    """Cancel a task that waits, for another one takes its unique key."""
    return cancelled(state, Cancellation.BEFORE_START, now, now, replaced_by=by)


def completed(state: TaskState, result: str, finished_at: datetime, now: datetime) -> Decision:
    """The work is done.

    Args:
        state: The task in progress.
        result: What the handler returned, as JSON text.
        finished_at: When it did.
        now: When the store decides it.
    """
    ended = _ended(state, TaskStatus.COMPLETED, finished_at, now, result, None, JSON_NULL)
    details = {
        "finished_at": finished_at,
        "result": orjson.Fragment(result),
        "cancellation": _too_late(state),
    }
    return Decision(ended, (compose_event(EventType.COMPLETED, ended, now, details),), newest_attempt(ended))


def failed(state: TaskState, error: str, finished_at: datetime, now: datetime) -> Decision:
    """The run ends without success. `error` is a `TaskError`, as JSON text."""
    ended = _ended(state, TaskStatus.FAILED, finished_at, now, state.result, error, state.checkpoint)
    details = {
        "finished_at": finished_at,
        "error": orjson.Fragment(error),
        "cancellation": _too_late(state),
    }
    return Decision(ended, (compose_event(EventType.FAILED, ended, now, details),), newest_attempt(ended))


def cancelled(
    state: TaskState, cancellation: Cancellation, finished_at: datetime, now: datetime, replaced_by: UUID | None = None
) -> Decision:
    """The task will not be done, at least not by this run. `replaced_by` takes its unique key, if that is why."""
    ended = _ended(state, TaskStatus.CANCELLED, finished_at, now, state.result, state.error, state.checkpoint)
    details: dict[str, Any] = {"finished_at": finished_at, "cancellation": cancellation}
    if replaced_by is not None:
        details["replaced_by"] = str(replaced_by)
    # A task that was pending is not in a run: its newest attempt, if any, ended before.
    attempt = newest_attempt(ended) if state.is_run_active else None
    return Decision(ended, (compose_event(EventType.CANCELLED, ended, now, details),), attempt)


def _too_late(state: TaskState) -> Cancellation | None:
    return None if state.cancel_requested_at is None else Cancellation.TOO_LATE


_with_end = changer(
    *("status", "version", "revision", "updated_at", "finished_at", "result", "error", "checkpoint"),
    is_run_active=False,
    hold=None,
    run_at=None,
    lease_until=None,
    cancel_requested_at=None,
)


def _ended(
    state: TaskState,
    status: TaskStatus,
    finished_at: datetime,
    now: datetime,
    *documents: str | None,
) -> TaskState:
    """The task as it has ended; `documents` are its result, its error and its checkpoint."""
    return _with_end(state, status, state.version + 1, next_revision(state, status), now, finished_at, *documents)
