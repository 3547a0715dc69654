"""The gateway and a task store, on real servers."""

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from tests.support.services import running_services


@pytest_asyncio.fixture
async def client(database_url: str, nats_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway with a task store and no processor."""
    async with running_services(database_url, nats_url, processors=0) as services:
        yield services.client
