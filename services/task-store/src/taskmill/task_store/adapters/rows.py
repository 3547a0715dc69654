"""Rows of PostgreSQL as states, and states as statements take them."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from taskmill.contracts.status import Priority, TaskStatus
from taskmill.task_store.domain.state import TaskState

_STATUS = TaskState._fields.index("status")
_PRIORITY = TaskState._fields.index("priority")
_STATUSES = {status.value: status for status in TaskStatus}
_PRIORITIES = {priority.value: priority for priority in Priority}


def task_state(row: Iterable[Any]) -> TaskState:
    """A row with the columns of `tasks`, in their order, as a state."""
    values = list(row)
    values[_STATUS] = _STATUSES[values[_STATUS]]
    values[_PRIORITY] = _PRIORITIES[values[_PRIORITY]]
    return TaskState._make(values)


def json_rows(rows: Iterable[dict[str, Any]]) -> str:
    """Rows as the one JSON array that a statement takes."""
    # The driver's own UUIDs are unknown to orjson.
    return orjson.dumps(list(rows), default=str).decode()


def arrays(rows: Sequence[tuple[Any, ...]], width: int) -> list[tuple[Any, ...]]:
    """Rows as one array for each of their `width` columns; no rows: empty arrays."""
    return list(zip(*rows, strict=True)) if rows else [()] * width
