"""A running store for each test."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.task_store import StoreClient, store_with_client


@pytest_asyncio.fixture
async def store(database_url: str, nats_url: str) -> AsyncIterator[StoreClient]:
    """A client of one running store, on a database and a NATS of its own."""
    async with store_with_client(database_url, nats_url) as client:
        yield client
