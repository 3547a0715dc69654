"""What turns cost, and whether they are fair: tasks with concurrency keys."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import asyncpg

from benchmarks.measure import Contenders, Figures, Measure, Sampler, each_alone
from benchmarks.seeding import seed_waiting_tasks
from benchmarks.stack import RunningStack, running_stack
from benchmarks.waiting import eventually

ONE_KEY = "1 key"
MANY_KEYS = "10,000 keys"
BESIDE = "beside 100,000 tasks"
ALONE = "alone"

_WAITING_TASKS = 1_000_000
_KEYS = 10_000
_WARM_UP_SECONDS = 5
_MEASURED_SECONDS = 20

_BIG_TASKS = 100_000
_BURST_TASKS = 10
_BURSTS = 20
_SLOTS = 4
_BURST = {"title": "Wait", "kind": "wait-50-ms", "process": True, "concurrency_key": "small"}

_ENDED = "SELECT finished FROM queues WHERE name = 'default'"
_GIVEN_TURNS = "SELECT EXISTS (SELECT FROM tasks WHERE status = 'completed' AND concurrency_key <> 'small')"
_LAST_END = "SELECT extract(epoch FROM max(finished_at))::float FROM tasks WHERE concurrency_key = 'small'"
_OPEN = "SELECT count(*) FROM tasks WHERE concurrency_key = 'small' AND status <> 'completed'"


def _draining(keys: int) -> Sampler:
    async def sample() -> Figures:
        async with running_stack(TASKMILL_MAX_QUEUED_TASKS=str(2 * _WAITING_TASKS)) as stack:
            await seed_waiting_tasks(stack.database_url, _WAITING_TASKS, "echo", keys=keys)
            async with _watching(stack) as connection:
                await asyncio.sleep(_WARM_UP_SECONDS)
                before, meter, began_at = await connection.fetchval(_ENDED), stack.cpu_meter(), time.monotonic()
                await asyncio.sleep(_MEASURED_SECONDS)
                used, tasks = meter.read(), await connection.fetchval(_ENDED) - before
                elapsed = time.monotonic() - began_at
        microseconds = {f"cpu_us_{name}": value / tasks * 1e6 for name, value in used.by_process.items()}
        dispatch = microseconds["cpu_us_task-store"] + microseconds["cpu_us_postgres"]
        return {"per_second": tasks / elapsed, "dispatch_cpu_us": dispatch, **microseconds}

    return sample


def _bursts(beside: int, slots: int = _SLOTS) -> Sampler:
    async def sample() -> Figures:
        async with running_stack(1, TASKMILL_APPS="benchmarks.handlers:app", TASKMILL_SLOTS=str(slots)) as stack:
            if beside:
                await seed_waiting_tasks(stack.database_url, beside, "wait-50-ms", keys=1)
            async with _watching(stack, is_awaited=bool(beside)) as connection:
                times = [await _burst(stack, connection) for _ in range(_BURSTS)]
        return {"p50_ms": statistics.median(times), "max_ms": max(times)}

    return sample


async def _burst(stack: RunningStack, connection: "asyncpg.Connection[asyncpg.Record]") -> float:
    """Post tasks of the small key, and tell after how many milliseconds the handler of the last one had ended."""

    async def none_is_open() -> bool:
        return not await connection.fetchval(_OPEN)

    with closing(stack.client()) as client:
        began_at = time.time()
        client.ask("POST", "/tasks/batch", {"tasks": [_BURST] * _BURST_TASKS})
    await eventually(none_is_open, within_seconds=60)
    elapsed = await connection.fetchval(_LAST_END) - began_at
    # So that the next burst comes to another moment of the others' tasks.
    await asyncio.sleep(0.5 + elapsed % 0.05)
    return float(elapsed) * 1000


@asynccontextmanager
async def _watching(
    stack: RunningStack, *, is_awaited: bool = True
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection, once tasks that were seeded are done: no event told the store of them."""
    connection = await asyncpg.connect(stack.database_url)
    try:
        if is_awaited:
            # As a store does that comes to lead: what it chose in the term before no longer holds, and it looks anew.
            await connection.execute("UPDATE turn_term SET number = number + 1")
            with closing(stack.client()) as client:
                client.post({"title": "First", "kind": "echo", "process": True, "concurrency_key": "small"})

            async def turns_are_given() -> bool:
                return bool(await connection.fetchval(_GIVEN_TURNS))

            await eventually(turns_are_given, within_seconds=60)
        yield connection
    finally:
        await connection.close()


def _contenders() -> Contenders:
    return {ONE_KEY: _draining(1), MANY_KEYS: _draining(_KEYS)}


MEASURES = (
    Measure(
        "turns",
        f"{_WAITING_TASKS:,} tasks that wait for their turn, of one key or of {_KEYS:,}, while one processor does "
        f"them: over {_MEASURED_SECONDS} s the CPU time of task store and PostgreSQL for each that is completed.",
        each_alone(_contenders()),
    ),
    Measure(
        "fair",
        f"{_BURST_TASKS} tasks of a key, whose handler waits 50 ms, with {_SLOTS} slots: from the POST until the last "
        f"has ended, {_BURSTS} times; alone, and while {_BIG_TASKS:,} tasks of another key of the same weight wait.",
        each_alone({ALONE: _bursts(0), BESIDE: _bursts(_BIG_TASKS)}),
    ),
)
