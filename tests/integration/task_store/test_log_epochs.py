"""Reading a log that was set back, where positions of two epochs are far apart."""

import uuid
from collections.abc import AsyncIterator
from typing import cast

import asyncpg
import pytest_asyncio

from taskmill.contracts.log import ReadLog
from taskmill.task_store.actors.log_continuity import LogContinuity
from taskmill.task_store.adapters.database import DedicatedConnection, shared_connections
from taskmill.task_store.adapters.event_stream import EventStream
from taskmill.task_store.adapters.log_epochs import LogEpochs, LogStanding, say_restored
from taskmill.task_store.adapters.log_reader import LogReader
from taskmill.task_store.domain.log_epoch import FIRST_EPOCH
from taskmill.task_store.ports import LogPart
from tests.support.actors import running

EVENT = "INSERT INTO task_events (task_id, version, type, kind, document) VALUES ($1, $2, 'created', 'echo', '{}')"


class WrittenLog:
    """A log of three epochs, with three events each.

    Attributes:
        task_id: The task of all of them.
        positions: Their positions.
        begins: Where the second and the third epoch begin.
        reader: Reads it.
    """

    def __init__(self, reader: LogReader) -> None:
        self.task_id = uuid.uuid4()
        self.positions: list[int] = []
        self.begins: list[int] = []
        self.reader = reader

    async def write(self, url: str) -> None:
        """Write it."""
        for epoch in range(3):
            if epoch:
                self.begins.append((await say_restored(url)).begin)
            connection = await asyncpg.connect(url)
            try:
                for _ in range(3):
                    version = len(self.positions) + 1
                    position = await connection.fetchval(f"{EVENT} RETURNING position", self.task_id, version)
                    self.positions.append(position)
            finally:
                await connection.close()

    async def read_all(self, **conditions: object) -> list[LogPart]:
        """Read from the beginning to the end."""
        parts: list[LogPart] = []
        after = 0
        while not parts or after < parts[-1].newest:
            parts.append(await self.reader.read(ReadLog.model_validate({"after": after, **conditions})))
            after = parts[-1].next_after
        return parts


@pytest_asyncio.fixture
async def log(database_url: str) -> AsyncIterator[WrittenLog]:
    """A log that was set back twice."""
    connections = await shared_connections(database_url, "reader", max_connections=1)
    try:
        written = WrittenLog(LogReader(connections))
        await written.write(database_url)
        yield written
    finally:
        await connections.close()


async def test_epochs_follow_one_another(log: WrittenLog) -> None:
    """Each begins further than anything that the one before it can have given out, and is read as one log with it."""
    first, second = log.begins
    assert log.positions == [1, 2, 3, first + 1, first + 2, first + 3, second + 1, second + 2, second + 3]
    assert (first % 1_000_000, second % 1_000_000) == (0, 0)
    parts = await log.read_all()
    assert [event.position for part in parts for event in part.events] == log.positions
    assert {(part.oldest, part.newest, part.epoch) for part in parts} == {(1, log.positions[-1], second)}
    by_task = [event.position for part in await log.read_all(task_id=log.task_id, limit=2) for event in part.events]
    assert by_task == log.positions


async def test_what_lies_between_epochs_is_neither_searched_nor_answered(log: WrittenLog) -> None:
    """Who finds nothing comes to the end soon, and by no position that is lost."""
    parts = await log.read_all(kind="other")
    assert [part.next_after for part in parts] == [3, log.begins[0] + 3, log.positions[-1]]
    assert not [event for part in parts for event in part.events]


async def test_a_position_that_is_lost(log: WrittenLog) -> None:
    """For whoever has it the log ends where the two are the same; the places around it are not lost."""
    first, second = log.begins
    for position, same in ((4, 3), (first - 1, 3), (first + 4, first + 3), (second - 1, first + 3)):
        for conditions in ({}, {"kind": "echo"}, {"task_id": log.task_id}):
            part = await log.reader.read(ReadLog.model_validate({"after": position, **conditions}))
            assert (list(part.events), part.next_after, part.newest) == ([], position, same), position
    for position, following in ((3, first + 1), (first, first + 1), (first + 3, second + 1), (second, second + 1)):
        part = await log.reader.read(ReadLog(after=position))
        assert (part.events[0].position, part.newest) == (following, log.positions[-1])


async def test_a_log_that_grows_while_it_is_looked_at_was_not_set_back(database_url: str) -> None:
    """What this store writes between the look at what it wrote and the look at the log, or right after, is no loss."""
    written = 0

    class Growing:
        """A connection beside which the store writes."""

        def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
            self.connection = connection

        async def fetchrow(self, query: str) -> asyncpg.Record | None:
            nonlocal written
            row = await self.connection.fetchrow(query)
            written = await self.connection.fetchval(f"{EVENT} RETURNING position", uuid.uuid4(), 1)
            return row

    class Published:
        """What is in TASK_EVENTS: nothing yet."""

        async def standing(self) -> LogStanding:
            return LogStanding(FIRST_EPOCH, 0)

    changes: list[str] = []
    epochs = DedicatedConnection(database_url, "epochs")
    connection = await asyncpg.connect(database_url)
    continuity = LogContinuity(
        LogEpochs(epochs),
        cast("EventStream", Published()),
        newest_written=lambda: written,
        on_epoch=lambda _: None,
        on_changed=changes.append,
    )
    try:
        async with running(continuity):
            for _ in range(2):
                await continuity.check(cast("asyncpg.Connection[asyncpg.Record]", Growing(connection)))
    finally:
        await connection.close()
        await epochs.close()
    assert (changes, written) == ([], 2)
