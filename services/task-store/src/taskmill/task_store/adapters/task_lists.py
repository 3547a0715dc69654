"""Lists of tasks and of attempts: queries built with SQLAlchemy Core from what a client asks for."""

from collections.abc import AsyncIterator, Sequence, Set
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import (
    JSON,
    ColumnElement,
    CompoundSelect,
    Row,
    Select,
    Text,
    and_,
    cast,
    exists,
    func,
    literal,
    literal_column,
    null,
    select,
    tuple_,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from taskmill.contracts.errors import DatabaseUnavailableError
from taskmill.contracts.limits import MAX_COUNTED_TASKS
from taskmill.contracts.requests import ListTasks, TaskFilter, TaskSort
from taskmill.contracts.status import TaskStatus
from taskmill.task_store.adapters.database import (
    COMMAND_TIMEOUT_SECONDS,
    CONNECT_TIMEOUT_SECONDS,
    translated_errors,
)
from taskmill.task_store.adapters.models import AttemptRow, TaskRow
from taskmill.task_store.adapters.rows import task_state
from taskmill.task_store.domain.bulk_operations import BulkChunk, BulkOperationState, Candidate
from taskmill.task_store.domain.cursors import ListPosition, list_cursor, parse_list_cursor
from taskmill.task_store.domain.state import DOCUMENTS, AttemptState, TaskState

LIST_TIMEOUT_SECONDS = 2
"""A filter that finds next to nothing in millions of tasks must not keep a connection busy for long."""

BULK_TIMEOUT_SECONDS = 60
"""Nobody waits for a bulk operation: it may read all tasks to find some."""


def list_engine(database_url: str, name: str, *, timeout_seconds: int) -> AsyncEngine:
    """The engine that lists are read with; it connects when it is used.

    Args:
        database_url: As asyncpg takes it.
        name: Appears in `pg_stat_activity`.
        timeout_seconds: How long a query may take.
    """

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(
            database_url,
            timeout=CONNECT_TIMEOUT_SECONDS,
            # PostgreSQL ends a query that takes too long by itself, if it is still there.
            command_timeout=timeout_seconds + COMMAND_TIMEOUT_SECONDS,
            server_settings={
                "application_name": f"taskmill {name}",
                "statement_timeout": str(timeout_seconds * 1000),
            },
        )

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        isolation_level="AUTOCOMMIT",
        pool_pre_ping=True,
        pool_size=2,
        max_overflow=2,
        pool_timeout=CONNECT_TIMEOUT_SECONDS,
    )


class TaskLists:
    """The `Lists` of PostgreSQL.

    Args:
        engine: See `list_engine`.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def tasks(self, request: ListTasks, after: ListPosition | None) -> list[TaskState]:
        """See `Lists`."""
        return [task_state(row) for row in await self._rows(task_query(request, after))]

    async def counts(self, wanted: TaskFilter) -> dict[TaskStatus, int]:
        """See `Lists`."""
        (row,) = await self._rows(count_query(wanted))
        return dict(zip(wanted.status or TaskStatus, row, strict=True))

    async def attempts(self, task_id: UUID, *, after_attempt: int, limit: int) -> list[AttemptState]:
        """See `Lists`."""
        query = attempt_query(task_id, after_attempt, limit)
        return [AttemptState._make(row) for row in await self._rows(query)]

    async def chunk(self, operation: BulkOperationState, limit: int) -> BulkChunk:
        """The next tasks that meet the filter of a bulk operation, oldest first, at most `limit`.

        Those that were created after it are not its concern: so it ends, and meets a task once that fails again.

        Raises:
            DatabaseUnavailableError: PostgreSQL cannot be asked, or takes too long to find them.
        """
        rows = await self._rows(chunk_query(operation, limit))
        candidates = [
            Candidate(row.id, row.revision, list_cursor(ListPosition(row.created_at, row.id))) for row in rows[:limit]
        ]
        return BulkChunk(operation.id, operation.position, tuple(candidates), is_last=len(rows) <= limit)

    async def _rows(self, query: Select[Any] | CompoundSelect[Any]) -> Sequence[Row[Any]]:
        async with translated_errors(), _bare_errors(), self._engine.connect() as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
            return rows


def task_query(request: ListTasks, after: ListPosition | None) -> Select[Any]:
    """The query for a page: the columns of a `TaskState`, in order, and one row more than the page may hold."""
    query = select(*_columns(TaskRow, empty=DOCUMENTS)).where(*_conditions(request.filter))
    position = tuple_(TaskRow.created_at, TaskRow.id)
    is_oldest_first = request.sort is TaskSort.OLDEST_FIRST
    if after is not None:
        end = tuple_(literal(after.created_at), literal(after.id))
        query = query.where(position > end if is_oldest_first else position < end)
    order = [TaskRow.created_at, TaskRow.id]
    return query.order_by(*(order if is_oldest_first else [column.desc() for column in order])).limit(request.limit + 1)


def attempt_query(task_id: UUID, after_attempt: int, limit: int) -> CompoundSelect[Any]:
    """The query for the attempts of a task behind a number, oldest first: the columns of an `AttemptState`, in order.

    Those that have ended are rows of their own. The one that is open is told by its task's row (`newest_attempt`), and
    stands above what an older store may have written of it.
    """
    is_open = and_(TaskRow.id == task_id, TaskRow.is_run_active, TaskRow.queued_at.is_not(None))
    names = [column.key for column in AttemptRow.__table__.columns]
    of_task = {"task_id": TaskRow.id} | {name: getattr(TaskRow, name) for name in _TOLD_OF_OPEN_ATTEMPTS}
    opened = select(*(of_task.get(name, null()) for name in names)).where(is_open, TaskRow.attempt > after_attempt)
    ended = select(*_columns(AttemptRow)).where(
        AttemptRow.task_id == task_id,
        AttemptRow.attempt > after_attempt,
        ~exists().where(is_open, TaskRow.attempt == AttemptRow.attempt),
    )
    return ended.union_all(opened).order_by(AttemptRow.attempt.key).limit(limit)


def count_query(wanted: TaskFilter) -> Select[Any]:
    """The query for how many tasks meet a filter: one row, a column for each status."""
    others = _conditions(wanted.model_copy(update={"status": []}))
    return select(
        *(
            select(func.count())
            .select_from(
                select(TaskRow.id).where(TaskRow.status == status, *others).limit(MAX_COUNTED_TASKS).subquery()
            )
            .scalar_subquery()
            .label(status)
            for status in wanted.status or TaskStatus
        )
    )


def chunk_query(operation: BulkOperationState, limit: int) -> Select[Any]:
    """The query for the tasks that a bulk operation comes to next, and one more."""
    conditions = [] if operation.conditions is None else _conditions(operation.conditions)
    columns: list[Any] = [TaskRow.id, TaskRow.revision, TaskRow.created_at]
    query = select(*columns).where(*conditions, TaskRow.created_at < operation.created_at)
    if operation.position is not None:
        after = parse_list_cursor(operation.position)
        query = query.where(tuple_(TaskRow.created_at, TaskRow.id) > tuple_(literal(after.created_at), after.id))
    return query.order_by(TaskRow.created_at, TaskRow.id).limit(limit + 1)


_TOLD_OF_OPEN_ATTEMPTS = ("attempt", "run", "processor_id", "delivery", "queued_at", "started_at")
_HAS_LABELS: ColumnElement[bool] = literal_column("tasks.labels <> '{}'::jsonb")
"""Follows from any condition on labels; said, so that PostgreSQL takes the index, which has only such tasks."""

_EQUAL = ("kind", "queue", "priority", "concurrency_key", "schedule_id", "unique_key", "group_id")
"""Conditions that a column is equal to."""


def _conditions(wanted: TaskFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.status:
        conditions.append(TaskRow.status.in_([status.value for status in wanted.status]))
    if wanted.title is not None:
        conditions.append(TaskRow.title.icontains(wanted.title, autoescape=True))
    conditions += [getattr(TaskRow, name) == value for name in _EQUAL if (value := getattr(wanted, name)) is not None]
    if wanted.created_after is not None:
        conditions.append(TaskRow.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        conditions.append(TaskRow.created_at < wanted.created_before)
    conditions += [_has_label(key, value) for key, value in wanted.labels.items()]
    return conditions


def _has_label(key: str, value: str | None) -> ColumnElement[bool]:
    labels: ColumnElement[Any] = TaskRow.__table__.c.labels
    has = labels.has_key(key) if value is None else labels.contains({key: value})
    return and_(has, _HAS_LABELS)


def _columns(model: type[TaskRow | AttemptRow], *, empty: Set[str] = frozenset()) -> list[ColumnElement[Any]]:
    """The model's columns in order: JSON as the text that it is, some as NULL because nobody needs them."""
    return [
        null() if column.key in empty else cast(column, Text) if isinstance(column.type, JSON) else column
        for column in model.__table__.columns
    ]


@asynccontextmanager
async def _bare_errors() -> AsyncIterator[None]:
    """Take SQLAlchemy's wrapping off the errors of asyncpg."""
    try:
        yield
    except DBAPIError as error:
        cause = error.orig.__cause__ if error.orig is not None else None
        raise cause or error from None
    except PoolTimeoutError as error:
        raise DatabaseUnavailableError from error
