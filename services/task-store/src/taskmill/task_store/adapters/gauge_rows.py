"""What PostgreSQL says of how the store stands, for metrics."""

from typing import NamedTuple

from taskmill.task_store.adapters.database import SharedConnections

# Where the relay is, is saved every 0.2 s while it publishes.
_RELAY = """
SELECT (SELECT coalesce(max(position), 0) FROM task_events) - relay_cursor.position AS backlog,
    (
        SELECT extract(epoch FROM clock_timestamp() - recorded_at)::float8 FROM task_events
        WHERE task_events.position > relay_cursor.position ORDER BY task_events.position LIMIT 1
    ) AS lag_seconds
FROM relay_cursor
"""


class RelayLag(NamedTuple):
    """How far the relay is behind."""

    backlog: int
    """Events that are not published, or not known to be."""
    seconds: float
    """How long the oldest of them waits; 0: there is none."""


class GaugeRows:
    """Reads it."""

    def __init__(self, connections: SharedConnections) -> None:
        self._connections = connections

    async def relay_lag(self) -> RelayLag:
        """How far the relay is behind, whichever store has it; and if none has."""
        rows = await self._connections.fetch(_RELAY)
        if not rows:
            return RelayLag(0, 0.0)
        backlog, seconds = rows[0]
        return RelayLag(max(0, backlog), max(0.0, seconds or 0.0))
