"""A backup of PostgreSQL is restored under a NATS, processors, gateways and subscribers that have seen more."""

import asyncio
import json
import os
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import nats
import pytest

from taskmill.cli.embedded.nats import NatsServer
from taskmill.contracts.events import EVENT_SOURCE, event_source
from taskmill.contracts.streams import (
    EPOCH_METADATA,
    EVENTS_STREAM,
    EXPECTED_LAST_SEQUENCE_HEADER,
    POSITION_HEADER,
    REPORTS_STREAM,
    SET_ASIDE_STREAM,
    WORK_STREAM,
)
from taskmill.processor.bootstrap import build_processor
from taskmill.processor.settings import ProcessorSettings
from taskmill.runtime.errors import RestartError, StartError
from taskmill.sdk import Context, TaskApp
from taskmill.sdk.subscribing import LogSetBackError, Subscriber, SubscriberSettings
from tests.support.backup import back_up, restore
from tests.support.databases import new_database
from tests.support.event_stream import streaming
from tests.support.eventually import eventually, holds
from tests.support.running_service import running_service
from tests.support.services import running_gateway
from tests.support.task_store import FORGED_HEADERS, logged, run_sql, running_store, store_client, told

SLOTS = 3
QUEUED = 3

QUICK = {"lease_seconds": 5, "reconcile_interval_seconds": 1}
"""So long a processor that says nothing is believed to work."""


class Gates:
    """Handlers that wait, each at the gate that its payload names, and say the how manieth call it was."""

    def __init__(self) -> None:
        self.app = TaskApp("gates")
        self.app.task("gated")(self._handle)
        self.calls: list[str] = []
        self.standing: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def _handle(self, name: str, _ctx: Context) -> int:
        self.calls.append(name)
        number = len(self.calls)
        await self.standing[name].wait()
        return number

    def open(self, name: str) -> None:
        """Let all go on who wait there; those who come have to wait again."""
        self.replace(name).set()

    def replace(self, name: str) -> asyncio.Event:
        """Have those who come wait elsewhere; return the gate of those who wait."""
        return self.standing.pop(name, asyncio.Event())


class World(NamedTuple):
    """All but the task stores: it goes on while they are replaced."""

    url: str
    nats_url: str
    client: httpx.AsyncClient
    gates: Gates

    async def create(self, key: str | None = None, **fields: Any) -> dict[str, Any]:
        """Create a task that is processed."""
        headers = {"Idempotency-Key": key} if key else {}
        answer = await self.client.post("/tasks", json={"title": "t", "process": True, **fields}, headers=headers)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        task: dict[str, Any] = answer.json()
        return task

    async def process(self, task: dict[str, Any]) -> None:
        """Ask for a task to be processed."""
        answer = await self.client.post(f"/tasks/{task['id']}/process")
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text

    async def running(self, count: int) -> None:
        """Return when so many tasks are in progress."""

        async def check() -> None:
            [row] = await run_sql(self.url, "SELECT count(*) FROM tasks WHERE status = 'in_progress'")
            assert row["count"] == count

        await holds(check, within_seconds=20)

    async def completed(self, *tasks: dict[str, Any]) -> list[dict[str, Any]]:
        """Let all go on who wait at the first gate, until tasks are completed; return them as they are then."""

        async def check() -> list[dict[str, Any]]:
            self.gates.open("first")
            answers = [(await self.client.get(f"/tasks/{task['id']}")).json() for task in tasks]
            assert {answer["status"] for answer in answers} == {"completed"}
            return answers

        return await holds(check, within_seconds=60)

    async def newest(self) -> int:
        """The position of the newest event."""
        return (await logged(self.url))[-1][0]


@asynccontextmanager
async def running_world(postgres_url: str, template: str, nats_server: NatsServer) -> AsyncIterator[World]:
    """Everything but task stores."""
    gates = Gates()
    settings = ProcessorSettings(nats_url=nats_server.url, slots=SLOTS)
    async with (
        new_database(postgres_url, template=template) as url,
        running_store(url, nats_server.url) as store,
        running_service(build_processor(settings, [gates.app])),
        running_gateway(nats_server.url) as client,
    ):
        store.stop()
        yield World(url, nats_server.url, client, gates)


async def epoch_of(url: str) -> int:
    """Where the log's epoch begins."""
    [row] = await run_sql(url, "SELECT coalesce(max(begin), 0) AS begin FROM log_epochs")
    return int(row["begin"])


async def test_what_was_lost_does_not_come_back(
    postgres_url: str, database_template: str, nats_server: NatsServer, tmp_path: Path
) -> None:
    """All tasks of the backup end, whatever became of them in the time that is lost; all who saw that time are told."""
    async with running_world(postgres_url, database_template, nats_server) as world:
        settings = SubscriberSettings(nats_url=nats_server.reader_url)
        async with running_store(world.url, world.nats_url, **QUICK), Subscriber(settings) as subscriber:
            done = await world.create(key="before", kind="echo", payload=1)
            await world.completed(done)
            gated = [await world.create(kind="gated", payload="first") for _ in range(SLOTS + QUEUED)]
            later = await world.create(kind="gated", payload="second", process=False)
            await world.running(SLOTS)
            await back_up(world.url, tmp_path / "backup")
            kept = await logged(world.url)
            # From here on everything is lost.
            lost = await world.create(key="after", kind="echo", payload=2)
            await world.completed(lost, *gated)
            # This one will be asked for again, under the same numbers but for the dispatch.
            await world.process(later)
            await world.running(1)
            calls, zombie_gate = len(world.gates.calls), world.gates.replace("second")
            position = await world.newest()
            async for event in subscriber.events(after=0):
                if event.position == position:
                    break
        assert position > kept[-1][0]
        await restore(world.url, tmp_path / "backup")

        async with (
            running_store(world.url, world.nats_url, **QUICK),
            running_store(world.url, world.nats_url, **QUICK),
            Subscriber(settings) as subscriber,
        ):
            epoch = await epoch_of(world.url)
            assert epoch > position
            await world.process(later)

            def check_called_again() -> None:
                world.gates.open("first")
                assert "second" in world.gates.calls[calls:]

            await holds(check_called_again, within_seconds=30)
            # The call of the time that is lost ends, and says so, before what is created next.
            zombie_gate.set()
            again = await world.create(key="after", kind="echo", payload=2)
            assert again["id"] != lost["id"]
            assert (await world.create(key="before", kind="echo", payload=1))["id"] == done["id"]
            assert (await world.client.get(f"/tasks/{lost['id']}")).status_code == httpx.codes.NOT_FOUND
            await world.completed(done, again)
            assert (await world.client.get(f"/tasks/{later['id']}")).json()["status"] == "in_progress"
            world.gates.open("second")
            ended = await world.completed(later, *gated)
            assert all(task["result"] > calls for task in ended), "a call that is lost has counted"
            assert {task["run"] for task in ended} == {1}

            events = await logged(world.url)
            assert events[: len(kept)] == kept
            assert all(place > epoch for place, _ in events[len(kept) :])
            sources = [json.loads(document)["source"] for _, document in events]
            assert sources == [EVENT_SOURCE] * len(kept) + [event_source(epoch)] * (len(events) - len(kept))
            await told_is(world.nats_url, events)
            await all_are_told(world, subscriber, position, kept[-1][0], events)
            await streams_belong_to(world.nats_url, epoch)
            assert await epoch_of(world.url) == epoch, "one of the two stores has begun another one"


async def told_is(nats_url: str, events: list[tuple[int, str]]) -> None:
    """TASK_EVENTS holds exactly the log."""
    async with store_client(nats_url) as client:
        assert told(await client.published(len(events))) == events


async def all_are_told(
    world: World, subscriber: Subscriber, position: int, kept: int, events: list[tuple[int, str]]
) -> None:
    """Who comes with a position that is lost: on NATS, by a page, and by a stream."""
    following = [event for event in events if event[0] > kept]
    with pytest.raises(LogSetBackError) as told_of:
        await anext(subscriber.events(after=position))
    assert told_of.value.resume_after == kept
    heard = []
    async for event in subscriber.events(after=kept):
        heard.append((event.position, event.document.decode()))
        if len(heard) == len(following):
            break
    assert heard == following
    page = (await world.client.get(f"/events?after={position}")).json()
    assert (page["items"], page["newest"], page["epoch"]) == ([], kept, await epoch_of(world.url))
    async with streaming(world.client, "/events", last_event_id=position) as stream:
        reset, *sent = await stream.take(1 + len(following))
    assert (reset.type, reset.id, reset.data["newest"]) == ("reset", kept, kept)
    assert [event.id for event in sent] == [place for place, _ in following]


async def streams_belong_to(nats_url: str, epoch: int) -> None:
    """Each was made for the epoch."""
    connection = await nats.connect(nats_url)
    try:
        for name in (EVENTS_STREAM, WORK_STREAM, REPORTS_STREAM):
            config = (await connection.jetstream().stream_info(name)).config
            assert (config.metadata or {})[EPOCH_METADATA] == str(epoch)
    finally:
        await connection.close()


async def say_restored(url: str) -> None:
    """Run the command by which operators say it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "taskmill.task_store", "restored"), env={**os.environ, "TASKMILL_DATABASE_URL": url}
    )
    assert await process.wait() == 0


async def restored_under_a_store(url: str, nats_url: str) -> None:
    """Have it said while a task store runs."""
    async with running_store(url, nats_url) as store:
        async with store_client(nats_url) as client:
            await client.create()
        await say_restored(url)
        await eventually(lambda: store.has_failed, within_seconds=15)


async def test_who_knows_it_says_so(database_url: str, nats_url: str) -> None:
    """Where NATS has nothing left of what was lost; a store that runs has to be started again."""
    with pytest.raises(RestartError, match="set back"):
        await restored_under_a_store(database_url, nats_url)
    epoch = await epoch_of(database_url)
    async with running_store(database_url, nats_url), store_client(nats_url) as client:
        await client.create()
        newest = (await logged(database_url))[-1]
        assert (newest[0], json.loads(newest[1])["source"]) == (epoch + 1, event_source(epoch))
        await told_is(nats_url, await logged(database_url))


async def test_an_empty_database_leaves_the_streams_of_another_alone(
    postgres_url: str, database_template: str, database_url: str, nats_url: str
) -> None:
    """A wrong setting must not cost a system its streams; if it is none, somebody says so. What is set aside stays."""
    async with running_store(database_url, nats_url), store_client(nats_url) as client:
        await client.create()
        await told_is(nats_url, await logged(database_url))
        await client.session.client.jetstream().publish("tasks.v1.set_aside.work", b"?")
        async with new_database(postgres_url, template=database_template) as url:
            with pytest.raises(StartError, match="of another database"):
                async with running_store(url, nats_url):
                    pass
            assert await epoch_of(url) == 0
            await told_is(nats_url, await logged(database_url))
            await client.create()
    async with new_database(postgres_url, template=database_template) as url:
        await say_restored(url)
        async with running_store(url, nats_url), store_client(nats_url) as client:
            created = await client.create()
            await told_is(nats_url, await logged(url))
            assert (await client.get(created["id"]))["status"] == "pending"
            await streams_belong_to(nats_url, await epoch_of(url))
            jetstream = client.session.client.jetstream()
            assert (await jetstream.get_last_msg(SET_ASIDE_STREAM, "tasks.v1.set_aside.work")).data == b"?"


async def test_a_log_that_goes_on_is_left_alone(database_url: str, nats_server: NatsServer) -> None:
    """Stores that come and go, a stream that is lost, and a NATS without its data: that is no other log."""
    for loss in ("nothing", EVENTS_STREAM, "all"):
        async with running_store(database_url, nats_server.url), store_client(nats_server.url) as client:
            await client.create()
            await told_is(nats_server.url, await logged(database_url))
            if loss == EVENTS_STREAM:
                await client.session.client.jetstream().delete_stream(EVENTS_STREAM)
        if loss == "all":
            await nats_server.stop()
            for file in sorted((nats_server.data_dir / "jetstream").rglob("*"), reverse=True):
                file.rmdir() if file.is_dir() else file.unlink()
            await nats_server.start()
    async with running_store(database_url, nats_server.url):
        assert await epoch_of(database_url) == 0


async def test_what_others_put_among_the_events_sets_no_log_back(database_url: str, nats_url: str) -> None:
    """It costs no start, no epoch and no stream; nor does it hide that the log was set back."""
    async with running_store(database_url, nats_url), store_client(nats_url) as client:
        await client.create()
        await client.create()
        await told_is(nats_url, await logged(database_url))
    async with store_client(nats_url) as client:
        for headers in FORGED_HEADERS:
            await client.put_among_events(headers)
        # One that knows its place, and is ahead of every clock.
        place = await client.count(EVENTS_STREAM)
        forged = f"NATS/1.0\r\n{POSITION_HEADER}: {2**63 - 1}\r\n{EXPECTED_LAST_SEQUENCE_HEADER}: {place}\r\n\r\n"
        await client.put_among_events(forged.encode())
        assert await client.count(EVENTS_STREAM) == place + 1
    async with running_store(database_url, nats_url):
        assert await epoch_of(database_url) == 0
    await run_sql(database_url, "DELETE FROM task_events WHERE position = (SELECT max(position) FROM task_events)")
    async with running_store(database_url, nats_url):
        assert await epoch_of(database_url) > 0


async def test_a_store_that_runs_notices_it(database_url: str, nats_url: str) -> None:
    """The primary is gone, and its replica lacks the last commits: nothing is written as if they had never been."""
    with pytest.raises(RestartError, match="set back"):
        await set_back_under_a_store(database_url, nats_url)
    async with running_store(database_url, nats_url), store_client(nats_url) as client:
        assert await epoch_of(database_url) > 0
        await client.create()
        await told_is(nats_url, await logged(database_url))


async def set_back_under_a_store(url: str, nats_url: str) -> None:
    """Take the newest task away, and cut off whoever is connected."""
    async with running_store(url, nats_url) as store, store_client(nats_url) as client:
        await client.create()
        await client.create()
        await told_is(nats_url, await logged(url))
        await run_sql(
            url,
            "DELETE FROM task_events WHERE position = (SELECT max(position) FROM task_events)",
            "DELETE FROM tasks WHERE id NOT IN (SELECT task_id FROM task_events)",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        await eventually(lambda: store.has_failed, within_seconds=15)
