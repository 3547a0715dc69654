"""What the user of NATS may do who may only read, and what it may not: on the server as `taskmill up` configures it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client

from benchmarks.machine import server_directory
from taskmill.cli.embedded.nats import NatsServer
from taskmill.cli.embedded.nats_users import NatsUsers, authorization
from taskmill.contracts import registry, subjects
from taskmill.contracts.streams import events_stream, reports_stream, work_stream
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.provisioning import ensure_stream
from taskmill.runtime.settings import NatsSettings
from tests.support.actors import running
from tests.support.admission import is_let_in
from tests.support.eventually import eventually
from tests.support.paths import ROOT

EVENT = "tasks.v1.event.created.echo.01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42"
OTHER_CONSUMER = {"stream_name": "TASK_WORK", "config": {"name": "x", "ack_policy": "none"}}

FORBIDDEN_TO_PUBLISH = [
    *[command.subject for command in registry.COMMANDS if command is not registry.READ_LOG],
    *[subjects.bundle(command.subject) for command in registry.BUNDLED],
    *(EVENT, "tasks.v1.work.default.high.echo.x", "tasks.v1.report.x", "tasks.v1.ctl.relay", "tasks.v1.ctl.cancel.x"),
    *(f"$JS.API.STREAM.{verb}.TASK_EVENTS" for verb in ("CREATE", "UPDATE", "DELETE", "PURGE", "MSG.DELETE")),
    *(f"$JS.API.STREAM.{verb}.TASK_WORK" for verb in ("INFO", "MSG.GET", "PURGE", "DELETE")),
    *(f"$JS.API.CONSUMER.{verb}.TASK_WORK.x" for verb in ("CREATE", "INFO", "DELETE", "MSG.NEXT", "DURABLE.CREATE")),
    *(
        "tasks.v1.ctl.drain.x",
        "tasks.v1.ctl.paused",
        "$SRV.PING",
        "$SRV.INFO.taskmill-gateway",
        "$SRV.STATS.taskmill-task-store",
    ),
    *("$JS.API.CONSUMER.PAUSE.TASK_WORK.x", "$JS.API.CONSUMER.PAUSE.TASK_EVENTS.x"),
    *("$JS.API.DIRECT.GET.TASK_WORK", "$JS.ACK.TASK_WORK.x.1.1.1.1.1", "_INBOX.gateway.x", "anything"),
]

FORBIDDEN_TO_SUBSCRIBE = [
    ">",
    "tasks.>",
    "tasks.v1.cmd.>",
    "tasks.v1.work.>",
    "_INBOX.>",
    "_INBOX.gateway.>",
    "$JS.>",
    "$SRV.>",
]


class Reader:
    """A connection of the reader, with what the server refused it."""

    def __init__(self) -> None:
        self.client = Client()
        self.refused: list[str] = []

    async def on_error(self, error: Exception) -> None:
        """Remember what the server says."""
        # nats-py hands it on in small letters.
        self.refused.append(str(error))

    async def is_refused(self, subject: str) -> bool:
        """Whether what was sent before was refused for its subject."""
        await self.client.flush()
        await eventually(lambda: any(f'"{subject.lower()}"' in text for text in self.refused), within_seconds=5)
        return True


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Reader]:
    """A reader that is connected."""
    reader = Reader()
    await reader.client.connect(url, inbox_prefix="_INBOX.reader.test", error_cb=reader.on_error)
    try:
        yield reader
    finally:
        await reader.client.close()


@pytest_asyncio.fixture
async def reader(nats_server: NatsServer) -> AsyncIterator[Reader]:
    """The reader, on a server with the three streams and an event."""
    async with running(NatsSession(NatsSettings(nats_url=nats_server.url), client_name="store")) as session:
        for spec in (work_stream(), reports_stream(1_000_000), events_stream(1_000_000, 3_600)):
            await ensure_stream(session, spec)
        await session.client.jetstream().publish(EVENT, b"{}")
        session.subscribe(registry.READ_LOG.subject, lambda _s, reply, *_: session.publish(reply.decode(), b"a page"))
        await session.flush()
        async with connected(nats_server.reader_url) as reader:
            yield reader


async def test_the_reader_may_follow(reader: Reader) -> None:
    """Live, by an ordered consumer, and by a durable one with acks; it may look at the stream, and ask for the log."""
    client, jetstream = reader.client, reader.client.jetstream()
    live = await client.subscribe("tasks.v1.event.created.>")
    await client.flush()
    ordered = await jetstream.subscribe("tasks.v1.event.>", stream="TASK_EVENTS", ordered_consumer=True)
    durable = await jetstream.pull_subscribe("tasks.v1.event.*.echo.*", "billing", stream="TASK_EVENTS")
    [message] = await durable.fetch(1, timeout=5)
    await message.ack_sync()
    assert message.subject == (await ordered.next_msg(5)).subject == EVENT
    assert (await durable.consumer_info()).num_ack_pending == 0
    assert (await jetstream.stream_info("TASK_EVENTS")).state.messages == 1
    assert (await jetstream.get_last_msg("TASK_EVENTS", EVENT)).seq == 1
    assert (await client.request(registry.READ_LOG.subject, b"{}", timeout=5)).data == b"a page"
    assert await jetstream.delete_consumer("TASK_EVENTS", "billing")
    assert reader.refused == []
    await live.unsubscribe()


async def test_the_reader_may_publish_nothing_else(reader: Reader) -> None:
    """No command, no work, no report, no event, and nothing that changes a stream or looks into another."""
    for subject in FORBIDDEN_TO_PUBLISH:
        await reader.client.publish(subject, b"{}")
    for subject in FORBIDDEN_TO_PUBLISH:
        assert await reader.is_refused(subject)
    assert len(reader.refused) == len(FORBIDDEN_TO_PUBLISH)


async def test_the_reader_may_hear_nothing_else(reader: Reader) -> None:
    """Nobody's requests, work, reports or answers."""
    for subject in FORBIDDEN_TO_SUBSCRIBE:
        await reader.client.subscribe(subject)
        assert await reader.is_refused(subject)


async def test_a_consumer_of_another_stream_is_not_made_on_the_way(reader: Reader) -> None:
    """The subject that is allowed names the stream, and the request must name the same."""
    answer = await reader.client.request("$JS.API.CONSUMER.CREATE.TASK_EVENTS.x", json.dumps(OTHER_CONSUMER).encode())
    assert "error" in json.loads(answer.data)


async def test_a_push_consumer_cannot_give_orders(reader: Reader, nats_server: NatsServer) -> None:
    """The server delivers to a subject that the reader may not publish to, but not to JetStream or into a stream."""
    config: dict[str, Any] = {"ack_policy": "none", "deliver_policy": "all", "headers_only": True}
    targets = {"delete": "$JS.API.STREAM.DELETE.TASK_WORK", "work": "tasks.v1.work.default.high.echo.x"}
    for name, target in targets.items():
        request = {"stream_name": "TASK_EVENTS", "config": {**config, "name": name, "deliver_subject": target}}
        await reader.client.request(f"$JS.API.CONSUMER.CREATE.TASK_EVENTS.{name}", json.dumps(request).encode())
    jetstream = reader.client.jetstream()
    # One that delivers, so that the others have had their turn.
    ordered = await jetstream.subscribe("tasks.v1.event.>", stream="TASK_EVENTS", ordered_consumer=True)
    await ordered.next_msg(5)
    delivered = {name: (await jetstream.consumer_info("TASK_EVENTS", name)).delivered for name in targets}
    assert {name: state and state.consumer_seq for name, state in delivered.items()} == dict.fromkeys(targets, 0)
    connection = await nats.connect(nats_server.url)
    assert (await connection.jetstream().stream_info("TASK_WORK")).state.messages == 0
    await connection.close()


async def test_with_a_password_nobody_gets_in_without_one() -> None:
    """Neither without credentials nor with the reader's old password; the services and the reader have theirs."""
    with server_directory() as directory:
        server = NatsServer(directory / "nats", users=NatsUsers("secret-1", "secret-2"))
        await server.start()
        try:
            async with asyncio.timeout(20):
                for url, is_right in (
                    (server.url, True),
                    (server.reader_url, True),
                    (server.public_url, False),
                    (server.reader_url.replace("secret-2", "reader"), False),
                ):
                    assert await is_let_in(url) is is_right, url
        finally:
            await server.stop()
        assert (server.data_dir / "nats-server.conf").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("user", ["", "reader:reader@", "taskmill:taskmill@"])
async def test_without_a_password_everybody_gets_in(nats_server: NatsServer, user: str) -> None:
    """As before there were users, and each user can be tried out."""
    assert await is_let_in(nats_server.url.replace("//", f"//{user}"))


async def test_the_configuration_for_docker_is_valid() -> None:
    """With the passwords that docker-compose.yml hands on; it makes the same users."""
    text = (ROOT / "docker" / "nats-server.conf").read_text()
    assert authorization("$TASKMILL_NATS_PASSWORD", "$TASKMILL_NATS_READER_PASSWORD") in text
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("nats-server")), "--config", "docker/nats-server.conf", "-t"),
        cwd=ROOT,
        env={**os.environ, "TASKMILL_NATS_PASSWORD": "secret-1", "TASKMILL_NATS_READER_PASSWORD": "secret-2"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(10):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
