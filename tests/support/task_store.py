"""Task stores under test: built as in production, run in this process, talked to over NATS."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import asyncpg
import orjson
import uuid_utils
from pydantic import SecretStr

from taskmill.contracts import registry, subjects
from taskmill.contracts.errors import Problem, RemoteError
from taskmill.contracts.permissions import TASK_STORE
from taskmill.contracts.registry import Command
from taskmill.contracts.streams import (
    EVENTS_STREAM,
    MESSAGE_ID_HEADER,
    POSITION_HEADER,
    REPORTS_STREAM,
    WORK_STREAM,
    parse_position,
)
from taskmill.runtime.clock import Clock, utc_now
from taskmill.runtime.failpoint import FAILPOINT_VARIABLE
from taskmill.runtime.nats_protocol import encode_publish
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.requests import RequestClient
from taskmill.runtime.settings import NatsSettings
from taskmill.runtime.supervisor import Supervisor
from taskmill.task_store.adapters.database import DedicatedConnection, SharedConnections
from taskmill.task_store.adapters.store_memory import StoreMemory
from taskmill.task_store.adapters.task_writer import TaskWriter
from taskmill.task_store.bootstrap import build
from taskmill.task_store.domain.publication import UnpublishedEvent
from taskmill.task_store.settings import TaskStoreSettings
from tests.support.actors import running
from tests.support.eventually import holds
from tests.support.nats_keys import seed_of
from tests.support.running_service import running_service
from tests.support.task_states import RULES, no_jitter

Document = dict[str, Any]

STARTED_AT = "2026-11-24T12:00:00Z"
FINISHED_AT = "2026-11-24T12:00:01Z"


def lone_writer(
    connection: DedicatedConnection,
    shared: SharedConnections,
    *,
    now: Clock = utc_now,
    on_commit: Callable[[Sequence[UnpublishedEvent]], None] = lambda _: None,
    max_queues: int = 10,
    max_queued_tasks: int = 10_000,
    max_schedules: int = 10,
) -> TaskWriter:
    """A writer as of a store of its own, which remembers what it reads by `shared`; nobody hears of its commits."""
    return TaskWriter(
        connection,
        StoreMemory(shared, now),
        rules=RULES,
        max_queues=max_queues,
        max_queued_tasks=max_queued_tasks,
        max_schedules=max_schedules,
        now=now,
        random=no_jitter,
        note=lambda _: None,
        on_commit=on_commit,
        on_scheduled=lambda _: None,
        on_bulk_operation=lambda: None,
        on_schedule=lambda: None,
    )


FORGED_HEADERS = tuple(
    b"NATS/1.0\r\n%b: %b\r\n\r\n" % (POSITION_HEADER.encode(), rest)
    for rest in (
        *(b"1000", b"-1", b"x", "²".encode(), b"9" * 30, b"9" * 5_000),
        *(b"1\r\nNats-Sequence: " + sequence for sequence in (b"0", b"x")),
    )
)
"""What a stranger's message among the events may say of itself."""


class StoredMessage(NamedTuple):
    """A message in a stream."""

    subject: str
    data: bytes
    message_id: str | None
    """Of work."""
    position: int


@asynccontextmanager
async def running_store(database_url: str, nats_url: str, **settings: Any) -> AsyncIterator[Supervisor]:
    """Yield a task store that serves; it is drained at the end."""
    store = await build(
        TaskStoreSettings(
            database_url=SecretStr(database_url), nats_url=nats_url, nats_nkey_seed=seed_of(TASK_STORE), **settings
        )
    )
    async with running_service(store) as supervisor:
        yield supervisor


@asynccontextmanager
async def store_process(
    database_url: str, nats_url: str, failpoint: str, **variables: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Yield a task store of its own process that dies at a failpoint; it has to be dead in the end."""
    environment = {
        "DATABASE_URL": database_url,
        "NATS_URL": nats_url,
        "TASKMILL_NATS_NKEY_SEED": seed_of(TASK_STORE).get_secret_value(),
        FAILPOINT_VARIABLE: failpoint,
        **variables,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.bootstrap", "taskmill.task_store"), env={**os.environ, **environment}
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        # One that did not even start has passed no failpoint.
        assert process.returncode == -signal.SIGKILL


class StoreClient:
    """What gateways, processors and subscribers do with a store."""

    def __init__(self, session: NatsSession) -> None:
        self.session = session
        self._requests = RequestClient(session, timeout_seconds=4)

    async def ask_raw(self, command: Command, body: bytes) -> bytes:
        """Send a request as it is."""
        return (await self._requests.request(command.subject, body)).body

    async def ask(self, command: Command, **fields: Any) -> Document:
        """Send a request and return its reply, which must fit the registry's model."""
        reply = await self.ask_raw(command, orjson.dumps(fields))
        command.reply.model_validate_json(reply)
        document: Document = orjson.loads(reply)
        return document

    async def refusal(self, command: Command, **fields: Any) -> str:
        """Send a request that must be refused; return the error's code."""
        return (await self.problem(command, **fields)).code

    async def problem(self, command: Command, **fields: Any) -> Problem:
        """Send a request that must be refused; return why."""
        try:
            answer = await self.ask(command, **fields)
        except RemoteError as error:
            return error.problem()
        raise AssertionError(f"not refused: {answer}")

    async def create(self, **fields: Any) -> Document:
        """Create a task."""
        return await self.ask(registry.CREATE, **{"id": new_id(), "title": "Fetch the front page", **fields})

    async def get(self, task_id: str) -> Document:
        """Read a task."""
        return await self.ask(registry.GET, id=task_id)

    async def events(self, task_id: str) -> list[Document]:
        """Every event of a task, over all pages."""
        return [orjson.loads(text) for text in await self.event_texts(task_id)]

    async def event_texts(self, task_id: str) -> list[bytes]:
        """Every event of a task as the store answers it, byte for byte."""
        texts: list[bytes] = []
        cursor = None
        while True:
            request = {"task_id": task_id, "cursor": cursor, "limit": 200}
            page = await self.ask_raw(registry.EVENTS, orjson.dumps(request))
            texts += _texts(page[len(b'{"items":[') : page.rindex(b'],"next_cursor":')].decode())
            cursor = orjson.loads(page)["next_cursor"]
            if cursor is None:
                return texts

    async def event_types(self, task_id: str) -> list[str]:
        """What happened to a task, in order."""
        return [event["type"].split(".")[2] for event in await self.events(task_id)]

    async def report(self, *reports: Document, processor_id: str = "processor-1") -> None:
        """Publish a bundle, and return when the store has taken it in."""
        await self.publish_report(orjson.dumps({"processor_id": processor_id, "reports": reports}), processor_id)
        await self.reports_settled()

    async def publish_report(self, data: bytes, processor_id: str = "processor-1") -> None:
        """Publish what may be a bundle."""
        await self.session.client.jetstream().publish(subjects.report(processor_id), data)

    async def reports_settled(self) -> None:
        """Return when no report waits any more."""

        async def check_empty() -> None:
            assert await self.count(REPORTS_STREAM) == 0

        await holds(check_empty)

    async def reports_looked_at(self) -> None:
        """Return when what was published is taken in, or waits for other reports. One store does so in order."""
        task_id = (await self.create(process=True))["id"]
        await self.publish_report(
            orjson.dumps({"processor_id": "processor-1", "reports": [report("completed", task_id)]})
        )

        async def check_taken_in() -> None:
            assert (await self.get(task_id))["status"] == "completed"

        await holds(check_taken_in)

    async def count(self, stream: str) -> int:
        """How many messages a stream holds, its placeholder aside."""
        info = await self.session.client.jetstream().stream_info(stream, subjects_filter=f"{subjects.PREFIX}.>")
        held = info.state.subjects or {}
        return sum(count for subject, count in held.items() if not is_placeholder(subject))

    async def messages(self, stream: str) -> list[StoredMessage]:
        """Every message of a stream, in order."""
        jetstream = self.session.client.jetstream()
        state = (await jetstream.stream_info(stream)).state
        stored = []
        for sequence in range(max(1, state.first_seq), state.last_seq + 1):
            try:
                message = await jetstream.get_msg(stream, sequence)
            except Exception as error:
                if getattr(error, "err_code", None) != 10037:  # a message that is gone
                    raise
                continue
            if is_placeholder(message.subject or ""):
                continue
            headers = message.headers or {}
            position = parse_position(str(headers.get(POSITION_HEADER, ""))) or 0
            stored.append(
                StoredMessage(message.subject or "", message.data or b"", headers.get(MESSAGE_ID_HEADER), position)
            )
        return stored

    async def work_items(self) -> list[Document]:
        """The work that waits for processors, in order."""
        return [orjson.loads(message.data) for message in await self.messages(WORK_STREAM)]

    async def put_among_events(self, headers: bytes) -> None:
        """Publish what no store has: `{}` with a header block."""
        self.session.send(encode_publish(subjects.event("created", "echo", "x"), "", b"{}", headers))
        await self.session.flush()

    async def published(self, count: int) -> list[StoredMessage]:
        """The messages of TASK_EVENTS, once there are this many."""

        async def check_count() -> None:
            assert await self.count(EVENTS_STREAM) >= count, await self.messages(EVENTS_STREAM)

        await holds(check_count)
        return await self.messages(EVENTS_STREAM)


@asynccontextmanager
async def store_client(nats_url: str) -> AsyncIterator[StoreClient]:
    """Yield a client with a connection of its own."""
    session = NatsSession(NatsSettings(nats_url=nats_url), client_name="test")
    async with running(session):
        yield StoreClient(session)


@asynccontextmanager
async def store_with_client(database_url: str, nats_url: str, **settings: Any) -> AsyncIterator[StoreClient]:
    """Yield a client of one running store."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running_store(database_url, nats_url, **settings))
        yield await stack.enter_async_context(store_client(nats_url))


async def run_sql(database_url: str, *statements: str) -> list[asyncpg.Record]:
    """Run statements beside the store; return the rows of the last."""
    connection = await asyncpg.connect(database_url)
    try:
        rows: list[asyncpg.Record] = []
        for statement in statements:
            rows = await connection.fetch(statement)
        return rows
    finally:
        await connection.close()


def new_id() -> str:
    """An id as gateways make them."""
    return str(uuid_utils.uuid7())


def report(
    kind: str, task_id: str, *, attempt: int = 1, dispatch: int = 1, delivery: int = 1, **fields: Any
) -> Document:
    """A report as a processor sends it."""
    told: Document = {"type": kind, "task_id": task_id, "attempt": attempt, "dispatch": dispatch, "delivery": delivery}
    if kind in {"started", "completed", "failed"}:
        told["started_at"] = STARTED_AT
    if kind in {"completed", "failed"}:
        told["finished_at"] = FINISHED_AT
    return {**told, **fields}


async def copy_row(url: str, table: str, row: Document, number: int, **values: str) -> None:
    """Insert copies of a row under new ids, with other values of some columns, as SQL."""
    columns = await run_sql(
        url,
        f"SELECT string_agg(column_name, ', ') AS names, string_agg(value, ', ') AS chosen FROM ("  # noqa: S608
        f"SELECT column_name, coalesce($values${json.dumps(values)}$values$::json->>column_name, column_name) AS value "
        f"FROM information_schema.columns WHERE table_name = '{table}' AND column_name <> 'id') AS one",
    )
    names, chosen = columns[0]["names"], columns[0]["chosen"]
    await run_sql(
        url,
        f"INSERT INTO {table} (id, {names}) SELECT gen_random_uuid(), {chosen} "  # noqa: S608
        f"FROM {table}, generate_series(1, {number}) WHERE id = '{row['id']}'",
    )


def hello(*queues: str) -> Document:
    """What a processor says first."""
    return {"type": "hello", "queues": list(queues), "kinds": ["echo"], "slots": 10, "software_version": "1"}


async def logged(database_url: str) -> list[tuple[int, str]]:
    """Position and document of every event in the log, in order."""
    rows = await run_sql(database_url, "SELECT position, document FROM task_events ORDER BY position")
    return [(row["position"], row["document"]) for row in rows]


def is_placeholder(subject: str) -> bool:
    """Whether a message on this subject only keeps its stream from getting empty."""
    return subject in (subjects.WORK_PLACEHOLDER_SUBJECT, subjects.REPORT_PLACEHOLDER_SUBJECT)


def told(messages: Sequence[StoredMessage]) -> list[tuple[int, str]]:
    """Position and document of every event in the stream, in order."""
    return [(message.position, message.data.decode()) for message in messages]


def _texts(items: str) -> list[bytes]:
    """The documents of a page, as they stand there."""
    texts: list[bytes] = []
    begin = 0
    while begin < len(items):
        _, end = json.JSONDecoder().raw_decode(items, begin)
        assert items[end : end + 1] in {"", ","}, "something stands between two documents"
        texts.append(items[begin:end].encode())
        begin = end + 1
    return texts
