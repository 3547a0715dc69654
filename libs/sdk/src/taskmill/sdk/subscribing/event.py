"""An event, as a subscriber gets it, and which ones it wants."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic_core import from_json

from taskmill.contracts import subjects
from taskmill.contracts.events import EventType

_TYPES = {event_type.value: event_type for event_type in EventType}


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a task.

    Attributes:
        position: Where in the log it stands, over all tasks: rises from event to event, with gaps in between.
        type: What happened: an `EventType`, or the name of one that only a newer version knows.
        kind: The kind of its task.
        task_id: Its task.
        version: Its number among the events of its task: 1, 2, 3, … without a gap.
        document: The CloudEvents document, byte for byte as it was published.
        fields: The same, parsed; see `taskmill.contracts.events.TaskEvent`.
    """

    position: int
    type: EventType | str
    kind: str
    task_id: UUID
    version: int
    document: bytes = field(repr=False)
    fields: dict[str, Any] = field(repr=False, hash=False, compare=False)

    @property
    def data(self) -> dict[str, Any]:
        """What the event tells: the task's state after the change, and more that depends on the type."""
        data: dict[str, Any] = self.fields["data"]
        return data

    @classmethod
    def of(cls, position: int, event_type: str, kind: str, task_id: UUID, document: bytes) -> "Event":
        """Make one from where it stands, what its subject or its line in the log names, and its document."""
        fields = from_json(document)
        return cls(position, _TYPES.get(event_type, event_type), kind, task_id, fields["sequence"], document, fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events a subscriber gets: those that meet every condition.

    Attributes:
        types: Only of these types; empty: of any.
        kind: Only of tasks of this kind; None: of any.
        task_id: Only of this task; None: of any.
    """

    types: Collection[EventType] = ()
    kind: str | None = None
    task_id: UUID | None = None

    @property
    def is_everything(self) -> bool:
        """Whether there is no condition: then each event names the one before it."""
        return not self.types and self.kind is None and self.task_id is None

    @property
    def are_versions_whole(self) -> bool:
        """Whether every event of a task is wanted, or none: then the versions of each follow one another."""
        return not self.types

    @property
    def subjects(self) -> list[str]:
        """What is heard on NATS."""
        return subjects.event_filters(types=self.types, kind=self.kind, task_id=self.task_id)
