"""Events of the log, and which of them somebody wants."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic_core import from_json

from taskmill.contracts.events import EventType


class FollowedEvent:
    """An event of the log. Many share it: what they need of it is made once, when it is needed first.

    Attributes:
        position: Where in the log it stands.
        type: What happened.
        kind: The kind of its task.
        task_id: Its task.
        document: The event as it was published.
    """

    def __init__(self, position: int, event_type: str, kind: str, task_id: str, document: bytes) -> None:
        self.position = position
        self.type = event_type
        self.kind = kind
        self.task_id = task_id
        self.document = document

    @cached_property
    def frame(self) -> bytes:
        """The event as a server-sent event."""
        return b"id: %d\nevent: %b\ndata: %b\n\n" % (self.position, self.type.encode(), self.document)

    @property
    def queue(self) -> str:
        """The queue of its task."""
        return str(self._data["queue"])

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its task."""
        labels: dict[str, str] = self._data.get("labels", {})
        return labels

    @cached_property
    def _data(self) -> dict[str, Any]:
        data: dict[str, Any] = from_json(self.document)["data"]
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events somebody wants. An event meets every condition that is given.

    Attributes:
        task_id: Only of this task; None: of any.
        types: Only of these types; empty: of any.
        kind: Only of tasks of this kind; None: of any.
        queue: Only of tasks of this queue; None: of any.
        labels: Only of tasks that have these labels, with this value, or (None) with any.
    """

    task_id: str | None = None
    types: frozenset[EventType] = frozenset()
    kind: str | None = None
    queue: str | None = None
    labels: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def is_for_the_store(self) -> bool:
        """Whether the store finds these events faster than all events can be looked at."""
        return self.task_id is not None or self.kind is not None or bool(self.types)

    def admits(self, event: FollowedEvent) -> bool:
        """Whether an event meets all conditions."""
        return (
            (self.task_id is None or event.task_id == self.task_id)
            and (not self.types or event.type in self.types)
            and (self.kind is None or event.kind == self.kind)
            and (self.queue is None or event.queue == self.queue)
            and all(
                key in event.labels and (value is None or event.labels[key] == value)
                for key, value in self.labels.items()
            )
        )
