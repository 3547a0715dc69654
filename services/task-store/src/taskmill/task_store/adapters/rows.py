"""Rows of PostgreSQL as states, and states as statements take them."""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from taskmill.contracts.status import Priority, TaskStatus
from taskmill.contracts.tasks import KindDefaults, RetryBackoff
from taskmill.task_store.domain.events import LoggedEvent
from taskmill.task_store.domain.state import TaskState

_STATUS = TaskState._fields.index("status")
_PRIORITY = TaskState._fields.index("priority")
# Calling an enumeration costs ten times as much as a look-up.
_STATUSES = {status.value: status for status in TaskStatus}
PRIORITIES = {priority.value: priority for priority in Priority}


def task_state(row: Iterable[Any]) -> TaskState:
    """A row with the columns of `tasks`, in their order, as a state."""
    values = list(row)
    values[_STATUS] = _STATUSES[values[_STATUS]]
    values[_PRIORITY] = PRIORITIES[values[_PRIORITY]]
    return TaskState._make(values)


def kind_defaults(
    max_attempts: int | None, backoff: str | None, timeout_seconds: float | None, queue: str | None
) -> KindDefaults:
    """What a row of `kinds` says of its kind."""
    return KindDefaults(
        max_attempts=max_attempts,
        backoff=None if backoff is None else RetryBackoff.model_validate_json(backoff),
        timeout_seconds=timeout_seconds,
        queue=queue,
    )


def kind_row(name: str, defaults: KindDefaults) -> dict[str, Any]:
    """What a kind's handler declares as a row of `kinds`."""
    return {
        "name": name,
        "max_attempts": defaults.max_attempts,
        "backoff": None if defaults.backoff is None else defaults.backoff.model_dump_json(),
        "timeout_seconds": defaults.timeout_seconds,
        "queue": defaults.queue,
    }


def row_maker(state: type[NamedTuple], columns: Iterable[str]) -> Callable[[tuple[Any, ...]], dict[str, Any]]:
    """Make a function that gives some columns of a state as a statement takes them.

    NULL, 0 and false are left out, which half of a task's columns are: to be told so costs PostgreSQL as much as any
    value.
    """
    names = tuple(columns)
    values = itemgetter(*map(state._fields.index, names))
    return lambda of: {name: value for name, value in zip(names, values(of), strict=True) if value or value == ""}


def json_rows(rows: Iterable[dict[str, Any]]) -> str:
    """Rows as the one JSON array that a statement takes."""
    # The driver's own UUIDs are unknown to orjson.
    return orjson.dumps(list(rows), default=str).decode()


def event_columns(events: Sequence[LoggedEvent]) -> tuple[Any, ...]:
    """Events as the statement that writes takes them: each column as an array, but one of names as one text."""
    task_ids, versions, types, kinds, dispatches, documents = arrays(events, len(LoggedEvent._fields))
    return task_ids, versions, ",".join(types), ",".join(kinds), dispatches, documents


def arrays(rows: Sequence[tuple[Any, ...]], width: int) -> list[tuple[Any, ...]]:
    """Rows as one array for each of their `width` columns; no rows: empty arrays."""
    return list(zip(*rows, strict=True)) if rows else [()] * width
