"""Which events a subscriber gets."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from taskmill.contracts import subjects
from taskmill.contracts.events import EventType


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
