"""The examples of docs/subscribing.md, as their users run them: as the user of NATS who may only read."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import nats
import pytest

from taskmill.cli.embedded.nats import NatsServer
from taskmill.contracts.streams import EVENTS_STREAM
from tests.support.eventually import eventually, holds
from tests.support.node import node_command
from tests.support.paths import ROOT
from tests.support.scripted_log import ScriptedLog
from tests.support.services import Services, running_services
from tests.support.task_store import logged

EXAMPLES = ROOT / "examples"
LANGUAGES = ("node", "python")


def _command(language: str) -> list[str]:
    if language == "node":
        return node_command(EXAMPLES / "node-subscriber" / "follow.mjs")
    return [sys.executable, str(EXAMPLES / "python-subscriber" / "follow.py")]


class Followed:
    """What an example has printed.

    Attributes:
        events: As (position, event).
        status: Its exit status, once it has ended.
    """

    def __init__(self) -> None:
        self.events: list[tuple[int, Any]] = []
        self.status: int | None = None

    async def read(self, stdout: asyncio.StreamReader) -> None:
        """Take in what it prints, to its end."""
        while line := await stdout.readline():
            if line.startswith(b"{"):
                told = json.loads(line)
                self.events.append((told["position"], told["event"]))

    @property
    def versions(self) -> list[int]:
        """Of each event, in order."""
        return [event["sequence"] for _, event in self.events]


@asynccontextmanager
async def example(
    language: str, nats_url: str, directory: Path, followed: Followed, *arguments: str
) -> AsyncIterator[None]:
    """Run an example, and kill it in the end."""
    process = await asyncio.create_subprocess_exec(
        *_command(language),
        str(directory / "position"),
        *arguments,
        env={**os.environ, "TASKMILL_NATS_URL": nats_url},
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        limit=2**22,
    )
    assert process.stdout is not None
    reading = asyncio.create_task(followed.read(process.stdout))
    ending = asyncio.create_task(process.wait())
    ending.add_done_callback(lambda ended: setattr(followed, "status", ended.result()))
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await ending
        await reading


async def _post(services: Services, **fields: Any) -> None:
    async def is_created() -> bool:
        response = await services.client.post("/tasks", json={"title": "a title", "process": True, **fields})
        return response.status_code == httpx.codes.CREATED

    await eventually(is_created, within_seconds=20)


async def _check_followed(followed: Followed, database_url: str, count: int, kind: str | None = None) -> None:
    """Exactly the log, once there are so many events in it."""

    async def check() -> None:
        log = [(position, json.loads(document)) for position, document in await logged(database_url)]
        assert len(log) == count, log
        assert followed.events == [one for one in log if kind in (None, one[1]["data"]["kind"])]

    await holds(check, within_seconds=30)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_an_example_follows_everything(
    language: str, database_url: str, nats_server: NatsServer, tmp_path: Path
) -> None:
    """What happened, what happens, over the end of the stream and of NATS; and on where it was after its own end."""
    followed = Followed()
    async with running_services(database_url, nats_server.url) as services:
        await _post(services)
        async with example(language, nats_server.reader_url, tmp_path, followed):
            await _check_followed(followed, database_url, 4)
            connection = await nats.connect(nats_server.url)
            assert await connection.jetstream().delete_stream(EVENTS_STREAM)
            await connection.close()
            await _post(services)
            await _check_followed(followed, database_url, 8)
            await nats_server.kill()
            await nats_server.start()
            await _post(services)
            await _check_followed(followed, database_url, 12)
            # An event that was printed, but whose position is not stored yet, would be printed once more.
            await eventually(lambda: (tmp_path / "position").read_text() == str(followed.events[-1][0]))
        await _post(services)
        async with example(language, nats_server.reader_url, tmp_path, followed):
            await _check_followed(followed, database_url, 16)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_an_example_follows_a_kind(
    language: str, database_url: str, nats_server: NatsServer, tmp_path: Path
) -> None:
    """From the log and then live, of these tasks alone."""
    followed = Followed()
    async with running_services(database_url, nats_server.url, processors=0) as services:
        await _post(services, kind="slow")
        await _post(services)
        async with example(language, nats_server.reader_url, tmp_path, followed, "slow"):
            await _check_followed(followed, database_url, 4, "slow")
            await _post(services)
            await _post(services, kind="slow")
            await _check_followed(followed, database_url, 8, "slow")


@pytest.mark.parametrize("tasks", [1, 3])
@pytest.mark.parametrize("language", LANGUAGES)
async def test_an_example_reads_large_pages(
    language: str, tasks: int, database_url: str, nats_server: NatsServer, tmp_path: Path
) -> None:
    """Of the log: one that comes as it is, in several pieces, and one so large (above 512 KiB) that it is deflated."""
    followed = Followed()
    async with running_services(database_url, nats_server.url, processors=0) as services:
        for _ in range(tasks):
            await _post(services, payload="ä" * 100_000)
        async with example(language, nats_server.reader_url, tmp_path, followed):
            await _check_followed(followed, database_url, 2 * tasks)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_an_example_finds_what_is_missing(
    language: str, nats_server: NatsServer, log: ScriptedLog, tmp_path: Path
) -> None:
    """A version that was not heard is looked for in the log; when it is not there, the example ends and says so."""
    followed = Followed()
    async with example(language, nats_server.reader_url, tmp_path, followed, "echo"):
        await eventually(lambda: followed.versions == [1], within_seconds=20)
        # When it asks for the log, it hears already.
        log.versions[2] = 2
        await log.happen(3, 3)
        await eventually(lambda: followed.versions == [1, 2, 3], within_seconds=20)
        await log.happen(9, 5)
        await eventually(lambda: followed.status, within_seconds=20)
        assert followed.versions == [1, 2, 3]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_an_example_was_away_for_too_long(
    language: str, nats_server: NatsServer, log: ScriptedLog, tmp_path: Path
) -> None:
    """It ends and says so, and goes on in silence never."""
    log.versions = {10: 5, 11: 6}
    (tmp_path / "position").write_text("3")
    followed = Followed()
    async with example(language, nats_server.reader_url, tmp_path, followed):
        await eventually(lambda: followed.status, within_seconds=20)
    assert followed.events == []
