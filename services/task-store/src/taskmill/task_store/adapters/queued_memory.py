"""What a store remembers of the tasks that it has just queued, so that their first reports need not read them."""

from collections.abc import Iterable
from uuid import UUID

from taskmill.contracts.status import TaskStatus
from taskmill.task_store.domain.state import TaskState

MAX_TASKS = 256
"""More than are between commit and report while 64 clients wait. Tasks that wait for a slot are read."""

MAX_CHARACTERS = 4_096
"""Of all texts that may be long; a task that has more is not remembered, so that all together take 2 MB at most."""


class QueuedMemory:
    """Tasks as they were queued.

    Whoever decides by one has to compare its version when writing, and must have something to write: otherwise nobody
    notices that it has changed since. That each change makes a version is so of queued tasks only; heartbeats of those
    that are in progress make none.
    """

    def __init__(self) -> None:
        self._states: dict[UUID, TaskState] = {}

    def note(self, states: Iterable[TaskState]) -> None:
        """Remember those of the tasks that are queued, as they have been committed."""
        for state in states:
            if state.status is TaskStatus.QUEUED and _is_whole_and_small(state):
                self._states[state.id] = state
        while len(self._states) > MAX_TASKS:
            del self._states[next(iter(self._states))]

    def take(self, task_ids: Iterable[UUID]) -> list[TaskState]:
        """Those of the tasks that are remembered; they are forgotten."""
        return [state for task_id in task_ids if (state := self._states.pop(task_id, None)) is not None]

    def clear(self) -> None:
        """Forget all."""
        self._states.clear()


def _is_whole_and_small(state: TaskState) -> bool:
    if state.payload is None:
        return False
    # What has a checkpoint, or failed before, was queued again.
    texts = (state.payload, state.labels, state.description or "", state.checkpoint or "", state.error or "")
    return sum(map(len, texts)) <= MAX_CHARACTERS
