"""What a task that does not move waits for."""

from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import WaitingFor, WaitReason
from taskmill.task_store.domain.state import TaskState

PROCESSOR_LIFE = timedelta(seconds=30)
"""A processor that was not heard of for so long does not count: it says hello every 10 s."""


class Service(NamedTuple):
    """What one living processor does."""

    queues: frozenset[str]
    kinds: frozenset[str]


def waiting_for(state: TaskState, services: Iterable[Service]) -> WaitingFor | None:
    """What a task waits for; None: it does not wait.

    Args:
        state: The task.
        services: What the living processors do.
    """
    if state.status is TaskStatus.SCHEDULED:
        return WaitingFor(reason=WaitReason.DUE_TIME, until=state.run_at)
    if state.status is not TaskStatus.QUEUED:
        return None
    in_queue = [service for service in services if state.queue in service.queues]
    if not in_queue:
        return WaitingFor(reason=WaitReason.PROCESSOR)
    is_known = any(state.kind in service.kinds for service in in_queue)
    return WaitingFor(reason=WaitReason.SLOT if is_known else WaitReason.KIND)
