"""How fast tasks are taken in: each is committed in PostgreSQL before its answer."""

from collections.abc import Mapping
from typing import Any

from benchmarks.limits.endpoint import running_endpoint
from benchmarks.machine import server_directory
from benchmarks.measure import FASTAPI, STARLETTE, Contenders, Figures, Measure, Sampler, both_ways, each_alone
from benchmarks.peers.catalogue import PGQUEUER
from benchmarks.peers.peer import peer_sampler
from benchmarks.stack import running_stack
from benchmarks.wrk import post_for

TASK = {"title": "Resize the picture", "payload": {"picture": "0199a1b2-7c3d-4e5f", "width": 640, "height": 480}}
BATCH_TASKS = 100
BATCH_CONNECTIONS = 8
MANY_CONNECTIONS = 64

_WARM_UP_SECONDS = 2
_SECONDS = 5


async def _posted(url: str, body: Any, connections: int, headers: Mapping[str, str]) -> Figures:
    with server_directory() as directory:
        for seconds in (_WARM_UP_SECONDS, _SECONDS):
            seen = await post_for(
                url, body, headers=headers, connections=connections, seconds=seconds, directory=directory
            )
    return {"per_second": seen.per_second, "p50_ms": seen.p50_ms, "p99_ms": seen.p99_ms}


def _taskmill(connections: int) -> Contenders:
    async def sample(operated: bool) -> Figures:
        async with running_stack(operated=operated) as stack:
            return await _posted(f"{stack.url}/tasks", TASK, connections, stack.headers)

    return both_ways(sample)


def _endpoint(module: str, connections: int) -> Sampler:
    async def sample() -> Figures:
        async with running_endpoint(module) as url:
            return await _posted(url, TASK, connections, {})

    return sample


async def _taskmill_batches(operated: bool) -> Figures:
    async with running_stack(operated=operated) as stack:
        body = {"tasks": [TASK] * BATCH_TASKS}
        seen = await _posted(f"{stack.url}/tasks/batch", body, BATCH_CONNECTIONS, stack.headers)
        return {**seen, "per_second": seen["per_second"] * BATCH_TASKS}


MEASURES = (
    Measure(
        "create-64",
        "`POST /tasks` over 64 connections, by wrk for 5 s; the empty endpoints get the same requests.",
        each_alone(
            {
                FASTAPI: _endpoint("fastapi_app", MANY_CONNECTIONS),
                **_taskmill(MANY_CONNECTIONS),
                STARLETTE: _endpoint("starlette_app", MANY_CONNECTIONS),
            }
        ),
    ),
    Measure(
        "create-1",
        "The same over one connection: the next request when the last is answered.",
        each_alone({FASTAPI: _endpoint("fastapi_app", 1), **_taskmill(1)}),
    ),
    Measure(
        "batch",
        "`POST /tasks/batch` of 100 over 8 connections, by wrk for 5 s, in tasks; pgqueuer enqueues in bulk.",
        each_alone({PGQUEUER.name: peer_sampler(PGQUEUER, "enqueue"), **both_ways(_taskmill_batches)}),
    ),
)
