"""Waits until nothing moves any more, so that what is found then is final."""

import asyncio

import asyncpg

from tests.chaos.stack import ChaosStack
from tests.chaos.witness import Witness

_LOOK_SECONDS = 0.5
_STALLED_SECONDS = 60
"""Longer than any recovery takes: what has not moved for so long will not."""

_UNFINISHED = "SELECT count(*) FROM tasks WHERE is_run_active"
_EVENT_IDS = "SELECT task_id || '.' || version FROM task_events"


async def drained(stack: ChaosStack, witness: Witness, *, within_seconds: float) -> bool:
    """Wait until no run is active, and the witness has received every event.

    Returns:
        Whether it came to that in time, and while something still moved. If not, the checker finds what is missing.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + within_seconds
    connection = await asyncpg.connect(stack.postgres.url)
    try:
        seen, moved_at = (0, 0), clock()
        while clock() < min(deadline, moved_at + _STALLED_SECONDS):
            unfinished = await connection.fetchval(_UNFINISHED)
            if not unfinished and {row[0] for row in await connection.fetch(_EVENT_IDS)} <= witness.received:
                return True
            now_seen = (unfinished, len(witness.received))
            if now_seen != seen:
                seen, moved_at = now_seen, clock()
            await asyncio.sleep(_LOOK_SECONDS)
    finally:
        await connection.close()
    return False
