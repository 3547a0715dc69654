"""Measure a running stack: how fast it takes tasks in, and how soon a single task is done.

    make run                                     # in one terminal
    .venv/bin/python benchmarks/measure.py       # in another

Prints one line for each figure. Nothing is asserted: machines differ, and are noisy.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

import httpx

BURST_TASKS = 2_000
BURST_CONNECTIONS = 32
IDLE_TASKS = 300
UNFINISHED = ["pending", "scheduled", "queued", "in_progress", "failed"]
DEADLINE_SECONDS = 60.0
POLL_SECONDS = 0.001


async def measure_burst(client: httpx.AsyncClient) -> str:
    """Post tasks on many connections at once, and wait until all are completed."""
    label = f"burst-{time.time_ns()}"
    waiting = iter(range(BURST_TASKS))
    started = time.perf_counter()

    async def post_until_none_waits() -> None:
        for number in waiting:
            await post(client, {"title": f"Burst {number}", "payload": number, "labels": {"burst": label}})

    await asyncio.gather(*(post_until_none_waits() for _ in range(BURST_CONNECTIONS)))
    accepted = time.perf_counter() - started
    await until(lambda: all_completed(client, label))
    completed = time.perf_counter() - started
    return (
        f"{BURST_TASKS} tasks on {BURST_CONNECTIONS} connections: accepted after {accepted:.2f} s, "
        f"all completed after {completed:.2f} s ({BURST_TASKS / completed:.0f} tasks/s)"
    )


async def measure_idle(client: httpx.AsyncClient) -> str:
    """Post tasks one by one; each is over when a read sees it completed."""
    milliseconds = []
    for number in range(IDLE_TASKS):
        started = time.perf_counter()
        task_id = await post(client, {"title": f"Idle {number}"})
        await until(lambda task_id=task_id: is_completed(client, task_id))  # type: ignore[misc]
        milliseconds.append((time.perf_counter() - started) * 1000)
    p50, p99 = statistics.median(milliseconds), statistics.quantiles(milliseconds, n=100)[98]
    return f"{IDLE_TASKS} single tasks, POST to completed by polling: p50 {p50:.1f} ms, p99 {p99:.1f} ms"


async def post(client: httpx.AsyncClient, task: dict[str, object]) -> str:
    """Create a task that is processed at once; return its id."""
    response = await client.post("/tasks", json={"process": True, **task})
    response.raise_for_status()
    return str(response.json()["id"])


async def is_completed(client: httpx.AsyncClient, task_id: str) -> bool:
    """Tell whether a task is completed."""
    return bool((await client.get(f"/tasks/{task_id}")).json()["status"] == "completed")


async def all_completed(client: httpx.AsyncClient, label: str) -> bool:
    """Tell whether no task of a burst is anything but completed."""
    response = await client.get("/tasks", params={"label": f"burst:{label}", "status": UNFINISHED, "limit": 1})
    return not response.json()["items"]


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    """Poll until `check` says yes.

    Raises:
        TimeoutError: It did not within `DEADLINE_SECONDS`.
    """
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await check():  # noqa: ASYNC110 - polling is what is measured
            await asyncio.sleep(POLL_SECONDS)


async def main(url: str) -> None:
    """Print every figure."""
    limits = httpx.Limits(max_connections=BURST_CONNECTIONS)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=DEADLINE_SECONDS, trust_env=False) as client:
        print(await measure_idle(client))  # noqa: T201
        print(await measure_burst(client))  # noqa: T201


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where the gateway listens")
    asyncio.run(main(parser.parse_args().url))
