"""Groups: tasks that are made together, with one outcome, and what is processed for it."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from taskmill.contracts.limits import DEFAULT_PAGE_ITEMS, MAX_GROUP_TASKS
from taskmill.contracts.requests import (
    ClientFields,
    Cursor,
    IdentifiedTask,
    KeyedRequest,
    NewTask,
    PageLimit,
    Request,
)
from taskmill.contracts.tasks import ConcurrencyKey, Instant, NextCursor, Queue, Title, WireModel

GroupTitle = Annotated[Title, Field(description="What the tasks are together, for people. 1 to 200 characters.")]


class NewFollowUp(ClientFields):
    """A task that is processed when a group has its outcome, and cancelled when that is the other one."""

    queue: Annotated[
        Queue | None,
        Field(description="The pool that it waits in; null: what the kind says, or else `default`."),
    ] = None
    concurrency_key: ConcurrencyKey = None


def _without_unique(task: NewTask) -> NewTask:
    # A task that exists already cannot become a part of the group.
    if task.unique is not None:
        raise PydanticCustomError("unique_in_group", "A task of a group cannot have a unique key")
    return task


class NewGroup(Request):
    """Tasks that a client wants to exist, all or none, and to know of as one."""

    title: GroupTitle
    tasks: Annotated[
        list[Annotated[NewTask, AfterValidator(_without_unique)]],
        Field(
            min_length=1,
            max_length=MAX_GROUP_TASKS,
            description="1 to 1,000 tasks: no more follow. None may have a unique key.",
        ),
    ]
    on_completed: Annotated[
        NewFollowUp | None, Field(description="A task that is processed when all of them are completed.")
    ] = None
    on_failed: Annotated[
        NewFollowUp | None,
        Field(description="A task that is processed as soon as one of them fails, is cancelled or is deleted."),
    ] = None


class CreateGroup(KeyedRequest):
    """Create a group with its tasks, all or nothing. Replied to with `Group`."""

    id: Annotated[UUID, Field(description="The new group's id: a UUID, version 7, made by the caller.")]
    title: GroupTitle
    tasks: Annotated[list[IdentifiedTask], Field(min_length=1, max_length=MAX_GROUP_TASKS)]
    on_completed: Annotated[
        IdentifiedTask | None, Field(description="It says nothing of when it is to be processed.")
    ] = None
    on_failed: Annotated[IdentifiedTask | None, Field(description="It says nothing of when it is to be processed.")] = (
        None
    )


class GetGroup(Request):
    """Read a group. Replied to with `Group`."""

    id: UUID


class ListGroups(Request):
    """Read a page of groups, newest first. Replied to with `GroupPage`."""

    limit: PageLimit = DEFAULT_PAGE_ITEMS
    cursor: Cursor | None = None


class GroupStatus(StrEnum):
    """Where a group stands."""

    OPEN = "open"
    COMPLETED = "completed"
    FAILED = "failed"


class GroupCounts(WireModel):
    """How many tasks of a group stand where."""

    pending: Annotated[int, Field(ge=0, description="Not asked to be processed, or set so by hand.")] = 0
    scheduled: Annotated[int, Field(ge=0, description="Wait for their time, or for other tasks.")] = 0
    queued: Annotated[int, Field(ge=0, description="Wait for a processor.")] = 0
    in_progress: Annotated[int, Field(ge=0, description="A processor has them.")] = 0
    completed: Annotated[int, Field(ge=0, description="Their work is done.")] = 0
    failed: Annotated[int, Field(ge=0, description="Failed for good.")] = 0
    cancelled: Annotated[int, Field(ge=0, description="Will not be done.")] = 0
    removed: Annotated[int, Field(ge=0, description="Deleted, by a client or because they were kept long enough.")] = 0


class Group(WireModel):
    """A group as it stands."""

    id: Annotated[UUID, Field(description="Identifies the group: a UUID, version 7.")]
    title: GroupTitle
    status: Annotated[
        GroupStatus,
        Field(
            description="`open`; `completed` once all of its tasks are; `failed` as soon as one has ended otherwise. "
            "That stays, whatever becomes of its tasks afterwards."
        ),
    ]
    total: Annotated[int, Field(ge=1, description="How many tasks it was made with.")]
    counts: Annotated[GroupCounts, Field(description="Where they stand now; all together they are `total`.")]
    progress: Annotated[float, Field(ge=0, le=1, description="Share of its tasks that are completed, 0 to 1.")]
    on_completed_id: Annotated[
        UUID | None, Field(description="The task that is processed when all are completed; null: none is.")
    ] = None
    on_failed_id: Annotated[
        UUID | None, Field(description="The task that is processed when one is not; null: none is.")
    ] = None
    created_at: Instant
    settled_at: Annotated[datetime | None, Field(description="When it had its outcome; null: it is open.")] = None


class GroupPage(WireModel):
    """A page of groups, newest first."""

    items: Annotated[list[Group], Field(description="The groups. Up to 200.")]
    next_cursor: NextCursor = None
