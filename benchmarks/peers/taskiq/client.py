"""Enqueues tasks and waits for their results: `python -m client process 10000`."""

import asyncio
import json
import os
import sys
import time

import uvloop
from redis.asyncio import Redis
from tasks import broker, echo

PAYLOAD = {"picture": "0199a1b2-7c3d-4e5f", "width": 640, "height": 480}
WARM_UP_TASKS = 500
AT_ONCE = 64
KEYS_AT_ONCE = 500
POLL_SECONDS = 0.05


async def process(tasks: int) -> dict[str, float]:
    """Enqueue tasks, 64 at once, and wait until Redis has the result of each."""
    await broker.startup()
    server = Redis.from_url(os.environ["REDIS_URL"])
    await _enqueue_and_wait(server, WARM_UP_TASKS)
    began_at = time.monotonic()
    await _enqueue_and_wait(server, tasks)
    seconds = time.monotonic() - began_at
    await server.aclose()
    await broker.shutdown()
    return {"per_second": tasks / seconds}


async def _enqueue_and_wait(server: Redis, tasks: int) -> None:
    numbers = iter(range(tasks))
    keys: list[str] = []

    async def enqueue() -> None:
        keys.extend([(await echo.kiq(PAYLOAD)).task_id for _ in numbers])

    await asyncio.gather(*(enqueue() for _ in range(AT_ONCE)))
    while keys:
        some = keys[-KEYS_AT_ONCE:]
        if await server.exists(*some) == len(some):
            del keys[-KEYS_AT_ONCE:]
        else:
            await asyncio.sleep(POLL_SECONDS)


if __name__ == "__main__":
    figures = uvloop.run({"process": process}[sys.argv[1]](int(sys.argv[2])))
    sys.stdout.write(json.dumps(figures) + "\n")
