"""Bulk operations: one wish for many tasks, carried out in the background, with counts that can be followed."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from taskmill.contracts.limits import MAX_BULK_IDS
from taskmill.contracts.requests import KeyedRequest, Request, TaskFilter
from taskmill.contracts.tasks import EACH_ONCE, Instant, WireModel


class BulkAction(StrEnum):
    """What is wanted of each task."""

    PROCESS = "process"
    CANCEL = "cancel"
    DELETE = "delete"


class BulkStatus(StrEnum):
    """Where a bulk operation stands."""

    RUNNING = "running"
    COMPLETED = "completed"


class BulkWait(StrEnum):
    """What a bulk operation waits for."""

    ROOM_IN_QUEUE = "room_in_queue"


def _has_condition(conditions: TaskFilter) -> TaskFilter:
    if not any(getattr(conditions, name) for name in TaskFilter.model_fields):
        detail = "At least one condition should be given; all tasks are those of every status"
        raise PydanticCustomError("no_condition", detail)
    return conditions


class NewBulkOperation(Request):
    """What a client wants of many tasks: of those that meet a filter, or of those that it names."""

    action: Annotated[
        BulkAction,
        Field(description="What each task is asked: `process`, `cancel` or `delete`, as its own endpoint does it."),
    ]
    filter: Annotated[
        Annotated[TaskFilter, AfterValidator(_has_condition)] | None,
        Field(
            description="Which tasks: those that meet every condition, and existed when the operation was asked for. "
            "At least one condition. Either this or `ids`."
        ),
    ] = None
    ids: Annotated[
        Annotated[list[UUID], Field(min_length=1, max_length=MAX_BULK_IDS), EACH_ONCE] | None,
        Field(description="Which tasks, by their ids: 1 to 1,000, each once. Either this or `filter`."),
    ] = None
    dry_run: Annotated[bool, Field(description="Only count the tasks, and change none.")] = False
    force: Annotated[
        bool, Field(description="With `delete`: cancel active runs first, and do not wait for their processors.")
    ] = False

    @field_validator("force")
    @classmethod
    def _force_deletes(cls, force: bool, info: ValidationInfo) -> bool:
        if force and info.data.get("action") is not BulkAction.DELETE:
            raise PydanticCustomError("force_without_delete", "Only tasks that are deleted can be forced")
        return force

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        if (self.filter is None) == (self.ids is None):
            raise PydanticCustomError("filter_or_ids", "Either `filter` or `ids` should be given")
        return self


class StartBulkOperation(KeyedRequest, NewBulkOperation):
    """Begin a bulk operation. Replied to with `BulkOperation`."""

    id: Annotated[UUID, Field(description="The new operation's id: a UUID, version 7, made by the caller.")]


class GetBulkOperation(Request):
    """Read a bulk operation. Replied to with `BulkOperation`."""

    id: UUID


class BulkCounts(WireModel):
    """How far a bulk operation is, in tasks."""

    matched: Annotated[int, Field(ge=0, description="Tasks that met the filter, or were named, so far.")]
    done: Annotated[int, Field(ge=0, description="Of those: tasks that did as they were asked. 0 in a dry run.")]
    refused: Annotated[int, Field(ge=0, description="Of those: tasks that did not; `refusals` says why.")]


class BulkOperation(WireModel):
    """A bulk operation as it stands."""

    id: Annotated[UUID, Field(description="Identifies the operation: a UUID, version 7.")]
    action: Annotated[BulkAction, Field(description="What each task is asked.")]
    filter: Annotated[TaskFilter | None, Field(description="Which tasks; null: those that were named.")] = None
    id_count: Annotated[int | None, Field(description="How many tasks were named; null: there is a filter.")] = None
    dry_run: Annotated[bool, Field(description="Whether tasks are only counted.")]
    force: Annotated[bool, Field(description="Whether active runs are cancelled, to delete their tasks.")]
    status: Annotated[BulkStatus, Field(description="`running` until every task was asked, then `completed`.")]
    waiting_for: Annotated[
        BulkWait | None, Field(description="room_in_queue: it goes on when fewer tasks wait in a queue; null: nothing.")
    ] = None
    counts: BulkCounts
    refusals: Annotated[dict[str, int], Field(description="How many tasks refused, by the code of their error.")]
    created_at: Instant
    finished_at: Annotated[datetime | None, Field(description="When it was completed; null: it is running.")] = None
