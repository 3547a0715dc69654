"""Schedules, and what became of their times, as rows of PostgreSQL."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from uuid import UUID

from asyncpg import Connection, Record

from taskmill.contracts.errors import ScheduleNotFoundError
from taskmill.contracts.limits import MAX_BODY_BYTES
from taskmill.contracts.schedules import CreateSchedule, FireOrigin, FireOutcome, Overlap
from taskmill.task_store.adapters.database import SharedConnections
from taskmill.task_store.adapters.models import ScheduleFireRow, ScheduleRow, parameters
from taskmill.task_store.domain.cursors import ListPosition
from taskmill.task_store.domain.schedules import (
    FireSchedule,
    FireState,
    ScheduleBook,
    ScheduleOperation,
    ScheduleState,
    named_new_tasks,
    named_schedule,
)

MAX_CANCELLED = 1_000
"""So many tasks of schedules are cancelled in a batch at most, of each schedule its part, and one at least. Where more
are in a run, the time is not decided before some were cancelled."""


_SCHEDULE = parameters(ScheduleRow)
_FIRE = parameters(ScheduleFireRow)
_NAMES = ", ".join(_SCHEDULE)
_FIRE_NAMES = ", ".join(_FIRE)
# Payloads may be large, and who looks for what is due needs none.
_NAMES_ONLY = ", ".join("'{}' AS template" if name == "template" else name for name in _SCHEDULE)

_GET = f"SELECT {_NAMES} FROM schedules WHERE id = $1"  # noqa: S608  (names of the models, here and below)
# One row more than a message can hold: it tells that more follow. All of them may have 256 KiB each.
_PAGE = f"""
SELECT {_NAMES} FROM (
    SELECT *, sum(octet_length(template::text)) OVER (ORDER BY id) - octet_length(template::text) AS bytes_before
    FROM (SELECT * FROM schedules WHERE id > $1 ORDER BY id LIMIT $2) AS candidate
) AS sized WHERE bytes_before <= {MAX_BODY_BYTES} ORDER BY id
"""  # noqa: S608
_NEXT = f"""
SELECT {_NAMES_ONLY} FROM schedules
WHERE next_fire_at IS NOT NULL AND (id, revision) NOT IN (SELECT * FROM unnest($2::uuid[], $3::integer[]))
ORDER BY next_fire_at LIMIT $1
"""  # noqa: S608
_SOME = f"SELECT {_NAMES_ONLY} FROM schedules WHERE id = ANY($1::uuid[]) AND next_fire_at IS NOT NULL"  # noqa: S608
# As long as the time is not decided: its own task is not among these.
_IN_THE_WAY = """
SELECT task.id, task.revision FROM unnest($1::uuid[], $2::integer[], $3::timestamptz[]) AS due (id, revision, fire_at)
JOIN schedules ON schedules.id = due.id AND schedules.revision = due.revision AND next_fire_at = due.fire_at, LATERAL (
    SELECT id, revision FROM tasks
    WHERE schedule_id = schedules.id AND is_run_active AND cancel_requested_at IS NULL LIMIT $4
) AS task LIMIT $4
"""
_FIRES = f"""
SELECT {_FIRE_NAMES} FROM schedule_fires
WHERE schedule_id = $1 AND (fire_at, task_id) < ($2, $3) ORDER BY fire_at DESC, task_id DESC LIMIT $4
"""  # noqa: S608

_KNOWN = f"SELECT {_NAMES} FROM schedules WHERE id = ANY($1::uuid[])"  # noqa: S608
_COUNT = "SELECT count(*) FROM schedules"
# One task is reason enough to skip; those that are being cancelled need not be cancelled again.
_RUNNING = """
SELECT schedule.id AS schedule_id, task.id FROM unnest($1::uuid[], $2::boolean[]) AS schedule (id, cancels), LATERAL (
    SELECT id FROM tasks
    WHERE schedule_id = schedule.id AND is_run_active AND (cancel_requested_at IS NULL OR NOT schedule.cancels)
    LIMIT CASE WHEN schedule.cancels THEN $3 ELSE 1 END
) AS task
"""
_ADD = f"INSERT INTO schedules ({_NAMES}) VALUES ({', '.join(_SCHEDULE.values())})"  # noqa: S608
_CHANGE = f"""
UPDATE schedules SET {", ".join(f"{name} = {value}" for name, value in _SCHEDULE.items() if name != "id")}
WHERE id = {_SCHEDULE["id"]}
"""  # noqa: S608
_MADE = f"""
SELECT task_id FROM schedule_fires WHERE task_id = ANY($1::uuid[]) AND outcome = '{FireOutcome.CREATED.value}'
"""  # noqa: S608
_DELETE = "DELETE FROM schedules WHERE id = ANY($1::uuid[])"
# A time that was skipped may get its task later; one that has its task keeps it.
_NOTE = f"""
INSERT INTO schedule_fires ({_FIRE_NAMES}) VALUES ({", ".join(_FIRE.values())})
ON CONFLICT (task_id) DO UPDATE SET outcome = excluded.outcome, origin = excluded.origin,
    decided_at = excluded.decided_at
WHERE excluded.outcome = '{FireOutcome.CREATED.value}'
"""  # noqa: S608


class ScheduleRows:
    """The `Schedules` of PostgreSQL, and the look for what is due, which raises the same when it is away."""

    def __init__(self, connections: SharedConnections) -> None:
        self._connections = connections

    async def schedule(self, schedule_id: UUID) -> ScheduleState:
        """See `Schedules`."""
        found = await self._fetch(_GET, schedule_id)
        if not found:
            raise ScheduleNotFoundError
        return found[0]

    async def schedules(self, *, behind: UUID, limit: int) -> list[ScheduleState]:
        """See `Schedules`."""
        return await self._fetch(_PAGE, behind, limit)

    async def fires(self, schedule_id: UUID, *, before: ListPosition, limit: int) -> list[FireState]:
        """See `Schedules`."""
        rows = await self._connections.fetch(_FIRES, schedule_id, *before, limit)
        return [_fire(row) for row in rows]

    async def next(self, limit: int, *, but: Mapping[UUID, int] = MappingProxyType({})) -> list[ScheduleState]:
        """Those that fire next, in that order, without their templates.

        Args:
            limit: How many at most.
            but: The revisions of schedules that are left out: those that were changed since are not.
        """
        return await self._fetch(_NEXT, limit, list(but), list(but.values()))

    async def some(self, schedule_ids: Sequence[UUID]) -> list[ScheduleState]:
        """Those of these that will fire, in any order, without their templates."""
        return await self._fetch(_SOME, schedule_ids)

    async def in_the_way(self, times: Sequence[FireSchedule], limit: int) -> list[tuple[UUID, int]]:
        """Tasks that are to be cancelled before these times can be decided, with their revisions: `limit` at most."""
        due = [(time.schedule_id, time.revision, time.fire_at) for time in times]
        rows = await self._connections.fetch(_IN_THE_WAY, *zip(*due, strict=True), limit)
        return [(UUID(int=row["id"].int), row["revision"]) for row in rows]

    async def _fetch(self, statement: str, *arguments: object) -> list[ScheduleState]:
        return [_schedule(row) for row in await self._connections.fetch(statement, *arguments)]


async def read_schedules(
    connection: "Connection[Record]", operations: Sequence[ScheduleOperation], max_schedules: int
) -> ScheduleBook:
    """What operations need to know of schedules, on a connection that holds the lock of the event log."""
    rows = await connection.fetch(_KNOWN, [named_schedule(operation) for operation in operations])
    known = [_schedule(row) for row in rows]
    is_any_new = any(isinstance(operation, CreateSchedule) for operation in operations)
    fired = {operation.schedule_id for operation in operations if isinstance(operation, FireSchedule)}
    exclusive = [it for it in known if it.id in fired and it.overlap != Overlap.ALLOW]
    running, crowded = await _running(connection, {it.id: it.overlap == Overlap.CANCEL_RUNNING for it in exclusive})
    made_ids = [task_id for operation in operations for task_id in named_new_tasks(operation)]
    return ScheduleBook(
        known,
        count=await connection.fetchval(_COUNT) if is_any_new else 0,
        max_schedules=max_schedules,
        running=running,
        crowded=crowded,
        made=[row["task_id"] for row in await connection.fetch(_MADE, made_ids)] if made_ids else (),
    )


async def _running(connection: "Connection[Record]", cancels: Mapping[UUID, bool]) -> tuple[list[UUID], set[UUID]]:
    """Tasks that are in a run, and the schedules of which more are than can be cancelled at once.

    Args:
        connection: One that holds the lock of the event log.
        cancels: The schedules, and whether they cancel such tasks, or skip a time.
    """
    if not cancels:
        return [], set()
    most = max(1, MAX_CANCELLED // max(1, sum(cancels.values())))
    rows = await connection.fetch(_RUNNING, list(cancels), list(cancels.values()), most + 1)
    counts = Counter(row["schedule_id"] for row in rows)
    crowded = {schedule_id for schedule_id, count in counts.items() if count > most}
    return [row["id"] for row in rows if row["schedule_id"] not in crowded], crowded


async def write_schedules(connection: "Connection[Record]", book: ScheduleBook) -> None:
    """Write what a batch changed, on a connection that holds the lock of the event log."""
    for schedule in book.added:
        await connection.execute(_ADD, *schedule)
    if changed := book.changed:
        await connection.executemany(_CHANGE, changed)
    if deleted := book.deleted:
        await connection.execute(_DELETE, deleted)
    if book.fires:
        await connection.executemany(_NOTE, book.fires)


def _schedule(row: Iterable[Any]) -> ScheduleState:
    schedule = ScheduleState._make(row)
    # The driver's own UUIDs are unknown to orjson.
    return schedule._replace(id=UUID(int=schedule.id.int))


def _fire(row: Iterable[Any]) -> FireState:
    fire = FireState._make(row)
    return fire._replace(outcome=FireOutcome(fire.outcome), origin=FireOrigin(fire.origin))
