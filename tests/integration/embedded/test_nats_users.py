"""What each user of NATS may do, and what it may not: on real servers, as `taskmill up` and Docker configure them."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import nats
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from benchmarks.machine import server_directory
from taskmill.cli.embedded.nats import NatsServer
from taskmill.cli.embedded.nats_keys import new_seed
from taskmill.cli.embedded.nats_users import NatsUsers, authorization, with_password
from taskmill.cli.main import app
from taskmill.contracts import permissions, registry, subjects
from taskmill.contracts.permissions import GATEWAY, OPERATOR, PROCESSOR, READER, TASK_STORE, NatsUser
from taskmill.contracts.streams import events_stream, reports_consumer, reports_stream, set_aside_stream, work_stream
from taskmill.runtime.nats_client import RawClient
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.provisioning import ensure_consumer, ensure_stream
from taskmill.runtime.settings import NatsSettings
from tests.support.actors import running
from tests.support.admission import is_let_in
from tests.support.eventually import eventually
from tests.support.nats_keys import seed_of, violations
from tests.support.paths import ROOT
from tests.support.servers import running_nats

# One server for the module: each test has connections of its own.
pytestmark = pytest.mark.asyncio(loop_scope="module")

EVENT = "tasks.v1.event.created.echo.01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42"
WORK = "tasks.v1.work.default.high.echo.01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42"
OTHER_CONSUMER = {"stream_name": "TASK_WORK", "config": {"name": "x", "ack_policy": "none"}}

_STREAMS = ("TASK_WORK", "TASK_REPORTS", "TASK_EVENTS")
_CHANGES = [
    f"$JS.API.STREAM.{verb}.{stream}"
    for stream in _STREAMS
    for verb in ("CREATE", "UPDATE", "DELETE", "PURGE", "MSG.DELETE")
]
_LOOKS = [f"$JS.API.STREAM.{verb}.{stream}" for stream in _STREAMS for verb in ("INFO", "MSG.GET")]
_CONSUMERS = [
    f"$JS.API.CONSUMER.{verb}.{stream}.x"
    for stream in _STREAMS
    for verb in ("CREATE", "INFO", "DELETE", "MSG.NEXT", "DURABLE.CREATE", "PAUSE")
]
_DIRECT_GETS = [f"$JS.API.DIRECT.GET.{stream}" for stream in _STREAMS]
_ACKS = [f"$JS.ACK.{stream}.x.1.1.1.1.1" for stream in _STREAMS]
_JETSTREAM = [*_CHANGES, *_LOOKS, *_CONSUMERS, *_DIRECT_GETS, *_ACKS, "$JS.API.INFO", "$JS.API.STREAM.LIST"]
_COMMANDS = [command.subject for command in registry.COMMANDS]
_BUNDLES = [subjects.bundle(command.subject) for command in registry.BUNDLED]
_ORDERS = ["tasks.v1.ctl.relay", "tasks.v1.ctl.cancel.x", "tasks.v1.ctl.drain.x", "tasks.v1.ctl.paused"]
_DISCOVERY = ["$SRV.PING", "$SRV.INFO.taskmill-gateway", "$SRV.STATS.taskmill-task-store"]
_OF_THE_STORE = [EVENT, WORK, *_ORDERS, "tasks.v1.replay.x", "tasks.v1.placeholder.work", "tasks.v1.set_aside.reports"]
_INBOXES = [f"{user.inbox_prefix}.x" for user in permissions.USERS]


def _without(listed: list[str], *allowed: str) -> list[str]:
    return [subject for subject in listed if subject not in allowed]


class Rights(NamedTuple):
    """Some of what a user may do, and some of what it may not."""

    may_publish: list[str]
    may_hear: list[str]
    may_not_publish: list[str]
    may_not_hear: list[str]


_FOREIGN_INBOXES = [user.inboxes for user in permissions.USERS] + ["_INBOX.>", "_INBOX.*", "_INBOX.gateway.>"]
_EAVESDROPPING = [">", "*", "tasks.>", "tasks.v1.>", "tasks.v1.*.>", "$JS.>", "$SRV.>", "$SYS.>", "$JS.EVENT.>"]

RIGHTS: dict[str, Rights] = {
    GATEWAY.name: Rights(
        may_publish=[
            *("tasks.v1.cmd.create", "tasks.v1.cmd.create.bundle", "tasks.v1.cmd.create_many", "tasks.v1.cmd.get"),
            *("tasks.v1.cmd.delete", "tasks.v1.cmd.start_bulk", "tasks.v1.cmd.read_log", "tasks.v1.cmd.pause_queue"),
            *("tasks.v1.cmd.create_webhook", "tasks.v1.cmd.health", "_INBOX.cli.x", "_INBOX_operator.x"),
        ],
        may_hear=[
            *("tasks.v1.event.>", "tasks.v1.event.completed.>", "_INBOX_gateway.>", "_INBOX_gateway.x.*"),
            *("$SRV.PING", "$SRV.STATS.taskmill-gateway", "$SRV.INFO.taskmill-gateway.x"),
        ],
        may_not_publish=[
            *(command.subject for command in permissions.PROCESSOR_COMMANDS),
            *(*_JETSTREAM, *_OF_THE_STORE, "tasks.v1.report.x", *_DISCOVERY, "anything"),
            *_without(_INBOXES, "_INBOX_operator.x", "_INBOX.reader.x"),
        ],
        may_not_hear=[
            *("tasks.v1.cmd.>", "tasks.v1.cmd.create", "tasks.v1.work.>", "tasks.v1.report.>", "tasks.v1.ctl.>"),
            *("tasks.v1.replay.x", "$SRV.PING.taskmill-processor", *_EAVESDROPPING),
            *_without(_FOREIGN_INBOXES, GATEWAY.inboxes),
        ],
    ),
    TASK_STORE.name: Rights(
        may_publish=[
            *(EVENT, WORK, "tasks.v1.ctl.cancel.x", "tasks.v1.ctl.paused", "tasks.v1.replay.x"),
            *("tasks.v1.placeholder.work", "tasks.v1.set_aside.reports", "_INBOX_gateway.x", "_INBOX_processor.x"),
            *("_INBOX.reader.x.y", "$JS.API.STREAM.INFO.TASK_WORK", "$JS.API.STREAM.PURGE.TASK_WORK"),
            *("$JS.API.CONSUMER.CREATE.TASK_WORK.work-x-high", "$JS.API.CONSUMER.LIST.TASK_WORK"),
            *("$JS.API.CONSUMER.MSG.NEXT.TASK_REPORTS.reports", "$JS.ACK.TASK_REPORTS.reports.1.1.1.1.1"),
        ],
        may_hear=[
            "tasks.v1.cmd.>",
            "tasks.v1.cmd.create.bundle",
            "tasks.v1.ctl.relay",
            "_INBOX_task-store.>",
            "$SRV.PING",
        ],
        may_not_publish=[
            *(*_COMMANDS, *_BUNDLES, "tasks.v1.report.x", "tasks.v1.set_aside.work", *_DISCOVERY, "anything"),
            *(
                "$JS.API.STREAM.CREATE.OTHER",
                "$JS.API.STREAM.DELETE.OTHER",
                "$JS.API.STREAM.INFO.OTHER",
                "$JS.API.INFO",
            ),
            *("$JS.API.CONSUMER.MSG.NEXT.TASK_WORK.x", "$JS.ACK.TASK_WORK.x.1.1.1.1.1", "_INBOX_task-store.x"),
            "$JS.API.ACCOUNT.PURGE.x",
        ],
        may_not_hear=[
            *(
                "tasks.v1.work.>",
                "tasks.v1.report.>",
                "tasks.v1.event.>",
                "tasks.v1.ctl.cancel.*",
                "$SRV.PING.taskmill-gateway",
            ),
            *(*_EAVESDROPPING, *_without(_FOREIGN_INBOXES, TASK_STORE.inboxes)),
        ],
    ),
    PROCESSOR.name: Rights(
        may_publish=[
            *(
                "tasks.v1.report.x",
                "tasks.v1.set_aside.work",
                "tasks.v1.cmd.get_checkpoint",
                "tasks.v1.cmd.prepare_delivery",
            ),
            *("tasks.v1.cmd.switch_off_webhook", "$JS.API.CONSUMER.MSG.NEXT.TASK_WORK.work-default-high"),
            *("$JS.ACK.TASK_WORK.work-default-high.1.1.1.1.1", "_INBOX_task-store.x", "_INBOX_operator.x", "_INBOX.x"),
        ],
        may_hear=[
            *("tasks.v1.ctl.cancel.*", "tasks.v1.ctl.drain.x", "tasks.v1.ctl.paused", "_INBOX_processor.>"),
            *("$SRV.PING", "$SRV.INFO.taskmill-processor"),
        ],
        may_not_publish=[
            *_without(_COMMANDS, *(command.subject for command in permissions.PROCESSOR_COMMANDS)),
            *(*_BUNDLES, *_OF_THE_STORE, *_DISCOVERY, "anything", "_INBOX_gateway.x", "_INBOX_processor.x"),
            *_without(_JETSTREAM, "$JS.API.CONSUMER.MSG.NEXT.TASK_WORK.x", "$JS.ACK.TASK_WORK.x.1.1.1.1.1"),
        ],
        may_not_hear=[
            *("tasks.v1.cmd.>", "tasks.v1.work.>", "tasks.v1.report.>", "tasks.v1.event.>", "tasks.v1.ctl.relay"),
            *("$SRV.PING.taskmill-task-store", *_EAVESDROPPING, *_without(_FOREIGN_INBOXES, PROCESSOR.inboxes)),
        ],
    ),
    OPERATOR.name: Rights(
        may_publish=[
            *(*_DISCOVERY, "tasks.v1.cmd.health", "tasks.v1.cmd.read_log", "$JS.API.INFO", "$JS.API.STREAM.LIST"),
            *("$JS.API.STREAM.INFO.TASK_WORK", "$JS.API.CONSUMER.LIST.TASK_WORK", "$JS.API.CONSUMER.INFO.TASK_WORK.x"),
            *("$JS.API.STREAM.MSG.GET.TASK_SET_ASIDE", "$JS.API.STREAM.PURGE.TASK_SET_ASIDE"),
        ],
        may_hear=["tasks.v1.event.>", "tasks.v1.replay.x", "_INBOX_operator.>"],
        may_not_publish=[
            *_without(_COMMANDS, "tasks.v1.cmd.health", "tasks.v1.cmd.read_log"),
            *(*_BUNDLES, *_OF_THE_STORE, "tasks.v1.report.x", "_INBOX_gateway.x", "_INBOX.x", "anything"),
            *(*_CHANGES, *_DIRECT_GETS, *_ACKS, "$JS.API.STREAM.MSG.GET.TASK_REPORTS"),
            *_without(_CONSUMERS, *(f"$JS.API.CONSUMER.INFO.{stream}.x" for stream in _STREAMS)),
        ],
        may_not_hear=[
            *("tasks.v1.cmd.>", "tasks.v1.work.>", "tasks.v1.report.>", "tasks.v1.ctl.>", "$SRV.PING"),
            *(*_EAVESDROPPING, *_without(_FOREIGN_INBOXES, OPERATOR.inboxes)),
        ],
    ),
    READER.name: Rights(
        may_publish=[
            *("tasks.v1.cmd.read_log", "$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.INFO.TASK_EVENTS"),
            *("$JS.API.STREAM.MSG.GET.TASK_EVENTS", "$JS.API.DIRECT.GET.TASK_EVENTS"),
            *("$JS.API.CONSUMER.CREATE.TASK_EVENTS.x", "$JS.API.CONSUMER.DURABLE.CREATE.TASK_EVENTS.x"),
            *("$JS.API.CONSUMER.INFO.TASK_EVENTS.x", "$JS.API.CONSUMER.DELETE.TASK_EVENTS.x"),
            *("$JS.API.CONSUMER.MSG.NEXT.TASK_EVENTS.x", "$JS.ACK.TASK_EVENTS.x.1.1.1.1.1"),
        ],
        may_hear=["tasks.v1.event.>", "tasks.v1.event.*.echo.*", "tasks.v1.replay.x", "_INBOX.reader.>"],
        may_not_publish=[
            *_without(_COMMANDS, "tasks.v1.cmd.read_log"),
            *(*_BUNDLES, *_OF_THE_STORE, "tasks.v1.report.x", *_DISCOVERY, *_CHANGES, "_INBOX.gateway.x", "anything"),
            *(subject for subject in (*_LOOKS, *_CONSUMERS, *_DIRECT_GETS, *_ACKS) if "TASK_EVENTS" not in subject),
            "$JS.API.CONSUMER.PAUSE.TASK_EVENTS.x",
        ],
        may_not_hear=[
            *("tasks.v1.cmd.>", "tasks.v1.work.>", "tasks.v1.report.>", "tasks.v1.ctl.>", "$SRV.PING"),
            *(*_EAVESDROPPING, *_without(_FOREIGN_INBOXES, READER.inboxes)),
        ],
    ),
}


class Guest:
    """A connection of a user, with what the server refused it."""

    def __init__(self) -> None:
        self.client = RawClient()
        self.refused: list[str] = []

    async def on_error(self, error: Exception) -> None:
        """Remember what the server says."""
        self.refused.append(str(error))

    async def refused_subjects(self) -> set[str]:
        """Every subject so far that was refused, once the server has read all that was sent."""
        # What it says comes before the answer to this. (The PING of `flush` overtakes what is written.)
        assert await self.client.round_trip(10)
        return {text.split('"')[1] for text in self.refused}


@asynccontextmanager
async def connected(url: str, user: NatsUser = READER, *, seed: str | None = None) -> AsyncIterator[Guest]:
    """A user who is connected."""
    guest = Guest()
    inbox_prefix = f"{user.inbox_prefix}.test"
    await guest.client.open([url], name="guest", inbox_prefix=inbox_prefix, on_error=guest.on_error, seed=seed)
    try:
        yield guest
    finally:
        await guest.client.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[NatsServer]:
    """A server with the streams, an event, and somebody who answers for the log."""
    async with (
        running_nats(may_violate=True) as server,
        running(NatsSession(NatsSettings(nats_url=server.url), client_name="store")) as session,
    ):
        for spec in (work_stream(), reports_stream(1_000_000), events_stream(1_000_000, 3_600), set_aside_stream()):
            await ensure_stream(session, spec)
        await ensure_consumer(session, reports_consumer())
        await session.client.jetstream().publish(EVENT, b"{}")
        session.subscribe(registry.READ_LOG.subject, lambda _s, reply, *_: session.publish(reply.decode(), b"a page"))
        await session.flush()
        yield server


@asynccontextmanager
async def _guest(server: NatsServer, name: str) -> AsyncIterator[Guest]:
    user = next(user for user in permissions.USERS if user.name == name)
    if user is READER:
        async with connected(server.reader_url) as guest:
            yield guest
    else:
        seed = seed_of(user).get_secret_value()
        async with connected(server.public_url, user, seed=seed) as guest:
            yield guest


@pytest.mark.parametrize("name", RIGHTS)
async def test_a_user_may(server: NatsServer, name: str) -> None:
    """It may publish to its subjects and subscribe to them; the server refuses none."""
    rights = RIGHTS[name]
    assert len(rights.may_publish) + len(rights.may_hear) >= 11
    async with _guest(server, name) as guest:
        for subject in rights.may_publish:
            # With headers that no stream takes, and no body that JetStream could act upon.
            await guest.client.publish(subject, b"{", headers={"Nats-Expected-Stream": "none"})
        for subject in rights.may_hear:
            await guest.client.subscribe(subject)
        assert await guest.refused_subjects() == set()


@pytest.mark.parametrize("name", RIGHTS)
async def test_a_user_may_not(server: NatsServer, name: str) -> None:
    """Each subject that is none of its own is refused, and the connection lives on."""
    rights = RIGHTS[name]
    assert len(rights.may_not_publish) + len(rights.may_not_hear) >= 11
    async with _guest(server, name) as guest:
        for subject in rights.may_not_publish:
            await guest.client.publish(subject, b"{}")
        # nats-py hands it on in small letters.
        assert await guest.refused_subjects() == {subject.lower() for subject in rights.may_not_publish}
        guest.refused.clear()
        for subject in rights.may_not_hear:
            await guest.client.subscribe(subject)
        assert await guest.refused_subjects() == {subject.lower() for subject in rights.may_not_hear}
        assert guest.client.is_connected


async def test_every_command_has_a_caller() -> None:
    """What nobody may ask would not be there."""
    asked = {subject for user in (GATEWAY, PROCESSOR) for subject in user.publishes}
    assert {*_COMMANDS, *_BUNDLES} <= asked


async def test_the_reader_may_follow(server: NatsServer) -> None:
    """Live, by an ordered consumer, and by a durable one with acks; it may look at the stream, and ask for the log."""
    async with connected(server.reader_url) as reader:
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


async def test_a_consumer_of_another_stream_is_not_made_on_the_way(server: NatsServer) -> None:
    """The subject that is allowed names the stream, and the request must name the same."""
    async with connected(server.reader_url) as reader:
        answer = await reader.client.request(
            "$JS.API.CONSUMER.CREATE.TASK_EVENTS.x", json.dumps(OTHER_CONSUMER).encode()
        )
        assert "error" in json.loads(answer.data)


async def test_a_push_consumer_cannot_give_orders(server: NatsServer) -> None:
    """The server delivers to a subject that the reader may not publish to, but not to JetStream or into a stream."""
    config: dict[str, Any] = {"ack_policy": "none", "deliver_policy": "all", "headers_only": True}
    targets = {"delete": "$JS.API.STREAM.DELETE.TASK_WORK", "work": WORK}
    async with connected(server.reader_url) as reader:
        for name, target in targets.items():
            request = {"stream_name": "TASK_EVENTS", "config": {**config, "name": name, "deliver_subject": target}}
            await reader.client.request(f"$JS.API.CONSUMER.CREATE.TASK_EVENTS.{name}", json.dumps(request).encode())
        jetstream = reader.client.jetstream()
        # One that delivers, so that the others have had their turn.
        ordered = await jetstream.subscribe("tasks.v1.event.>", stream="TASK_EVENTS", ordered_consumer=True)
        await ordered.next_msg(5)
        delivered = {name: (await jetstream.consumer_info("TASK_EVENTS", name)).delivered for name in targets}
    assert {name: state and state.consumer_seq for name, state in delivered.items()} == dict.fromkeys(targets, 0)
    connection = await nats.connect(server.url)
    assert (await connection.jetstream().stream_info("TASK_WORK")).state.messages == 0
    await connection.close()


async def test_a_session_counts_what_is_refused(server: NatsServer) -> None:
    """The one who is refused hears of it only beside the request, which waits in vain; the server says it, too."""
    settings = NatsSettings(nats_url=server.public_url, nats_nkey_seed=seed_of(PROCESSOR))
    told = len(violations(server.log_file))
    async with running(NatsSession(settings, client_name="p", inbox_prefix=PROCESSOR.inbox_prefix)) as session:
        session.publish(registry.DELETE.subject, b"{}")
        session.subscribe(">", lambda *_: None)
        await session.flush()
        await eventually(lambda: session.permission_violations == 2)
        await session.flush()
        assert session.is_connected
    assert len(violations(server.log_file)) == told + 2


@contextmanager
def _passwords() -> Iterator[NatsServer]:
    with server_directory() as directory:
        yield NatsServer(directory / "nats", users=NatsUsers("secret-1", "secret-2"))


async def test_with_a_password_nobody_gets_in_without_one() -> None:
    """Neither without credentials nor with a key or password of another server; the services and the reader do."""
    with _passwords() as server:
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
                for name, file in server.seed_files.items():
                    assert await is_let_in(server.public_url, seed=file.read_text().strip()), name
                    assert file.stat().st_mode & 0o077 == 0
                assert not await is_let_in(server.public_url, seed=new_seed())
            keys = {name: file.read_text() for name, file in server.seed_files.items()}
            await server.stop()
            await server.start()
            assert {name: file.read_text() for name, file in server.seed_files.items()} == keys
        finally:
            await server.stop()
        assert (server.data_dir / "nats-server.conf").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("user", ["", "reader:reader@", "taskmill:taskmill@"])
async def test_without_a_password_everybody_gets_in(server: NatsServer, user: str) -> None:
    """As before there were users, and each user can be tried out."""
    assert await is_let_in(server.url.replace("//", f"//{user}"))


async def test_the_configuration_for_docker_is_valid() -> None:
    """With the passwords that docker-compose.yml hands on; it makes the same users."""
    users = [
        with_password("taskmill", "$TASKMILL_NATS_PASSWORD"),
        with_password("reader", "$TASKMILL_NATS_READER_PASSWORD", READER),
    ]
    assert authorization(users) in (ROOT / "docker" / "nats-users.conf").read_text()
    variables = {"TASKMILL_NATS_PASSWORD": "secret-1", "TASKMILL_NATS_READER_PASSWORD": "secret-2"}
    status, output = await _nats_server("--config", "docker/nats-server.conf", "-t", **variables)
    assert status == 0, output


async def test_the_configuration_for_any_server(tmp_path: Path) -> None:
    """`taskmill nats users` makes it valid, without a secret in it; said again, it keeps every key, and the file.

    In a container the file is mounted: of another one in its place nothing would be seen there.
    """
    out = tmp_path / "nats"
    mounted = set()
    for _ in range(2):
        result = CliRunner().invoke(app, ["nats", "users", "--out", str(out)])
        assert result.exit_code == 0, result.output
        mounted.add((out / "nats-users.conf").stat().st_ino)
        files = {path.name: path.read_text() for path in out.iterdir()}
        names = [user.name for user in permissions.USERS]
        assert files.keys() == {"nats-users.conf", *(f"{name}.{end}" for name in names for end in ("nk", "env"))}
    assert len(mounted) == 1
    seeds = {name: files[f"{name}.nk"].strip() for name in names}
    assert len(set(seeds.values())) == len(names)
    for name, seed in seeds.items():
        assert files[f"{name}.env"] == f"TASKMILL_NATS_NKEY_SEED={seed}\n"
        assert seed not in files["nats-users.conf"]
        assert all((out / f"{name}.{end}").stat().st_mode & 0o077 == 0 for end in ("nk", "env"))
    assert {path.name: path.read_text() for path in out.iterdir()} == files
    (tmp_path / "nats-server.conf").write_text((ROOT / "docker" / "nats-server.conf").read_text())
    (tmp_path / "nats-users.conf").write_text(files["nats-users.conf"])
    status, output = await _nats_server("--config", str(tmp_path / "nats-server.conf"), "-t")
    assert status == 0, output


async def test_a_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    """Nor one that is none: the command says which file, and does not show what is in it."""
    for mode, text in ((0o644, new_seed()), (0o600, "SU-NO-SEED"), (0o600, "SA" + new_seed()[2:])):
        (tmp_path / "gateway.nk").write_text(text)
        (tmp_path / "gateway.nk").chmod(mode)
        result = CliRunner().invoke(app, ["nats", "users", "--out", str(tmp_path)])
        assert result.exit_code != 0
        told = result.output + str(result.exception)
        assert "gateway.nk" in told
        assert text not in told


async def _nats_server(*arguments: str, **variables: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("nats-server")), *arguments),
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(10):
        output, _ = await process.communicate()
    return process.returncode, output.decode()
