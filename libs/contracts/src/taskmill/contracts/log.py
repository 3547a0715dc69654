"""Reading the log: the history of all tasks, by position."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from taskmill.contracts.events import EventType
from taskmill.contracts.limits import MAX_INTEGER, MAX_LOG_PAGE_ITEMS
from taskmill.contracts.requests import Request
from taskmill.contracts.tasks import Kind, WireModel

Position = Annotated[int, Field(ge=0, le=MAX_INTEGER, description="A position in the log; 0: before its first event.")]


class ReadLog(Request):
    """Read what happened behind a position, oldest first. Replied to with `LogPage`.

    A page ends after `limit` events, when it would not fit a message, or when enough was searched: it may hold no event
    at all, and yet more may follow.
    """

    after: Annotated[
        Position | None, Field(description="Where to go on; null: nowhere, only tell where the log begins and ends.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=MAX_LOG_PAGE_ITEMS, description="Events at most. 1 to 1,000.")] = (
        MAX_LOG_PAGE_ITEMS
    )
    types: Annotated[list[EventType], Field(max_length=len(EventType), description="Only these; empty: all.")] = []
    kind: Annotated[Kind | None, Field(description="Only of tasks of this kind.")] = None
    task_id: Annotated[UUID | None, Field(description="Only of this task.")] = None


class PositionedEvent(WireModel):
    """An event, and where it stands."""

    position: Position
    type: Annotated[EventType, Field(description="What happened.")]
    kind: Annotated[str, Field(description="The kind of its task.")]
    task_id: Annotated[UUID, Field(description="Its task.")]
    document: Annotated[str, Field(description="The `TaskEvent` as JSON text, byte for byte as it was published.")]


class LogPage(WireModel):
    """Some of the log."""

    items: Annotated[list[PositionedEvent], Field(description="The events. Up to 1,000.")]
    next_after: Annotated[
        Position, Field(description="Up to where was searched: go on there. Everything, when it is `newest` or more.")
    ]
    oldest: Annotated[Position, Field(description="Position of the oldest event that is kept; 0: there is none.")]
    newest: Annotated[
        Position,
        Field(
            description="Position of the newest event that there ever was; 0: there was none. Below `after`: that is a "
            "position of a log that was lost, which ran up to here as this one does; go on here."
        ),
    ]
    removed: Annotated[
        Position, Field(description="Events up to this position were removed from the log; 0: none was.")
    ] = 0
    epoch: Annotated[
        Position,
        Field(
            description="The position behind which the log's epoch begins; 0: it is the first. Another one than "
            "before: the log was set back to a backup."
        ),
    ] = 0
