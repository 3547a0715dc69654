"""Reads the log by position, for those who follow it."""

from taskmill.contracts.limits import MAX_BODY_BYTES, MAX_INTEGER
from taskmill.contracts.log import ReadLog
from taskmill.task_store.adapters.database import SharedConnections
from taskmill.task_store.ports import LogPart, ReadEvent

SEARCHED_EVENTS = 10_000
"""How many events one request looks at, at most: those of a kind may be far apart."""

MAX_DOCUMENT_BYTES = MAX_BODY_BYTES // 2
"""Of all documents together: written as JSON strings they may be twice as long."""

_BOUNDS = """
SELECT coalesce((SELECT min(position) FROM task_events), 0) AS oldest,
    greatest((SELECT max(position) FROM task_events), removed_events.position, epochs.begin) AS newest,
    removed_events.position AS removed, coalesce(epochs.begin, 0) AS epoch,
    {next} AS next, {lost_behind}::bigint AS lost_behind, {gap}::bigint AS gap
FROM removed_events, (SELECT max(begin) AS begin FROM log_epochs) AS epochs
"""
_ENDS = _BOUNDS.format(next="NULL::bigint", lost_behind="NULL", gap="NULL")
# The bounds are of the same snapshot as the events. What lies between two events far apart is not searched: positions
# are not given out one by one where an epoch begins. One event always fits. A position that only a log that was lost
# has given out is told by where that log and this one are the same; up to `gap` nothing of it is in what was searched.
_OF_POSITION = _BOUNDS.format(
    next="(SELECT min(position) FROM task_events WHERE position > $1)",
    lost_behind="(SELECT min(after) FROM log_epochs WHERE $1 > after AND $1 < begin)",
    gap="(SELECT min(after) FROM log_epochs WHERE after > $1)",
)
_READ = """
WITH bounds AS (
    {bounds}
), candidate AS (
    {candidates}
), sized AS (
    SELECT position, type, kind, task_id, document,
        count(*) OVER () AS candidates,
        row_number() OVER (ORDER BY position) AS number,
        sum(octet_length(document)) OVER (ORDER BY position) AS bytes
    FROM candidate
)
SELECT oldest, newest, removed, epoch, next, lost_behind, gap, position, type, kind, task_id, document, candidates
FROM bounds
LEFT JOIN sized ON number <= {limit} AND (number = 1 OR bytes <= {max_bytes})
ORDER BY position
"""
_OF_ALL = _READ.format(
    bounds=_OF_POSITION,
    candidates="""
    SELECT position, type, kind, task_id::text, document FROM task_events
    WHERE position > $1 AND position < (SELECT next FROM bounds) + $6 AND (SELECT lost_behind FROM bounds) IS NULL
        AND ($4::text IS NULL OR kind = $4) AND (cardinality($5::text[]) = 0 OR type = ANY($5))
    ORDER BY position LIMIT $2 + 1
    """,
    limit="$2",
    max_bytes="$3",
)
_OF_ONE_TASK = _READ.format(
    bounds=_OF_POSITION,
    candidates="""
    SELECT position, type, kind, task_id::text, document FROM task_events
    WHERE task_id = $6 AND position > $1 AND (SELECT lost_behind FROM bounds) IS NULL
        AND ($4::text IS NULL OR kind = $4) AND (cardinality($5::text[]) = 0 OR type = ANY($5))
    ORDER BY version LIMIT $2 + 1
    """,
    limit="$2",
    max_bytes="$3",
)


class LogReader:
    """The `LogReads` of PostgreSQL."""

    def __init__(self, connections: SharedConnections) -> None:
        self._connections = connections

    async def read(self, request: ReadLog) -> LogPart:
        """What is asked for; see `LogReads`."""
        after = request.after
        if after is None:
            ((oldest, newest, removed, epoch, *_),) = await self._connections.fetch(_ENDS)
            return LogPart([], newest, oldest, newest, removed, epoch)
        # Behind the last ones there is nothing, and PostgreSQL could not count on from there.
        after = min(after, MAX_INTEGER - SEARCHED_EVENTS)
        arguments: list[object] = [after, request.limit, MAX_DOCUMENT_BYTES, request.kind, request.types]
        statement = _OF_ALL if request.task_id is None else _OF_ONE_TASK
        arguments.append(request.task_id or SEARCHED_EVENTS)
        rows = await self._connections.fetch(statement, *arguments)
        oldest, newest, removed, epoch, following, lost_behind, gap = tuple(rows[0])[:7]
        if lost_behind is not None:
            return LogPart([], request.after or 0, oldest, lost_behind, removed, epoch)
        events = [ReadEvent(*tuple(row)[7:12]) for row in rows if row["position"] is not None]
        if events and rows[0]["candidates"] > len(events):
            searched = events[-1].position
        elif request.task_id is None and following is not None:
            searched = min(following - 1 + SEARCHED_EVENTS, newest)
            if gap is not None and following <= gap < searched:
                # Not into what lies between two epochs.
                searched = gap
        else:
            searched = newest
        return LogPart(events, max(request.after or 0, searched), oldest, newest, removed, epoch)
