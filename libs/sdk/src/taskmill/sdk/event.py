"""An event, as who follows gets it, on NATS or over HTTP."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic_core import from_json

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
        document: The CloudEvents document, byte for byte as it was published; of `Client.events`, written anew.
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
        """Make one from where it stands, what its subject or its line in the log names, and its document.

        Args:
            position: Where in the log it stands.
            event_type: The name of its type, such as `completed`.
            kind: The kind of its task.
            task_id: Its task.
            document: The CloudEvents document.
        """
        fields = from_json(document)
        return cls(position, _TYPES.get(event_type, event_type), kind, task_id, fields["sequence"], document, fields)
