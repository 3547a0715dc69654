"""How soon those who follow the log over SSE have an event, and what it costs to have many of them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import datetime
from urllib.parse import urlsplit

from benchmarks.client import encode_request
from benchmarks.cpu import resident_mb
from benchmarks.errors import MeasurementError
from benchmarks.measure import TASKMILL, Figures, Measure, both_ways, each_alone, latency_figures
from benchmarks.stack import RunningStack, running_stack
from benchmarks.waiting import eventually

_EVENTS = 1_000
_PAUSE_SECONDS = 0.01
_STREAMS = 1_000
_EVENTS_FOR_MANY = 20
_PAUSE_FOR_MANY_SECONDS = 0.5
_ALL_WITHIN_SECONDS = 30


async def _one_stream(operated: bool) -> Figures:
    async with running_stack(operated=operated) as stack, _following(stack, 1) as seen:
        return latency_figures(await _times_of(stack, _EVENTS, _PAUSE_SECONDS, seen, streams=1))


async def _many_streams() -> Figures:
    async with running_stack() as stack:
        before = resident_mb(stack.pids["gateway"])
        async with _following(stack, _STREAMS) as seen:
            with_streams = resident_mb(stack.pids["gateway"])
            times = await _times_of(stack, _EVENTS_FOR_MANY, _PAUSE_FOR_MANY_SECONDS, seen, streams=_STREAMS)
    return {"rss_mb": before, "rss_mb_with_streams": with_streams, **latency_figures(times)}


@asynccontextmanager
async def _following(stack: RunningStack, streams: int) -> AsyncIterator[list[float]]:
    """Follow everything on some connections; yield the times that events took, in milliseconds."""
    seen: list[float] = []
    open_streams: set[int] = set()

    async def follow(number: int) -> None:
        address = urlsplit(stack.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            headers = {"Accept": "text/event-stream", **stack.headers}
            writer.write(encode_request(address.netloc, "GET", "/events", headers=headers))
            while line := await reader.readline():
                now = time.time()
                if line.startswith(b"id: "):
                    open_streams.add(number)
                elif line.startswith(b"data: "):
                    happened_at = datetime.fromisoformat(json.loads(line[6:])["time"]).timestamp()
                    seen.append((now - happened_at) * 1000)
        finally:
            writer.close()
        raise MeasurementError("a stream ended")

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(follow(number)) for number in range(streams)]
        await eventually(lambda: len(open_streams) == streams, within_seconds=_ALL_WITHIN_SECONDS)
        yield seen
        for task in tasks:
            task.cancel()


async def _times_of(
    stack: RunningStack, events: int, pause_seconds: float, seen: list[float], *, streams: int
) -> list[float]:
    with closing(stack.client()) as client:
        for number in range(events):
            await asyncio.to_thread(client.ask, "POST", "/tasks", {"title": f"Followed {number}"})
            await asyncio.sleep(pause_seconds)
    await eventually(lambda: len(seen) == events * streams, within_seconds=_ALL_WITHIN_SECONDS)
    return seen


MEASURES = (
    Measure(
        "follow-1",
        f"{_EVENTS:,} tasks created one by one, 10 ms apart, and one client of `GET /events` over SSE: from the `time` "
        "of the event, which is written before its commit, until the client has it.",
        each_alone(both_ways(_one_stream)),
    ),
    Measure(
        "follow-1000",
        f"{_STREAMS:,} clients of `GET /events` over SSE on one gateway; {_EVENTS_FOR_MANY} events, twice a second, "
        "each to every client: the same time, the client's own for reading included; and the gateway's memory before "
        "and with them.",
        each_alone({TASKMILL: _many_streams}),
    ),
)
