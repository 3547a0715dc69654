"""What the store that leads reads of turns: what is let through, what waits, and which tasks come next."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from asyncpg import Record

from taskmill.task_store.adapters.database import DedicatedConnection
from taskmill.task_store.adapters.rows import PRIORITIES
from taskmill.task_store.adapters.turn_rows import read_limits
from taskmill.task_store.domain.turn_order import ActiveTask, Lane
from taskmill.task_store.domain.turns import Bucket, LimitRules, TurnStart
from taskmill.task_store.domain.waiting import PROCESSOR_LIFE

MAX_ACTIVE = 20_000
"""So many tasks that are let through are known; while there are more, what a limit holds for waits."""

MAX_LANES = 50_000
"""So many lanes are known; the others come when these are empty."""

# A term begins when nothing more can be committed of the one before: that holds the row.
_BEGIN_TERM = """
UPDATE turn_term SET number = number + 1
WHERE EXISTS (SELECT FROM relay_cursor WHERE owner = $1) RETURNING number
"""

_KEY = "coalesce(concurrency_key, '')"

_ACTIVE = f"""
SELECT id, version, queue, priority, kind, {_KEY} FROM (
    SELECT * FROM tasks WHERE concurrency_key IS NOT NULL AND status IN ('queued', 'in_progress') AND is_run_active
    UNION ALL
    SELECT * FROM tasks WHERE concurrency_key IS NULL AND status IN ('queued', 'in_progress') AND is_run_active
        AND $1 AND ($2::text[] IS NULL OR kind = ANY($2::text[]))
) AS active LIMIT $3
"""  # noqa: S608  (an expression of ours, here and below)

# From lane to lane through the index: a million tasks of one lane are not read for it.
_LANES = f"""
WITH RECURSIVE lane AS (
    (
        SELECT queue, priority, kind, {_KEY} AS key, 1 AS number FROM tasks WHERE hold = 'turn'
        ORDER BY queue, priority, kind, {_KEY} LIMIT 1
    )
    UNION ALL
    SELECT following.*, lane.number + 1 FROM lane, LATERAL (
        SELECT queue, priority, kind, {_KEY} AS key FROM tasks
        WHERE hold = 'turn' AND (queue, priority, kind, {_KEY}) > (lane.queue, lane.priority, lane.kind, lane.key)
        ORDER BY queue, priority, kind, {_KEY} LIMIT 1
    ) AS following
    WHERE lane.number < $1
)
SELECT queue, priority, kind, key FROM lane
"""  # noqa: S608

_LANES_OF = f"""
SELECT DISTINCT queue, priority, kind, {_KEY} AS key FROM tasks WHERE id = ANY($1::uuid[]) AND hold = 'turn'
"""  # noqa: S608

_STARTS_OF = """
SELECT limit_name, concurrency_key, slice, last_at, tasks FROM turn_starts
WHERE (limit_name, concurrency_key) IN (SELECT * FROM unnest($1::text[], $2::text[])) ORDER BY last_at
"""

_SHARES = "SELECT concurrency_key, weight FROM shares"

_SLOTS = """
SELECT queue, sum(slots)::integer AS slots FROM processors, unnest(queues) AS served (queue)
WHERE seen_at >= $1 AND NOT is_draining
    AND NOT EXISTS (SELECT FROM queues WHERE queues.name = queue AND paused_at IS NOT NULL)
GROUP BY queue
"""

_FIRST = f"""
SELECT lane.number, task.id, task.version
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[])
    WITH ORDINALITY AS lane (queue, priority, kind, key, most, number), LATERAL (
    SELECT id, version FROM tasks
    WHERE hold = 'turn' AND queue = lane.queue AND priority = lane.priority AND kind = lane.kind AND {_KEY} = lane.key
    ORDER BY id LIMIT lane.most + 1
) AS task
"""  # noqa: S608


class TurnsKnown(NamedTuple):
    """What is so at the beginning of a term."""

    term: int
    rules: LimitRules
    active: Sequence[ActiveTask]
    lanes: Sequence[Lane]

    @property
    def has_more_active(self) -> bool:
        """Whether tasks are let through that are not among `active`."""
        return len(self.active) > MAX_ACTIVE

    @property
    def has_more_lanes(self) -> bool:
        """Whether tasks may wait in others than `lanes`."""
        return len(self.lanes) >= MAX_LANES


class TurnSettings(NamedTuple):
    """By what turns are given, beside what waits."""

    rules: LimitRules
    weights: Mapping[str, float]
    slots: Mapping[str, int]
    """How many tasks are executed at once of each queue that is served and not paused."""


class TurnLog:
    """The view that the store that leads has of turns. All raise `DatabaseUnavailableError` when PostgreSQL is away."""

    def __init__(self, connection: DedicatedConnection) -> None:
        self._connection = connection

    async def begin_term(self, owner: str) -> TurnsKnown | None:
        """Begin a new term, in which turns are given as what is read now allows; None: somebody else leads.

        What was given in the term before is in what is read, or is not given any more.
        """
        async with self._connection.use() as connection:
            term = await connection.fetchval(_BEGIN_TERM, owner)
            if term is None:
                return None
            rules = await read_limits(connection)
            kinds = rules.limited_kinds
            active = await connection.fetch(_ACTIVE, kinds is None or bool(kinds), kinds, MAX_ACTIVE + 1)
            return TurnsKnown(
                term,
                rules,
                [ActiveTask(task_id, version, _lane(*lane)) for task_id, version, *lane in active],
                [_lane(*row) for row in await connection.fetch(_LANES, MAX_LANES)],
            )

    async def starts_of(self, buckets: Collection[Bucket]) -> list[TurnStart]:
        """The turns that buckets with a rate had, oldest first."""
        names = [(limit.name, key) for limit, key in buckets]
        async with self._connection.use() as connection:
            return [TurnStart(*row) for row in await connection.fetch(_STARTS_OF, *zip(*names, strict=True))]

    async def settings(self, now: datetime) -> TurnSettings:
        """What holds now."""
        async with self._connection.use() as connection:
            return TurnSettings(
                await read_limits(connection),
                {row["concurrency_key"]: row["weight"] for row in await connection.fetch(_SHARES)},
                {row["queue"]: row["slots"] for row in await connection.fetch(_SLOTS, now - PROCESSOR_LIFE)},
            )

    async def lanes_of(self, task_ids: Collection[UUID]) -> list[Lane]:
        """The lanes of those of these tasks that wait for their turn."""
        async with self._connection.use() as connection:
            return [_lane(*row) for row in await connection.fetch(_LANES_OF, task_ids)]

    async def first(self, wanted: Mapping[Lane, int]) -> list[tuple[Lane, list[tuple[UUID, int]]]]:
        """The oldest tasks of some lanes, of each so many and one more at most, with their versions."""
        lanes = list(wanted)
        async with self._connection.use() as connection:
            rows: list[Record] = await connection.fetch(_FIRST, *zip(*lanes, strict=True), list(wanted.values()))
        found: list[list[tuple[UUID, int]]] = [[] for _ in lanes]
        for number, task_id, version in rows:
            found[number - 1].append((task_id, version))
        return list(zip(lanes, found, strict=True))


def _lane(queue: str, priority: str, kind: str, key: str) -> Lane:
    return Lane(queue, PRIORITIES[priority], kind, key)
