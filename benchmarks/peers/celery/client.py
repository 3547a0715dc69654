"""Enqueues tasks and waits for their results: `python -m client process 4000` or `python -m client latency 300`."""

import json
import os
import statistics
import sys
import time

import redis
from tasks import app, echo

PAYLOAD = {"picture": "0199a1b2-7c3d-4e5f", "width": 640, "height": 480}
WARM_UP_TASKS = 200
KEYS_AT_ONCE = 500
POLL_SECONDS = 0.05
IDLE_POLL_SECONDS = 0.001
PAUSE_SECONDS = 0.02


def process(tasks: int) -> dict[str, float]:
    """Enqueue tasks one after the other with one producer, and wait until Redis has the result of each."""
    server = redis.Redis.from_url(os.environ["REDIS_URL"])
    _enqueue_and_wait(server, WARM_UP_TASKS)
    began_at = time.monotonic()
    _enqueue_and_wait(server, tasks)
    return {"per_second": tasks / (time.monotonic() - began_at)}


def latency(tasks: int) -> dict[str, float]:
    """One task after the other: until its state, asked every millisecond, is that of success."""
    milliseconds = []
    for _ in range(WARM_UP_TASKS + tasks):
        began_at = time.monotonic()
        result = echo.delay(PAYLOAD)
        while not result.ready():
            time.sleep(IDLE_POLL_SECONDS)
        milliseconds.append((time.monotonic() - began_at) * 1000)
        time.sleep(PAUSE_SECONDS)
    times = milliseconds[WARM_UP_TASKS:]
    return {"p50_ms": statistics.median(times), "p99_ms": statistics.quantiles(times, n=100, method="inclusive")[98]}


def _enqueue_and_wait(server: redis.Redis, tasks: int) -> None:
    with app.producer_pool.acquire(block=True) as producer:
        keys = [app.backend.get_key_for_task(echo.apply_async((PAYLOAD,), producer=producer).id) for _ in range(tasks)]
    # From the last on: when those are there, nearly all are, and each is asked for once.
    while keys:
        some = keys[-KEYS_AT_ONCE:]
        if server.exists(*some) == len(some):
            del keys[-KEYS_AT_ONCE:]
        else:
            time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    figures = {"process": process, "latency": latency}[sys.argv[1]](int(sys.argv[2]))
    sys.stdout.write(json.dumps(figures) + "\n")
