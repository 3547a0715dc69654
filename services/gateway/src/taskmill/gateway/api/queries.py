"""The query parameters of the lists."""

import re
from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator, Field, StringConstraints
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from taskmill.contracts.conditions import LABEL_CONDITIONS, LabelCondition, wanted_labels
from taskmill.contracts.events import EventType
from taskmill.contracts.instants import GivenInstant
from taskmill.contracts.limits import DEFAULT_PAGE_ITEMS, MAX_ACTIVITY_MINUTES, MAX_TITLE_CHARS
from taskmill.contracts.log import Position
from taskmill.contracts.patterns import CHOSEN_KEY_PATTERN
from taskmill.contracts.requests import (
    Cursor,
    ListTasks,
    PageLimit,
    Request,
    TaskFilter,
    TaskSort,
)
from taskmill.contracts.status import Priority, TaskStatus
from taskmill.contracts.tasks import WITHOUT_NUL, Kind, Queue
from taskmill.contracts.turns import ChosenKey
from taskmill.gateway.domain.following import EventFilter

_DECIMAL = re.compile(r"-?[1-9][0-9]{0,99}|0", re.ASCII)


def is_decimal(text: object) -> object:
    """Refuse text that is no whole number as it is usually written; bounds are told by others."""
    # Left alone, pydantic would also take `1_0`, `+5` and ` 5`.
    if isinstance(text, str) and not _DECIMAL.fullmatch(text):
        raise PydanticCustomError("int_parsing", "Input should be a whole number such as 50")
    return text


LabelConditions = Annotated[
    list[LabelCondition],
    *LABEL_CONDITIONS,
    Field(description="A label that it has: `key:value`, or `key` for any value. Repeatable, up to 8: all of these."),
]
After = Annotated[
    Position | SkipJsonSchema[None],
    BeforeValidator(is_decimal),
    Field(description="The position in the log that the client has: only what lies behind it."),
]


def _is_true_or_false(text: object) -> object:
    # Left alone, pydantic would also take words such as "on" and "yes".
    if text not in {"true", "false"}:
        raise PydanticCustomError("bool_parsing", "Input should be true or false")
    return text


class DeleteQuery(Request):
    """How a task is deleted."""

    force: Annotated[
        bool,
        BeforeValidator(_is_true_or_false),
        Field(description="Cancel an active run first. What its processor still reports changes nothing."),
    ] = False


class PageQuery(Request):
    """Which page of a list."""

    limit: Annotated[PageLimit, BeforeValidator(is_decimal)] = DEFAULT_PAGE_ITEMS
    cursor: Annotated[
        Cursor | SkipJsonSchema[None], Field(description="Where the page starts, as the last page told it. Opaque.")
    ] = None


_SAME = {"status", "title", "kind", "queue", "priority", "concurrency_key", "schedule_id", "unique_key", "group_id"}
"""Conditions of a list that the store has as they are."""


class TaskConditions(Request):
    """Which tasks. A task meets every condition that is given."""

    status: Annotated[
        list[TaskStatus], Field(max_length=len(TaskStatus), description="Its status; repeatable: any of these.")
    ] = []
    title: Annotated[
        Annotated[str, StringConstraints(min_length=1, max_length=MAX_TITLE_CHARS), WITHOUT_NUL] | SkipJsonSchema[None],
        Field(description="A part of its title, in any case. 1 to 200 characters."),
    ] = None
    kind: Annotated[Kind | SkipJsonSchema[None], Field(description="Its kind.")] = None
    queue: Annotated[Queue | SkipJsonSchema[None], Field(description="Its queue.")] = None
    priority: Annotated[Priority | SkipJsonSchema[None], Field(description="Its priority.")] = None
    concurrency_key: Annotated[ChosenKey | SkipJsonSchema[None], Field(description="Its concurrency key.")] = None
    schedule_id: Annotated[UUID | SkipJsonSchema[None], Field(description="The schedule that made it.")] = None
    unique_key: Annotated[
        Annotated[str, StringConstraints(pattern=CHOSEN_KEY_PATTERN)] | SkipJsonSchema[None],
        Field(description="Its unique key, whether it still holds it or not."),
    ] = None
    label: LabelConditions = []
    group_id: Annotated[UUID | SkipJsonSchema[None], Field(description="The group that it belongs to.")] = None
    created_after: Annotated[
        GivenInstant | SkipJsonSchema[None],
        Field(description="Created at or after this instant (RFC 3339, with offset)."),
    ] = None
    created_before: Annotated[
        GivenInstant | SkipJsonSchema[None], Field(description="Created before this instant (RFC 3339, with offset).")
    ] = None

    def filter(self) -> TaskFilter:
        """The conditions, as the task store takes them."""
        return TaskFilter(
            **self.model_dump(include=_SAME, exclude_unset=True),
            labels=wanted_labels(self.label),
            created_after=self.created_after,
            created_before=self.created_before,
        )


class TaskQuery(TaskConditions, PageQuery):
    """Which tasks, in which order. A task meets every condition that is given."""

    sort: Annotated[TaskSort, Field(description="Newest first (`-created_at`) or oldest first (`created_at`).")] = (
        TaskSort.NEWEST_FIRST
    )

    def request(self) -> ListTasks:
        """What the task store is asked."""
        return ListTasks(filter=self.filter(), sort=self.sort, limit=self.limit, cursor=self.cursor)


class ActivityQuery(Request):
    """How far back."""

    minutes: Annotated[
        Annotated[int, Field(ge=1, le=MAX_ACTIVITY_MINUTES, description="How many minutes back: 1 to 1,440.")],
        BeforeValidator(is_decimal),
    ] = 60


class EventQuery(Request):
    """Which events. An event meets every condition that is given."""

    after: After = None
    limit: Annotated[PageLimit, BeforeValidator(is_decimal)] = DEFAULT_PAGE_ITEMS
    type: Annotated[
        list[EventType], Field(max_length=len(EventType), description="Its type; repeatable: any of these.")
    ] = []
    kind: Annotated[Kind | SkipJsonSchema[None], Field(description="The kind of its task.")] = None
    queue: Annotated[Queue | SkipJsonSchema[None], Field(description="The queue of its task.")] = None
    label: LabelConditions = []
    task: Annotated[UUID | SkipJsonSchema[None], Field(description="Its task.")] = None

    def filter(self) -> EventFilter:
        """The conditions."""
        return EventFilter(
            task_id=None if self.task is None else str(self.task),
            types=frozenset(self.type),
            kind=self.kind,
            queue=self.queue,
            labels=wanted_labels(self.label),
        )


class TaskEventsQuery(PageQuery):
    """Which page of a task's events; or where their stream begins."""

    after: After = None
