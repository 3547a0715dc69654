"""How far a subscriber is with each task."""

from collections import OrderedDict
from typing import NamedTuple
from uuid import UUID

from taskmill.contracts.events import EventType
from taskmill.sdk.event import Event

KEPT_TASKS = 50_000
"""Those that something happened to most recently. Of another one the next event is taken as it comes, as of a task
that began before the subscriber did: some 15 MB."""


class LastEvent(NamedTuple):
    """The event of a task that was handed out last."""

    version: int
    position: int


class TaskVersions:
    """The last version of each task that was handed out.

    Args:
        kept_tasks: Of how many tasks, at most.
    """

    def __init__(self, kept_tasks: int = KEPT_TASKS) -> None:
        self._kept_tasks = kept_tasks
        self._last: OrderedDict[UUID, LastEvent] = OrderedDict()

    def before_gap(self, event: Event) -> LastEvent | None:
        """The last event of the task, if others are missing between it and this one; else None."""
        last = self._last.get(event.task_id)
        return last if last is not None and event.version > last.version + 1 else None

    def note(self, event: Event) -> None:
        """Remember that an event is handed out."""
        if event.type is EventType.DELETED:
            # Nothing comes after it.
            self._last.pop(event.task_id, None)
            return
        self._last[event.task_id] = LastEvent(event.version, event.position)
        self._last.move_to_end(event.task_id)
        if len(self._last) > self._kept_tasks:
            self._last.popitem(last=False)
