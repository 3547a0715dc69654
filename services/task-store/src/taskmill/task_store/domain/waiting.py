"""What a task that does not move waits for."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Self

from taskmill.contracts.reports import Hello
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import WaitingFor, WaitReason
from taskmill.task_store.domain.state import Hold, TaskState

PROCESSOR_LIFE = timedelta(seconds=30)
"""A processor that was not heard of for so long does not count: it says hello every 10 s."""

WAITING = (TaskStatus.QUEUED, TaskStatus.SCHEDULED)
"""No set: to hash an enumeration costs more than to compare it with two."""


_HOLDS = {Hold.DEPENDENCIES: WaitReason.DEPENDENCIES, Hold.TURN: WaitReason.TURN}


class ServedWork(NamedTuple):
    """What one living processor does."""

    queues: frozenset[str]
    kinds: frozenset[str]
    processor_id: str = ""
    started_at: datetime | None = None

    @classmethod
    def said_by(cls, processor_id: str, hello: Hello) -> Self:
        """What a processor has said that it does."""
        return cls(frozenset(hello.queues), frozenset(hello.kinds), processor_id, hello.started_at)


class Service(NamedTuple):
    """Where tasks are executed, and where they are not."""

    services: Sequence[ServedWork] = ()
    """What the living processors do."""
    paused: frozenset[str] = frozenset()
    """The queues that are paused."""


def with_service(services: Iterable[ServedWork], processor_id: str, service: ServedWork | None) -> list[ServedWork]:
    """What the living processors do, once one of them has said what it does; None: nothing any more."""
    others = [other for other in services if other.processor_id != processor_id]
    return others if service is None else [*others, service]


def waits_for_processors(state: TaskState) -> bool:
    """Whether a task is offered to processors: now, when its turn comes, or again in a moment.

    The last one did not know its kind: it is scheduled and has been queued. A retry, and a task that a client wants
    later, has not been yet.
    """
    is_offered_again = state.queued_at is not None or state.hold == Hold.TURN
    return state.status is TaskStatus.QUEUED or (state.status is TaskStatus.SCHEDULED and is_offered_again)


_WAITING_FOR = {reason: WaitingFor(reason=reason) for reason in WaitReason}
"""Each reason by itself: to make a model takes longer than to find out what it says."""


def waiting_for(state: TaskState, services: Iterable[ServedWork], paused: Collection[str] = ()) -> WaitingFor | None:
    """What a task waits for; None: it does not wait.

    Args:
        state: The task.
        services: What the living processors do; they count only if it `waits_for_processors`.
        paused: The queues that are paused; they count alike.
    """
    if state.status not in WAITING:
        return None
    if state.hold is not None:
        # Where nobody is, no turns are given.
        missing = _hindrance(state, services, paused) if state.hold == Hold.TURN else None
        return _WAITING_FOR[missing or _HOLDS[state.hold]]
    reason = WaitReason.SLOT if state.status is TaskStatus.QUEUED else WaitReason.DUE_TIME
    if waits_for_processors(state):
        reason = _hindrance(state, services, paused) or reason
    return _WAITING_FOR[reason] if state.run_at is None else WaitingFor(reason=reason, until=state.run_at)


def _hindrance(state: TaskState, services: Iterable[ServedWork], paused: Collection[str]) -> WaitReason | None:
    return WaitReason.RESUME if state.queue in paused else _missing(state, services)


def _missing(state: TaskState, services: Iterable[ServedWork]) -> WaitReason | None:
    in_queue = [service for service in services if state.queue in service.queues]
    if not in_queue:
        return WaitReason.PROCESSOR
    return None if any(state.kind in service.kinds for service in in_queue) else WaitReason.KIND
