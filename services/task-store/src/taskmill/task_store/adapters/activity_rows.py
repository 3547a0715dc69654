"""Activity as rows of PostgreSQL: one for each minute."""

from datetime import datetime, timedelta

from taskmill.contracts.activity import ActivityMinute
from taskmill.task_store.adapters.database import SharedConnections
from taskmill.task_store.domain.activity import Deeds, activity_minute

_NAMES = ", ".join(Deeds._fields)

# Arrays of counts are added place by place.
_SUM_OF_ARRAYS = """{0} = (
    SELECT array_agg(was + is_new ORDER BY place)
    FROM unnest(activity.{0}, excluded.{0}) WITH ORDINALITY AS counts (was, is_new, place)
)"""
_SUMS = ", ".join(
    (_SUM_OF_ARRAYS if name in {"waited", "ran"} else "{0} = activity.{0} + excluded.{0}").format(name)
    for name in Deeds._fields
)

_OLDEST = """
SELECT extract(epoch FROM clock_timestamp() - min(queued_at))::float8 FROM tasks WHERE status = 'queued'
"""

_NOTE = f"""
INSERT INTO activity (minute, {_NAMES}, oldest_queued_seconds)
VALUES ($1, $2, $3, $4, $5, $6::bigint[], $7::bigint[], $8)
ON CONFLICT (minute) DO UPDATE SET {_SUMS},
    oldest_queued_seconds = greatest(activity.oldest_queued_seconds, excluded.oldest_queued_seconds)
"""  # noqa: S608  (names from the tuple above)

_READ = f"SELECT minute, oldest_queued_seconds, {_NAMES} FROM activity WHERE minute > $1 ORDER BY minute"  # noqa: S608
_FORGET = "DELETE FROM activity WHERE minute < $1"


class ActivityRows:
    """Writes them down, and reads them. Every method raises `DatabaseUnavailableError` when PostgreSQL is away."""

    def __init__(self, connections: SharedConnections) -> None:
        self._connections = connections

    async def oldest_queued_seconds(self) -> float | None:
        """How long the oldest queued task waits; None: none does."""
        ((oldest,),) = await self._connections.fetch(_OLDEST)
        return None if oldest is None else max(0.0, float(oldest))

    async def note(self, now: datetime, deeds: Deeds, oldest_queued_seconds: float | None) -> None:
        """Add to the present minute."""
        await self._connections.fetch(_NOTE, now.replace(second=0, microsecond=0), *deeds, oldest_queued_seconds)

    async def since(self, moment: datetime) -> list[ActivityMinute]:
        """The minutes that began after a moment."""
        rows = await self._connections.fetch(_READ, moment)
        return [activity_minute(minute, Deeds._make(deeds), oldest) for minute, oldest, *deeds in rows]

    async def forget(self, now: datetime, kept: timedelta) -> None:
        """Delete the minutes that are older."""
        await self._connections.fetch(_FORGET, now - kept)
