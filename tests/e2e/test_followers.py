"""Many follow many tasks, over HTTP and on NATS, while gateway, store and NATS are killed.

Each gets exactly what the log has, in its order.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field

import asyncpg
import httpx
import nats

from benchmarks.machine import server_directory
from taskmill.contracts.limits import MAX_BATCH_TASKS
from taskmill.contracts.streams import EVENTS_STREAM
from taskmill.sdk.subscribing import Subscriber, SubscriberSettings
from tests.support.eventually import eventually
from tests.support.stack import TaskmillUp

TASKS = 5_000
FOLLOWERS = 50
SUBSCRIBERS = 5
KILLS = ("gateway", "task-store", "nats-server")
ROUNDS = 3
EVENTS_OF_A_TASK = 4


@dataclass
class Follower:
    """Follows everything over SSE, on a bare connection, and comes again whenever the stream ends.

    Attributes:
        port: The gateway's, or that of what stands before several.
        seen: What it got, as (position, document).
        streams: How often it came.
    """

    port: int
    # A failing look would write down all of it.
    seen: list[tuple[int, bytes]] = field(default_factory=list, repr=False)
    streams: int = 0

    async def follow(self) -> None:
        """Follow for good."""
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await self._pause()
                continue
            try:
                with suppress(OSError):
                    await self._read(reader, writer)
            finally:
                writer.close()
            await self._pause()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.streams += 1
        last = self.seen[-1][0] if self.seen else 0
        head = f"GET /events?after=0 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nLast-Event-ID: {last}\r\n\r\n"
        writer.write(head.encode())
        if b" 200 " not in await reader.readline():
            return
        position = 0
        # The empty chunk is the end of the stream; the connection would be kept for another request.
        while (line := await reader.readline()) not in (b"", b"0\r\n"):
            # Each chunk holds whole lines, so the lengths of chunks stand in lines of their own.
            if line.startswith(b"id: "):
                position = int(line[4:])
            elif line.startswith(b"data: ") and line.endswith(b"\n"):
                self.seen.append((position, line[6:-1]))

    async def _pause(self) -> None:
        # As a client does that was told `retry`.
        await asyncio.sleep(0.2)


@dataclass
class NatsFollower:
    """Follows everything on NATS, as the user who may only read.

    Attributes:
        subscriber: The SDK's.
        seen: What it got, as (position, document).
    """

    subscriber: Subscriber
    seen: list[tuple[int, bytes]] = field(default_factory=list, repr=False)

    async def follow(self) -> None:
        """Follow for good."""
        async with self.subscriber, aclosing(self.subscriber.events(after=0)) as events:
            async for event in events:
                self.seen.append((event.position, event.document))


@asynccontextmanager
async def subscribing(nats_url: str) -> AsyncIterator[list[NatsFollower]]:
    """Let some follow on NATS; whoever ends by itself fails."""
    settings = SubscriberSettings(nats_url=nats_url.replace("//", "//reader:reader@"))
    followers = [NatsFollower(Subscriber(settings, name=f"number-{number}")) for number in range(SUBSCRIBERS)]
    tasks = [asyncio.create_task(follower.follow()) for follower in followers]
    try:
        yield followers
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(end) for end in ends} == {asyncio.CancelledError}, ends


@asynccontextmanager
async def following(port: int) -> AsyncIterator[list[Follower]]:
    """Let many follow."""
    followers = [Follower(port) for _ in range(FOLLOWERS)]
    tasks = [asyncio.create_task(follower.follow()) for follower in followers]
    try:
        yield followers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_followers_get_exactly_the_log() -> None:
    """Not an event less, more, twice, or out of order, and the same bytes."""
    with server_directory() as directory:
        stack = TaskmillUp(directory / "data")
        try:
            await stack.start()
            nats_url = stack.entries()["nats-server"]["url"] or ""
            async with following(httpx.URL(stack.url).port or 0) as followers, subscribing(nats_url) as subscribers:
                await _have_tasks_done_amid_kills(stack)
                log = await _log_of_ended_tasks(stack)

                def have_all() -> bool:
                    behind = [(len(one.seen), one.streams) for one in followers if len(one.seen) < len(log)]
                    assert not behind, f"of {len(log)} events, these followers have (events, streams): {behind}"
                    missing = [len(log) - len(one.seen) for one in subscribers if len(one.seen) < len(log)]
                    assert not missing, f"so many events do these subscribers still lack: {missing}"
                    return True

                await eventually(have_all, within_seconds=60)
            all_seen = [one.seen for one in followers] + [one.seen for one in subscribers]
            for number, seen in enumerate(all_seen):
                assert [position for position, _ in seen] == [position for position, _ in log], number
                assert seen == log, number
            # That many came again, or had to read the log again, proves that the kills met them.
            assert min(follower.streams for follower in followers) > ROUNDS
            assert min(one.subscriber.log_reads for one in subscribers) > ROUNDS
        finally:
            await stack.end()


async def _have_tasks_done_amid_kills(stack: TaskmillUp) -> None:
    batches = TASKS // MAX_BATCH_TASKS
    async with httpx.AsyncClient(base_url=stack.url, trust_env=False, timeout=30) as client:
        for batch in range(batches):
            tasks = [{"title": f"{batch}", "process": True}] * MAX_BATCH_TASKS
            await eventually(lambda: _is_accepted(client, f"batch-{batch}", tasks), within_seconds=60)  # noqa: B023
            if batch < ROUNDS:
                for name in KILLS:
                    await stack.kill(name)
            elif batch == ROUNDS:
                await _delete_events(stack)


async def _is_accepted(client: httpx.AsyncClient, key: str, tasks: list[dict[str, object]]) -> bool:
    with suppress(httpx.TransportError):
        response = await client.post("/tasks/batch", json={"tasks": tasks}, headers={"Idempotency-Key": key})
        return response.status_code == 201
    return False


async def _delete_events(stack: TaskmillUp) -> None:
    connection = await nats.connect(stack.entries()["nats-server"]["url"] or "")
    assert await connection.jetstream().delete_stream(EVENTS_STREAM)
    await connection.close()


async def _log_of_ended_tasks(stack: TaskmillUp) -> list[tuple[int, bytes]]:
    connection = await asyncpg.connect(stack.entries()["postgres"]["url"])

    async def have_ended() -> bool:
        return bool(await connection.fetchval("SELECT count(*) = $1 FROM tasks WHERE status = 'completed'", TASKS))

    await eventually(have_ended, within_seconds=120)
    rows = await connection.fetch("SELECT position, document FROM task_events ORDER BY position")
    await connection.close()
    assert len(rows) >= TASKS * EVENTS_OF_A_TASK
    return [(row["position"], row["document"].encode()) for row in rows]
