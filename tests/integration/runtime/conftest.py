"""A NATS session for the tests of the runtime."""

from collections.abc import AsyncIterator

import pytest_asyncio

from taskmill.cli.embedded.nats import NatsServer
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.settings import NatsSettings
from tests.support.actors import running


@pytest_asyncio.fixture
async def session(nats_url: str) -> AsyncIterator[NatsSession]:
    """A connected session."""
    async with running(NatsSession(NatsSettings(nats_url=nats_url), client_name="test")) as session:
        yield session


@pytest_asyncio.fixture
async def own_session(nats_server: NatsServer) -> AsyncIterator[NatsSession]:
    """A session connected to a server that the test may stop and kill."""
    async with running(NatsSession(NatsSettings(nats_url=nats_server.url), client_name="test")) as session:
        yield session
