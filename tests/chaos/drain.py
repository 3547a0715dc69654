"""Waits until nothing moves any more, so that what is found then is final."""

import asyncpg

from tests.chaos.stack import ChaosStack
from tests.chaos.witness import Witness
from tests.support.eventually import eventually

_UNFINISHED = "SELECT count(*) FROM tasks WHERE is_run_active"
_EVENT_IDS = "SELECT task_id || '.' || version FROM task_events"


async def drained(stack: ChaosStack, witness: Witness, *, within_seconds: float) -> bool:
    """Wait until no run is active, and the witness has received every event.

    Returns:
        Whether it came to that in time. If not, the checker finds what is missing.
    """
    connection = await asyncpg.connect(stack.postgres.url)

    async def is_quiet() -> bool:
        if await connection.fetchval(_UNFINISHED):
            return False
        return {row[0] for row in await connection.fetch(_EVENT_IDS)} <= witness.received

    try:
        await eventually(is_quiet, within_seconds=within_seconds, every_seconds=0.5)
    except AssertionError:
        return False
    finally:
        await connection.close()
    return True
