"""A log and a stream that a test writes."""

from collections.abc import AsyncIterator

import pytest_asyncio

from taskmill.cli.embedded.nats import NatsServer
from taskmill.contracts.streams import events_stream
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.provisioning import ensure_stream
from taskmill.runtime.settings import NatsSettings
from tests.support.actors import running
from tests.support.scripted_log import ScriptedLog


@pytest_asyncio.fixture
async def log(nats_server: NatsServer) -> AsyncIterator[ScriptedLog]:
    """A log with one event, and the stream."""
    async with running(NatsSession(NatsSettings(nats_url=nats_server.url), client_name="store")) as session:
        await ensure_stream(session, events_stream(max_bytes=1_000_000, max_age_seconds=3_600))
        log = ScriptedLog(session, {1: 1})
        await log.serve()
        yield log
