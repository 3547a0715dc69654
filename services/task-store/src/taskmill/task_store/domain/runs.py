"""How a task comes to be processed: asked for by a client, continued when it is due, or when its work was lost."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import orjson

from taskmill.contracts.errors import RunActiveError
from taskmill.contracts.events import EventType
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import KindDefaults
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.events import LoggedEvent, compose_event
from taskmill.task_store.domain.lifecycle import Cause, transition
from taskmill.task_store.domain.retries import max_attempts
from taskmill.task_store.domain.state import JSON_NULL, Hold, TaskState, changer, next_revision
from taskmill.task_store.domain.turns import NO_LIMITS, LimitRules

QueueReason = Literal["process", "given_back", "due", "lost", "turn"]


@dataclass(frozen=True, slots=True)
class RunRules:
    """What an operator decides about runs."""

    lease: timedelta
    """How long a processor holds an attempt after its last sign of life."""

    unknown_kind_backoff: timedelta
    """How long a task waits after a processor had no handler for its kind, at first; it doubles with each."""

    max_unknown_kind_backoff: timedelta
    """No longer than that."""


_with_new_run = changer(
    *("revision", "run", "attempt", "first_attempt", "attempt_limit", "traceparent"),
    is_run_active=True,
    crashes=0,
    refusals=0,
    error=None,
    queued_at=None,
    finished_at=None,
    result=JSON_NULL,
    checkpoint=JSON_NULL,
)
_queued = changer(
    *("version", "revision", "dispatch", "updated_at", "queued_at"),
    status=TaskStatus.QUEUED,
    delivery=0,
    hold=None,
    run_at=None,
    lease_until=None,
    processor_id=None,
    progress=None,
    started_at=None,
)


def decide_process(
    state: TaskState,
    defaults: KindDefaults,
    now: datetime,
    *,
    run_at: datetime | None = None,
    traceparent: str | None = None,
    limits: LimitRules = NO_LIMITS,
    hold: Hold | None = None,
    is_new: bool = False,
) -> Decision:
    """A new run with its first attempt queued; what the last run left behind is cleared.

    Args:
        state: The task.
        defaults: What its kind declares.
        now: When it is decided.
        run_at: When to begin, if that is ahead.
        traceparent: The span that the run belongs to; None: the one that the task does.
        limits: They say, as its key does, whether it must wait for its turn.
        hold: What it waits for before anything else; None: nothing.
        is_new: Whether it is being made, so that its revision is still the first.

    Raises:
        RunActiveError: The task is in a run already.
    """
    if transition(state.status, is_run_active=state.is_run_active, by=Cause.PROCESS) is None:
        raise RunActiveError
    attempt = state.attempt + 1
    begun = _with_new_run(
        state,
        0 if is_new else state.revision,
        state.run + 1,
        attempt,
        attempt,
        state.attempt + max_attempts(state, defaults),
        traceparent or state.traceparent,
    )
    if hold is not None:
        return to_held(begun, hold, now)
    if run_at is None or run_at <= now:
        return begin(begun, "process", now, limits=limits)
    scheduled, event = to_scheduled(begun, run_at, "run_at", now)
    return Decision(scheduled, (event,))


def decide_due(state: TaskState, now: datetime, *, limits: LimitRules = NO_LIMITS) -> Decision:
    """Offer a scheduled task whose time has come; anything else stays as it is."""
    is_open = transition(state.status, is_run_active=state.is_run_active, by=Cause.DUE) is not None
    if not is_open or state.run_at is None or state.run_at > now:
        return Decision(state)
    return begin(state, "due", now, limits=limits)


def decide_offer(state: TaskState, now: datetime, *, limits: LimitRules = NO_LIMITS) -> Decision:
    """Offer a task before its time that waits because its kind was not known; anything else stays as it is."""
    if state.status is not TaskStatus.SCHEDULED or not state.refusals or state.run_at is None:
        return Decision(state)
    return decide_due(state._replace(run_at=min(state.run_at, now)), now, limits=limits)


def decide_turn(state: TaskState, version: int, now: datetime) -> Decision:
    """Queue a task whose turn it is; one that has changed since it was chosen stays as it is.

    Args:
        state: The task.
        version: That of the task when it was chosen, by what it was then.
        now: When it is decided.
    """
    is_open = transition(state.status, is_run_active=state.is_run_active, by=Cause.TURN) is not None
    if not is_open or state.hold != Hold.TURN or state.version != version:
        return Decision(state)
    return to_queued(state, "turn", now)


def decide_lost(state: TaskState, dispatch: int, now: datetime) -> Decision:
    """Queue the same attempt again when its work item is nowhere; anything else stays as it is.

    Args:
        state: The task.
        dispatch: That of the work item that was looked for: a later one is not lost.
        now: When it is decided.
    """
    is_open = transition(state.status, is_run_active=state.is_run_active, by=Cause.LOST) is not None
    is_held = state.lease_until is not None and state.lease_until > now
    # Nobody shall begin again what is to be cancelled: that ends with the lease.
    if not is_open or is_held or state.dispatch != dispatch or state.cancel_requested_at is not None:
        return Decision(state)
    return to_queued(state, "lost", now)


def begin(state: TaskState, reason: QueueReason, now: datetime, *, limits: LimitRules = NO_LIMITS) -> Decision:
    """Offer a task to processors whose time has come and that comes after nothing, or let it wait for its turn."""
    if limits.takes_turn(state):
        return to_held(state, Hold.TURN, now)
    return to_queued(state, reason, now)


def to_held(state: TaskState, hold: Hold, now: datetime) -> Decision:
    """Let a task wait for something that is not a point in time. An attempt that was put off is still open."""
    held = state._replace(
        status=TaskStatus.SCHEDULED,
        version=state.version + 1,
        revision=next_revision(state, TaskStatus.SCHEDULED),
        hold=hold,
        run_at=None,
        lease_until=None,
        processor_id=None,
        progress=None,
        updated_at=now,
        started_at=None,
    )
    details = {"run_at": None, "reason": hold, "attempt_limit": held.attempt_limit, "error": None}
    return Decision(held, (compose_event(EventType.SCHEDULED, held, now, details),))


def to_queued(state: TaskState, reason: QueueReason, now: datetime) -> Decision:
    """Under a new dispatch, at which no delivery has started: reports of the one before no longer count."""
    revision = next_revision(state, TaskStatus.QUEUED)
    queued = _queued(state, state.version + 1, revision, state.dispatch + 1, now, now)
    details = {"dispatch": queued.dispatch, "reason": reason, "attempt_limit": queued.attempt_limit}
    event = compose_event(EventType.QUEUED, queued, now, details)
    return Decision(queued, (event,))


def to_scheduled(
    state: TaskState,
    run_at: datetime,
    reason: Literal["run_at", "retry", "unknown_kind", "not_now", "debounced"],
    now: datetime,
) -> tuple[TaskState, LoggedEvent]:
    """Let a task wait until `run_at`. The event of a retry tells the error of the attempt before."""
    scheduled = state._replace(
        status=TaskStatus.SCHEDULED,
        version=state.version + 1,
        revision=next_revision(state, TaskStatus.SCHEDULED),
        run_at=run_at,
        lease_until=None,
        processor_id=None,
        progress=None,
        updated_at=now,
        started_at=None,
    )
    error = scheduled.error if reason == "retry" else None
    details = {
        "run_at": run_at,
        "reason": reason,
        "attempt_limit": scheduled.attempt_limit,
        "error": None if error is None else orjson.Fragment(error),
    }
    return scheduled, compose_event(EventType.SCHEDULED, scheduled, now, details)
