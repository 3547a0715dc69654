"""A gateway without servers."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from tests.support.gateway import RememberingStore, client_of, gateway_app


@pytest.fixture(scope="session")
def session_store() -> RememberingStore:
    """The store of the one application that all tests share: building one takes long."""
    return RememberingStore()


@pytest.fixture(scope="session")
def app(session_store: RememberingStore) -> FastAPI:
    """A gateway that asks `session_store`."""
    return gateway_app(session_store)


@pytest.fixture
def store(session_store: RememberingStore) -> RememberingStore:
    """A store that remembers what it is asked, and was asked nothing yet."""
    session_store.forget()
    return session_store


@pytest_asyncio.fixture
async def client(app: FastAPI, store: RememberingStore) -> AsyncIterator[httpx.AsyncClient]:  # noqa: ARG001 (fresh)
    """A client of a gateway that asks `store`."""
    async with client_of(app) as client:
        yield client
