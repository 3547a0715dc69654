"""Dependencies: finds those whose tasks have ended, and reads and writes what a batch decides of them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from asyncpg import Connection, Record

from taskmill.contracts.groups import CreateGroup
from taskmill.contracts.tasks import DependencyFailure
from taskmill.task_store.adapters.database import SharedConnections
from taskmill.task_store.adapters.group_rows import groups_of, write_groups
from taskmill.task_store.adapters.models import DependencyRow, columns
from taskmill.task_store.adapters.rows import arrays
from taskmill.task_store.domain.dependencies import DependencyBook, Pair, ReadDependency, Release
from taskmill.task_store.domain.operations import Operation
from taskmill.task_store.domain.state import DependencyState

_COLUMNS = columns(DependencyRow)
_NAMES = ", ".join(_COLUMNS)
_SELECTED = ", ".join(f"dependency.{name}" for name in _COLUMNS)
_ARRAYS = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(_COLUMNS.values(), start=1))

# The first ending that the log has. What a client ended by hand, or whose events are gone, is as it stands.
_OUTCOME = """
LEFT JOIN tasks ON tasks.id = dependency.after_id
CROSS JOIN LATERAL (
    SELECT coalesce(
        (
            SELECT type FROM task_events
            WHERE task_id = dependency.after_id AND version > dependency.after_version
                AND type IN ('completed', 'failed', 'cancelled', 'deleted')
            ORDER BY version LIMIT 1
        ),
        CASE
            WHEN tasks.id IS NULL THEN 'deleted'
            WHEN NOT tasks.is_run_active AND tasks.status IN ('completed', 'failed', 'cancelled') THEN tasks.status
        END
    ) AS outcome
) AS ending
"""

_READ = f"""
SELECT {_SELECTED}, ending.outcome = 'completed' AS is_completed
FROM unnest($1::uuid[], $2::uuid[]) AS pair (dependent_id, after_id)
JOIN task_dependencies AS dependency USING (dependent_id, after_id)
{_OUTCOME}
"""  # noqa: S608  (names of the model, here and below)

_COUNTS = "SELECT dependent_id, count(*) FROM task_dependencies WHERE dependent_id = ANY($1::uuid[]) GROUP BY 1"
_ADD = f"INSERT INTO task_dependencies ({_NAMES}) SELECT * FROM unnest({_ARRAYS})"  # noqa: S608
_REMOVE = """
DELETE FROM task_dependencies USING unnest($1::uuid[], $2::uuid[]) AS pair (dependent_id, after_id)
WHERE task_dependencies.dependent_id = pair.dependent_id AND task_dependencies.after_id = pair.after_id
"""
_END = "DELETE FROM task_dependencies WHERE dependent_id = ANY($1::uuid[])"

_WAITING_FOR = "SELECT after_id FROM task_dependencies WHERE dependent_id = $1 ORDER BY after_id LIMIT $2"

_STANDING = """
SELECT EXISTS (SELECT FROM task_dependencies), coalesce((SELECT max(position) FROM task_events), 0)
"""

_ENDED = """
SELECT max(position), array_agg(DISTINCT task_id) FILTER (
    WHERE type IN ('completed', 'failed', 'cancelled', 'deleted', 'updated')
)
FROM (SELECT position, type, task_id FROM task_events WHERE position > $1 ORDER BY position LIMIT $2) AS part
"""

# What is cancelled for it ends what comes after that in the same batch: a chain is as quickly ended as it is wide.
_DECIDABLE = f"""
WITH RECURSIVE found (dependent_id, after_id, cancels) AS (
    (
        SELECT dependent_id, after_id, on_failure = 'cancel' AND ending.outcome <> 'completed'
        FROM task_dependencies AS dependency
        {_OUTCOME}
        WHERE after_id = ANY($1::uuid[]) AND ending.outcome IS NOT NULL LIMIT $2
    )
    UNION
    SELECT dependency.dependent_id, dependency.after_id, dependency.on_failure = 'cancel'
    FROM found JOIN task_dependencies AS dependency ON dependency.after_id = found.dependent_id
    WHERE found.cancels
)
SELECT dependent_id, after_id, on_completed_id, on_failed_id, true
FROM (SELECT * FROM found LIMIT $2) AS part LEFT JOIN task_groups ON task_groups.id = dependent_id
"""  # noqa: S608

_BEHIND = f"""
SELECT dependent_id, after_id, on_completed_id, on_failed_id, ending.outcome IS NOT NULL
FROM (
    SELECT * FROM task_dependencies WHERE (dependent_id, after_id) > ($1, $2) ORDER BY dependent_id, after_id LIMIT $3
) AS dependency
LEFT JOIN task_groups ON task_groups.id = dependent_id
{_OUTCOME}
ORDER BY dependent_id, after_id
"""  # noqa: S608


class DependencyStanding(NamedTuple):
    """Whether anything waits, and how far the log is."""

    is_anything_held: bool
    newest: int


class EndedTasks(NamedTuple):
    """The tasks that a part of the log tells an end of."""

    task_ids: Sequence[UUID]
    position: int
    """Up to where it was looked."""


class DependencyPage(NamedTuple):
    """Some of the dependencies."""

    release: Release | None
    """Of those whose task has ended; None: no task has."""
    behind: Pair | None
    """The last one; None: there are no more."""


class DependencyRows:
    """Reads with fixed SQL. Raises `DatabaseUnavailableError` when PostgreSQL is away."""

    def __init__(self, connections: SharedConnections) -> None:
        self._connections = connections

    async def standing(self) -> DependencyStanding:
        """Whether anything waits for tasks, and the newest position of the log, of one moment."""
        ((is_anything_held, newest),) = await self._connections.fetch(_STANDING)
        return DependencyStanding(is_anything_held, newest)

    async def ended(self, after: int, limit: int) -> EndedTasks:
        """The tasks that ended behind a position; at most `limit` events are looked at."""
        ((position, task_ids),) = await self._connections.fetch(_ENDED, after, limit)
        return EndedTasks(task_ids or [], after if position is None else position)

    async def decided(self, ended_ids: Sequence[UUID], limit: int) -> Release | None:
        """What waits for tasks that ended, and for what is cancelled by that, at most `limit`; None: nothing does."""
        return _release(await self._connections.fetch(_DECIDABLE, ended_ids, limit))

    async def page(self, behind: Pair, limit: int) -> DependencyPage:
        """Look at the dependencies behind one, at most `limit`."""
        rows = await self._connections.fetch(_BEHIND, *behind, limit)
        last = Pair(rows[-1][0], rows[-1][1]) if len(rows) == limit else None
        return DependencyPage(_release(rows), last)

    async def waiting_for(self, task_id: UUID, limit: int) -> list[UUID]:
        """The tasks that a task still waits for, at most `limit`."""
        return [row["after_id"] for row in await self._connections.fetch(_WAITING_FOR, task_id, limit)]


async def read_dependencies(connection: "Connection[Record]", operations: Iterable[Operation]) -> DependencyBook:
    """What operations need to know, on a connection that holds the lock of the event log."""
    pairs: list[Pair] = []
    ids: set[UUID] = set()
    for operation in operations:
        if isinstance(operation, Release):
            pairs += operation.pairs
            ids.update(pair.dependent_id for pair in operation.pairs)
        elif isinstance(operation, CreateGroup):
            ids.add(operation.id)
    if not ids:
        return DependencyBook()
    known = [_dependency(row) for row in await connection.fetch(_READ, *arrays(pairs, 2))] if pairs else []
    counts = {row[0]: row[1] for row in await connection.fetch(_COUNTS, ids)} if pairs else {}
    return DependencyBook(known, counts, await groups_of(connection, ids))


async def write_dependencies(connection: "Connection[Record]", book: DependencyBook) -> None:
    """Write what a batch changed, on a connection that holds the lock of the event log."""
    if not book.has_changed:
        return
    if book.added:
        await connection.execute(_ADD, *arrays(book.added, len(_COLUMNS)))
    if book.removed:
        await connection.execute(_REMOVE, *arrays(book.removed, 2))
    if book.ended:
        await connection.execute(_END, book.ended)
    await write_groups(connection, book)


def _release(rows: Sequence[Record]) -> Release | None:
    pairs: list[Pair] = []
    task_ids: set[UUID] = set()
    for dependent_id, after_id, on_completed_id, on_failed_id, is_decided in rows:
        if is_decided:
            pairs.append(Pair(dependent_id, after_id))
            task_ids |= {dependent_id, on_completed_id, on_failed_id} - {None}
    return Release(tuple(pairs), tuple(task_ids)) if pairs else None


def _dependency(row: Record) -> ReadDependency:
    *values, is_completed = row
    state = DependencyState._make(values)
    return ReadDependency(state._replace(on_failure=DependencyFailure(state.on_failure)), is_completed=is_completed)
