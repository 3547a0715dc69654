import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import nats
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from benchmarks.machine import server_directory
from taskmill.cli.embedded.nats import NatsServer
from taskmill.contracts.errors import BusUnavailableError, PayloadTooLargeError
from taskmill.contracts.permissions import READER
from taskmill.runtime.nats_client import RawClient
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.settings import NatsSettings
from taskmill.runtime.supervisor import RunState, Supervisor
from tests.support.actors import running
from tests.support.eventually import eventually


class Inbox:
    """Keeps what a subscription is given."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def sink(self, _subject: bytes, _reply: bytes, body: bytes, _headers: bytes | None) -> None:
        """Take in a message."""
        self.bodies.append(body)


async def test_a_plain_client_reads_what_is_published(session: NatsSession, nats_url: str) -> None:
    """Subject, reply, headers and body arrive as any NATS client expects them."""
    other = await nats.connect(nats_url)
    try:
        subscription = await other.subscribe("a.b")
        # Twice, since the PING of nats-py's flush overtakes what was not written yet.
        await other.flush()
        await other.flush()
        session.publish("a.b", "grüße".encode(), reply="r", headers={"Nats-Msg-Id": "x", "Other": "y z"})
        message = await subscription.next_msg(timeout=5)
    finally:
        await other.close()
    assert (message.subject, message.reply, message.data.decode()) == ("a.b", "r", "grüße")
    assert message.headers == {"Nats-Msg-Id": "x", "Other": "y z"}


async def test_the_client_is_a_whole_nats_py_client(session: NatsSession) -> None:
    """What the runtime does not offer can be done with nats-py itself on the same connection."""
    jetstream = session.client.jetstream()
    await jetstream.add_stream(name="S", subjects=["s"])
    await jetstream.publish("s", b"hello", headers={"A": "b"})
    subscription = await jetstream.subscribe("s", ordered_consumer=True)
    message = await subscription.next_msg(timeout=5)
    assert (message.data, message.headers["A"] if message.headers else None) == (b"hello", "b")
    await subscription.unsubscribe()


async def test_subscriptions_and_publishing_survive_a_killed_server(
    nats_server: NatsServer, own_session: NatsSession
) -> None:
    """After a kill -9 the session comes back by itself, and each subscription is there once."""
    inbox = Inbox()
    reconnects: list[bool] = []
    own_session.subscribe("a.>", inbox.sink)
    own_session.on_reconnect(lambda: reconnects.append(own_session.is_connected))
    await nats_server.kill()
    await eventually(lambda: not own_session.is_connected)
    await nats_server.start()
    await eventually(lambda: own_session.is_connected)
    own_session.publish("a.b", b"hello")
    await own_session.flush()
    assert inbox.bodies == [b"hello"]
    assert reconnects == [True]


async def test_a_session_that_is_not_awaited_starts_without_a_server() -> None:
    """It has started at once, refuses what it is given, and connects when a server comes."""
    with server_directory() as directory:
        server = NatsServer(directory / "nats")
        await server.start()
        await server.stop()
        session = NatsSession(NatsSettings(nats_url=server.url), client_name="early", is_awaited=False)
        async with running(session):
            assert not session.is_connected
            with pytest.raises(BusUnavailableError):
                session.publish("a.b", b"hello")
            await server.start()
            try:
                await eventually(lambda: session.is_connected)
            finally:
                await server.stop()


async def test_what_is_published_while_disconnected_fails_and_is_not_kept(
    nats_server: NatsServer, own_session: NatsSession
) -> None:
    """A publication fails at once, and does not turn up after the reconnect."""
    inbox = Inbox()
    own_session.subscribe("a", inbox.sink)
    await nats_server.kill()
    await eventually(lambda: not own_session.is_connected)
    began = time.monotonic()
    with pytest.raises(BusUnavailableError):
        own_session.publish("a", b"lost")
    with pytest.raises(BusUnavailableError):
        own_session.write_acks(["a"])
    with pytest.raises(BusUnavailableError):
        await own_session.flush()
    assert time.monotonic() - began < 0.5
    await nats_server.start()
    await eventually(lambda: own_session.is_connected)
    own_session.publish("a", b"kept")
    await own_session.flush()
    assert inbox.bodies == [b"kept"]


async def test_a_session_waits_for_a_server_that_comes_later(nats_server: NatsServer) -> None:
    """A server that is away at the start is waited for; the outage is logged once."""
    url = nats_server.url
    await nats_server.stop()
    session = NatsSession(NatsSettings(nats_url=url), client_name="early")
    with capture_logs() as logs:
        task = asyncio.create_task(session.run(lambda: None))
        await eventually(lambda: any(entry["event"] == "nats.unreachable" for entry in logs))
        await nats_server.start()
        await eventually(lambda: session.is_connected)
    session.stop()
    await task
    assert [entry["event"] for entry in logs].count("nats.unreachable") == 1


async def test_the_address_is_logged(nats_server: NatsServer) -> None:
    """It is told which server was found, and not with which password."""
    assert "@" in nats_server.reader_url
    # The reader may hear no other inboxes.
    session = NatsSession(
        NatsSettings(nats_url=nats_server.reader_url), client_name="logged", inbox_prefix=READER.inbox_prefix
    )
    with capture_logs() as logs:
        async with running(session):
            pass
    [connected] = [entry for entry in logs if entry["event"] == "nats.connected"]
    assert connected["address"] == f"127.0.0.1:{nats_server.port}"


async def test_stop_while_no_server_is_there(nats_server: NatsServer) -> None:
    """A session that never connected drains at once."""
    url = nats_server.url
    await nats_server.stop()
    session = NatsSession(NatsSettings(nats_url=url), client_name="early")
    task = asyncio.create_task(session.run(lambda: None))
    await asyncio.sleep(0)
    session.stop()
    async with asyncio.timeout(2):
        await task


async def test_a_dead_read_loop_is_noticed(nats_url: str) -> None:
    """nats-py goes on to say that it is connected when its read loop has died; the session connects anew."""
    async with running(quick_session(nats_url)) as session:
        first = session.client
        assert first._reading_task is not None
        first._reading_task.cancel()
        assert first.is_connected
        await eventually(lambda: session.is_connected and session.client is not first)


class CrashingSession(NatsSession):
    """Crashes once it is connected for the first time."""

    has_crashed = False

    async def _watch(self, client: RawClient) -> None:
        if not self.has_crashed:
            self.has_crashed = True
            raise ZeroDivisionError
        await super()._watch(client)


async def test_a_session_that_crashed_tells_when_it_serves_again(nats_url: str) -> None:
    """Its supervisor, and with it the health of the service, learns of every connection."""
    session = CrashingSession(NatsSettings(nats_url=nats_url), client_name="crashing")
    supervisor = Supervisor([session])
    task = asyncio.create_task(supervisor.run())
    try:
        await eventually(lambda: session.has_crashed and session.is_connected)
        await eventually(lambda: supervisor.states() == {session.name: RunState.RUNNING})
    finally:
        supervisor.stop()
        async with asyncio.timeout(5):
            await task


def quick_session(nats_url: str) -> NatsSession:
    """A session that notices a dead connection soon."""
    settings = NatsSettings(nats_url=nats_url)
    return NatsSession(settings, client_name="quick", probe_interval_seconds=0.02, probe_timeout_seconds=0.3)


async def test_a_peer_that_falls_silent_is_noticed(nats_url: str) -> None:
    """When nothing comes back any more, publishing fails at once, and then the session connects anew."""
    is_silent = asyncio.Event()
    proxy_url, proxy = await silent_proxy(nats_url, is_silent)
    async with proxy, running(quick_session(proxy_url)) as session:
        first = session.client
        is_silent.set()
        await eventually(lambda: not session.is_connected)
        with pytest.raises(BusUnavailableError):
            session.publish("a", b"")
        is_silent.clear()
        await eventually(lambda: session.is_connected and session.client is not first)


async def silent_proxy(nats_url: str, is_silent: asyncio.Event) -> tuple[str, asyncio.Server]:
    """A proxy that swallows what the server says, for as long as it is told to."""
    host, port = nats_url.removeprefix("nats://").split(":")

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool) -> None:
        while data := await reader.read(65_536):
            if not (is_answer and is_silent.is_set()):
                writer.write(data)
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        with suppress(ConnectionError):
            await asyncio.gather(copy(reader, far_writer, is_answer=False), copy(far_reader, writer, is_answer=True))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    return f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}", server


async def test_a_sink_that_raises_harms_nobody(session: NatsSession) -> None:
    """The fault is logged, and the next message arrives."""
    bodies: list[bytes] = []

    def sink(_subject: bytes, _reply: bytes, body: bytes, _headers: bytes | None) -> None:
        if body == b"bad":
            raise ZeroDivisionError
        bodies.append(body)

    session.subscribe("a", sink)
    with capture_logs() as logs:
        for body in (b"bad", b"good"):
            session.publish("a", body)
        await session.flush()
    assert bodies == [b"good"]
    assert [entry["event"] for entry in logs] == ["nats.message_dropped"]


async def test_a_message_that_is_too_large_is_refused(session: NatsSession) -> None:
    """The largest message passes; one byte more is refused here, for the server would end the connection over it."""
    inbox = Inbox()
    session.subscribe("a", inbox.sink)
    limit_bytes = 1024 * 1024
    session.publish("a", bytes(limit_bytes))
    with pytest.raises(PayloadTooLargeError):
        session.publish("a", bytes(limit_bytes + 1))
    with pytest.raises(PayloadTooLargeError):
        session.publish("a", bytes(limit_bytes - 5), headers={"A": "b"})
    await session.flush()
    assert [len(body) for body in inbox.bodies] == [limit_bytes]
    assert session.is_connected


async def test_drain_delivers_what_is_under_way(session: NatsSession) -> None:
    """What the server had sent before it knew of the end still reaches the sink; later messages do not."""
    inbox = Inbox()
    subscription = session.subscribe("a", inbox.sink)
    for _ in range(100):
        session.publish("a", b"before")
    await session.drain(subscription)
    session.publish("a", b"after")
    await session.flush()
    assert inbox.bodies == [b"before"] * 100


@pytest.mark.parametrize(("subject", "queue"), [("", ""), ("a b", ""), ("a\r\nPUB", ""), ("a", "b c")])
async def test_a_subscription_cannot_smuggle_in_a_command(session: NatsSession, subject: str, queue: str) -> None:
    """A wrong subject is refused when it is given, and leaves nothing behind."""
    before = len(session._subscriptions)
    with pytest.raises(ValueError, match="not a NATS subject"):
        session.subscribe(subject, Inbox().sink, queue=queue)
    assert len(session._subscriptions) == before


async def test_unsubscribe_ends_at_once(session: NatsSession) -> None:
    """Nothing reaches the sink any more; doing it twice is no fault."""
    inbox = Inbox()
    subscription = session.subscribe("a", inbox.sink)
    session.publish("a", b"under way")
    session.unsubscribe(subscription)
    session.unsubscribe(subscription)
    await session.flush()
    assert inbox.bodies == []


class GuardedNatsServer(NatsServer):
    """A server whose only user may subscribe to inboxes of its own, and publish to `allowed`."""

    def _command(self, port: int) -> Sequence[str]:
        command = super()._command(port)
        permissions = '{ publish: ["allowed"], subscribe: ["_INBOX.limited.>"] }'
        configuration = self.data_dir / "nats-server.conf"
        text = configuration.read_text().partition("authorization")[0]
        users = f"authorization {{ users: [{{ user: u, password: p, permissions: {permissions} }}] }}"
        configuration.write_text(text + users)
        return command


@pytest_asyncio.fixture
async def guarded_server() -> AsyncIterator[NatsServer]:
    """A server with permissions."""
    with server_directory() as directory:
        server = GuardedNatsServer(directory)
        await server.start()
        yield server
        await server.stop()


async def test_permission_violations_are_logged(guarded_server: NatsServer) -> None:
    """The server's refusal arrives apart from the call that caused it, and must not be lost; inboxes are its own."""
    url = guarded_server.url.replace("//", "//u:p@")
    with capture_logs() as logs:
        async with running(NatsSession(NatsSettings(nats_url=url), client_name="limited")) as session:
            session.publish("forbidden", b"")
            await session.flush()
            assert session.is_connected
    errors = [str(entry["error"]) for entry in logs if entry["event"] == "nats.permission_violation"]
    assert len(errors) == session.permission_violations == 1
    assert "forbidden" in errors[0]


class CountingSession(NatsSession):
    """Counts its attempts to connect."""

    attempts = 0

    async def _open(self, client: RawClient) -> bool:
        self.attempts += 1
        return await super()._open(client)


async def test_a_wrong_password_is_logged_and_tried_again(guarded_server: NatsServer) -> None:
    """A session that is refused stays, says so once each time without the password, and drains when told."""
    settings = NatsSettings(nats_url=guarded_server.url.replace("//", "//u:wr0ng@"))
    session = CountingSession(settings, client_name="limited")
    with capture_logs() as logs:
        task = asyncio.create_task(session.run(lambda: None))
        await eventually(lambda: session.attempts >= 3)
        assert not session.is_connected
        assert session.is_refused
        session.stop()
        async with asyncio.timeout(5):
            await task
    errors = [entry for entry in logs if entry["event"] == "nats.error"]
    assert 2 <= len(errors) <= session.attempts
    assert "wr0ng" not in str(logs)
