"""One gateway that needs credentials, with a task store, a processor and keys, for all of these tests."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import pytest_asyncio

from taskmill.contracts.api_keys import ALL_SCOPES
from taskmill.task_store.operator_keys import create_operator_key
from tests.support.databases import new_database
from tests.support.eventually import holds
from tests.support.guarded import Guarded, Start, bearer
from tests.support.servers import running_nats
from tests.support.services import running_gateway, running_services


async def _check_ready(client: httpx.AsyncClient) -> None:
    assert (await client.get("/readyz")).status_code == 200


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def start_gateway(postgres_url: str, database_template: str) -> AsyncIterator[Start]:
    """Starts a gateway with these settings beside the services that all these tests share."""
    async with AsyncExitStack() as stack:
        database_url = await stack.enter_async_context(new_database(postgres_url, template=database_template))
        # Never one that tests share: these services live until all tests have ended, and would answer for others.
        nats_url = (await stack.enter_async_context(running_nats())).url
        await stack.enter_async_context(running_services(database_url, nats_url))
        key = await create_operator_key(database_url, "admin", ALL_SCOPES, now=datetime.now(UTC), max_keys=10)

        async def start(**settings: Any) -> Guarded:
            client = await stack.enter_async_context(
                running_gateway(nats_url, is_nats_there=False, auth="required", **settings)
            )
            await holds(partial(_check_ready, client))
            return Guarded(client, bearer(key))

        yield start


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def guarded(start_gateway: Start) -> Guarded:
    """The gateway that all these tests share."""
    return await start_gateway()
