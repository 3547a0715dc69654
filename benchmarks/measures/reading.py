"""How fast tasks are found among many."""

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from urllib.parse import quote, urlsplit

import asyncpg

from benchmarks.client import Client, encode_request
from benchmarks.errors import MeasurementError
from benchmarks.measure import Contenders, Figures, Measure
from benchmarks.seeding import RARE_WORD, seed_tasks
from benchmarks.stack import RunningStack, running_stack
from taskmill.task_store.domain.cursors import ListPosition, list_cursor

FEW, MANY = "10,000 tasks", "1,000,000 tasks"

_READS = 300
_WARM_UP_READS = 50
_SIZES = {FEW: 10_000, MANY: 1_000_000}
_SEED = 1
# Two letters have no trigram, so nothing but reading every title finds out that none has them.
_HOPELESS = "/tasks?title=qq"


@asynccontextmanager
async def _seeded_stacks() -> AsyncIterator[Contenders]:
    async with running_stack() as few, running_stack() as many:
        samplers = {}
        for name, stack in ((FEW, few), (MANY, many)):
            await seed_tasks(stack.database_url, _SIZES[name])
            paths = await _paths(stack, _SIZES[name])
            samplers[name] = partial(asyncio.to_thread, _read, stack, paths)
        yield samplers


async def _paths(stack: RunningStack, tasks: int) -> dict[str, Sequence[str]]:
    """What is read for each figure, again and again in this order."""
    connection = await asyncpg.connect(stack.database_url)
    try:
        rows = await connection.fetch("SELECT id FROM tasks ORDER BY created_at LIMIT 100000")
        middle = await connection.fetchrow(
            "SELECT created_at, id FROM tasks ORDER BY created_at DESC, id DESC OFFSET $1 LIMIT 1", tasks // 2
        )
    finally:
        await connection.close()
    if middle is None:
        raise MeasurementError("there are no tasks to read")
    cursor = list_cursor(ListPosition(middle["created_at"], middle["id"]))
    return {
        "get": [f"/tasks/{row['id']}" for row in random.Random(_SEED).sample(rows, _READS)],
        "first_page": ["/tasks"],
        "deep_page": [f"/tasks?cursor={quote(cursor)}"],
        "search": [f"/tasks?title={RARE_WORD[:3]}", f"/tasks?title={RARE_WORD}"],
    }


def _read(stack: RunningStack, paths: dict[str, Sequence[str]]) -> Figures:
    with closing(stack.client()) as client:
        figures = {f"{name}_p50_ms": _median_ms(client, stack, among) for name, among in paths.items()}
        began_at = time.monotonic()
        status, _ = client.exchange(_encode_get(stack, _HOPELESS))
        return {**figures, "hopeless_search_ms": (time.monotonic() - began_at) * 1000, "hopeless_search_status": status}


def _encode_get(stack: RunningStack, path: str) -> bytes:
    return encode_request(urlsplit(stack.url).netloc, "GET", path, headers=stack.headers)


def _median_ms(client: Client, stack: RunningStack, paths: Sequence[str]) -> float:
    requests = [_encode_get(stack, path) for path in paths]
    milliseconds = []
    for number in range(_WARM_UP_READS + _READS):
        began_at = time.monotonic()
        status, body = client.exchange(requests[number % len(requests)])
        milliseconds.append((time.monotonic() - began_at) * 1000)
        if status != 200:
            raise MeasurementError(f"a read was refused: {status} {body[:500]!r}")
    return statistics.median(milliseconds[_WARM_UP_READS:])


MEASURES = (
    Measure(
        "reads",
        f"{_READS} requests one by one, each: a task by its id, the first page of 50, the page behind a cursor in the "
        f"middle, and a search in titles that 800 of a million have. Then one for two letters that no title has.",
        _seeded_stacks,
    ),
)
