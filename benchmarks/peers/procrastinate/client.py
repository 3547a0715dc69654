"""Enqueues tasks and waits until they have succeeded: `python -m client process 4000`."""

import asyncio
import json
import os
import sys
import time

import psycopg
from tasks import app, echo

PAYLOAD = {"picture": "0199a1b2-7c3d-4e5f", "width": 640, "height": 480}
WARM_UP_TASKS = 200
BATCH_TASKS = 100
POLL_SECONDS = 0.05
UNFINISHED = "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing'))"


async def process(tasks: int) -> dict[str, float]:
    """Enqueue tasks in batches, and wait until PostgreSQL has each as succeeded."""
    async with (
        app.open_async(),
        await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"], autocommit=True) as connection,
    ):
        await _enqueue_and_wait(connection, WARM_UP_TASKS)
        began_at = time.monotonic()
        await _enqueue_and_wait(connection, tasks)
        return {"per_second": tasks / (time.monotonic() - began_at)}


async def _enqueue_and_wait(connection: psycopg.AsyncConnection[tuple[bool]], tasks: int) -> None:
    for _ in range(tasks // BATCH_TASKS):
        await echo.batch_defer_async(*[{"payload": PAYLOAD}] * BATCH_TASKS)
    while True:
        row = await (await connection.execute(UNFINISHED)).fetchone()
        if row is not None and not row[0]:
            return
        await asyncio.sleep(POLL_SECONDS)


if __name__ == "__main__":
    figures = asyncio.run({"process": process}[sys.argv[1]](int(sys.argv[2])))
    sys.stdout.write(json.dumps(figures) + "\n")
