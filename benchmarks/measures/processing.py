"""How fast tasks are done: from the first request until all are completed in PostgreSQL."""

import time
from typing import Any

import asyncpg

from benchmarks.measure import TASKMILL, Contenders, Figures, Measure, Sampler, both_ways, each_alone
from benchmarks.measures.creating import BATCH_CONNECTIONS, BATCH_TASKS, MANY_CONNECTIONS, TASK
from benchmarks.peers.catalogue import CELERY, PGQUEUER, PROCRASTINATE, TASKIQ
from benchmarks.peers.peer import peer_sampler
from benchmarks.stack import RunningStack, running_stack
from benchmarks.wrk import post_for

PROCESSED_TASK = {**TASK, "process": True}
TWO_PROCESSORS = "taskmill, 2 processors"

MEASURED_SECONDS = 5

_WARM_UP_SECONDS = 2
_WAITING_TASKS = 3_000
_WAITING_SLOTS = 10


async def process_for(stack: RunningStack, path: str, body: Any, *, connections: int, seconds: int) -> Figures:
    """Post for some seconds, wait until all is completed, and tell what it came to, with the CPU time of each process.

    Returns:
        `per_second` tasks, and `cpu_us_<process>`, the microseconds of CPU for each task; `cpu_us` is their sum.
    """
    before = await stack.count_tasks()
    meter, began_at = stack.cpu_meter(), time.monotonic()
    await post_for(
        stack.url + path,
        body,
        headers=stack.headers,
        connections=connections,
        seconds=seconds,
        directory=stack.directory,
    )
    await stack.all_completed()
    elapsed, used = time.monotonic() - began_at, meter.read()
    # More than wrk heard of: it ends without waiting for the last answers.
    tasks = await stack.count_tasks() - before
    microseconds = {f"cpu_us_{name}": value / tasks * 1e6 for name, value in used.by_process.items()}
    return {"per_second": tasks / elapsed, "cpu_us": sum(microseconds.values()), **microseconds}


async def process_singly(stack: RunningStack, seconds: int = MEASURED_SECONDS) -> Figures:
    """The same for single tasks on 64 connections, after a warm-up."""
    for duration in (_WARM_UP_SECONDS, seconds):
        figures = await process_for(stack, "/tasks", PROCESSED_TASK, connections=MANY_CONNECTIONS, seconds=duration)
    return figures


async def _one_by_one(operated: bool) -> Figures:
    async with running_stack(operated=operated) as stack:
        return await process_singly(stack)


async def _in_batches(operated: bool) -> Figures:
    body = {"tasks": [PROCESSED_TASK] * BATCH_TASKS}
    async with running_stack(operated=operated) as stack:
        for seconds in (_WARM_UP_SECONDS, MEASURED_SECONDS):
            figures = await process_for(stack, "/tasks/batch", body, connections=BATCH_CONNECTIONS, seconds=seconds)
        return figures


def _waiting(processors: int) -> Sampler:
    async def sample() -> Figures:
        apps, slots = "benchmarks.handlers:app", str(_WAITING_SLOTS)
        async with running_stack(processors, TASKMILL_APPS=apps, TASKMILL_SLOTS=slots) as stack:
            client = stack.client()
            batch = {"tasks": [{"title": "Wait", "kind": "wait-50-ms", "process": True}] * BATCH_TASKS}
            for _ in range(_WAITING_TASKS // BATCH_TASKS):
                client.ask("POST", "/tasks/batch", batch)
            client.close()
            await stack.all_completed()
            return {"per_second": _WAITING_TASKS / await _working_seconds(stack)}

    return sample


async def _working_seconds(stack: RunningStack) -> float:
    connection = await asyncpg.connect(stack.database_url)
    try:
        return float(
            await connection.fetchval("SELECT extract(epoch FROM max(finished_at) - min(started_at)) FROM tasks")
        )
    finally:
        await connection.close()


def _with_peers() -> Contenders:
    peers = {peer.name: peer_sampler(peer, "process") for peer in (TASKIQ, CELERY, PROCRASTINATE)}
    return {**both_ways(_one_by_one), **peers}


MEASURES = (
    Measure(
        "process-64",
        "`POST /tasks` with `process` over 64 connections, by wrk for 5 s, until PostgreSQL has nothing unfinished, "
        "which is asked every 50 ms. Peers enqueue with their own client, until all results are stored.",
        each_alone(_with_peers()),
    ),
    Measure(
        "process-batch",
        "`POST /tasks/batch` of 100 with `process` over 8 connections, by wrk for 5 s, until all are completed. "
        "pgqueuer is fed in bulk while it works.",
        each_alone({**both_ways(_in_batches), PGQUEUER.name: peer_sampler(PGQUEUER, "process")}),
    ),
    Measure(
        "two-processors",
        f"{_WAITING_TASKS:,} tasks whose handler waits 50 ms, {_WAITING_SLOTS} slots for each processor: from the "
        "first start to the last end.",
        each_alone({TASKMILL: _waiting(1), TWO_PROCESSORS: _waiting(2)}),
    ),
)
