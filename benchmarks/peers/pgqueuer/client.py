"""Enqueues tasks in bulk: `python -m client enqueue 100000`; `process` also waits until all are done."""

import asyncio
import json
import os
import sys
import time

import asyncpg
import uvloop
from pgqueuer.db import AsyncpgPoolDriver
from pgqueuer.queries import Queries

PAYLOAD = b'{"picture": "0199a1b2-7c3d-4e5f", "width": 640, "height": 480}'
WARM_UP_TASKS = 2_000
BATCH_TASKS = 1_000
AT_ONCE = 4
POLL_SECONDS = 0.05
UNFINISHED = "SELECT EXISTS (SELECT FROM pgqueuer)"


async def enqueue(tasks: int) -> dict[str, float]:
    """Enqueue tasks a thousand at a time, on four connections."""
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=AT_ONCE, max_size=AT_ONCE) as pool:
        await _enqueue(pool, WARM_UP_TASKS)
        began_at = time.monotonic()
        await _enqueue(pool, tasks)
        return {"per_second": tasks / (time.monotonic() - began_at)}


async def process(tasks: int) -> dict[str, float]:
    """Do the same while workers work, and wait until the queue is empty."""
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=AT_ONCE, max_size=AT_ONCE) as pool:
        await _enqueue(pool, WARM_UP_TASKS)
        await _wait_until_empty(pool)
        began_at = time.monotonic()
        await _enqueue(pool, tasks)
        await _wait_until_empty(pool)
        return {"per_second": tasks / (time.monotonic() - began_at)}


async def _enqueue(pool: "asyncpg.Pool[asyncpg.Record]", tasks: int) -> None:
    queries = Queries(AsyncpgPoolDriver(pool))
    batches = iter(range(tasks // BATCH_TASKS))

    async def enqueue_batches() -> None:
        for _ in batches:
            await queries.enqueue(["echo"] * BATCH_TASKS, [PAYLOAD] * BATCH_TASKS, [0] * BATCH_TASKS)

    await asyncio.gather(*(enqueue_batches() for _ in range(AT_ONCE)))


async def _wait_until_empty(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    while await pool.fetchval(UNFINISHED):  # noqa: ASYNC110 (nobody tells)
        await asyncio.sleep(POLL_SECONDS)


if __name__ == "__main__":
    figures = uvloop.run({"enqueue": enqueue, "process": process}[sys.argv[1]](int(sys.argv[2])))
    sys.stdout.write(json.dumps(figures) + "\n")
