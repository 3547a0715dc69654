"""Every connection to PostgreSQL is ended by the server."""

import asyncpg

from tests.chaos.faults.fault import FaultMissedError, Scene
from tests.support.eventually import eventually

_WITHIN_SECONDS = 20
_TERMINATE = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


async def backends_terminated(scene: Scene) -> str:
    """Connections break in the middle of statements, while new ones are served at once."""
    connection = await asyncpg.connect(scene.stack.postgres.url)
    try:
        # A store that was killed just before has none for a moment.
        count: int = await eventually(lambda: connection.fetchval(_TERMINATE), within_seconds=_WITHIN_SECONDS)
    except AssertionError:
        raise FaultMissedError("nobody was connected") from None
    finally:
        await connection.close()
    return f"{count} backends"
