"""Groups as the rules see them. How they are settled stands in `dependencies.py`."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from taskmill.contracts.groups import CreateGroup, Group, GroupCounts, GroupStatus
from taskmill.contracts.requests import IdentifiedTask


class GroupState(NamedTuple):
    """A group's row: these fields, in this order, are the columns of `task_groups`.

    Fields whose name is that of a field of `taskmill.contracts.groups.Group` mean the same.
    """

    id: UUID
    title: str
    status: GroupStatus
    total: int
    on_completed_id: UUID | None
    on_failed_id: UUID | None
    created_at: datetime
    settled_at: datetime | None


def new_group(request: CreateGroup, now: datetime) -> GroupState:
    """A group whose tasks have yet to end."""
    return GroupState(
        id=request.id,
        title=request.title,
        status=GroupStatus.OPEN,
        total=len(request.tasks),
        on_completed_id=None if request.on_completed is None else request.on_completed.id,
        on_failed_id=None if request.on_failed is None else request.on_failed.id,
        created_at=now,
        settled_at=None,
    )


def follow_ups(request: CreateGroup) -> list[IdentifiedTask]:
    """The tasks that a group has processed, or cancelled, when it is settled."""
    return [task for task in (request.on_completed, request.on_failed) if task is not None]


def group_document(group: GroupState, by_status: Mapping[str, int]) -> bytes:
    """A `Group`.

    Args:
        group: The group.
        by_status: How many of its tasks there are of each status.
    """
    removed = max(0, group.total - sum(by_status.values()))
    counts = GroupCounts(**by_status, removed=removed)
    # A task that is not completed settles the group before it can be removed.
    done = counts.completed + (removed if group.status is GroupStatus.OPEN else 0)
    progress = 1.0 if group.status is GroupStatus.COMPLETED else done / group.total
    return Group(**group._asdict(), counts=counts, progress=progress).model_dump_json().encode()
