"""The gateway's application without a task store: requests are remembered, and answered as a test says."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp

from taskmill.contracts.errors import StoreUnavailableError
from taskmill.contracts.registry import Command
from taskmill.contracts.requests import EXISTING_HEADER, REPLAYED_HEADER
from taskmill.gateway.adapters.callers import Callers
from taskmill.gateway.adapters.key_ring import KeyRing
from taskmill.gateway.adapters.log import Log
from taskmill.gateway.adapters.payload_schemas import PayloadSchemas
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api import examples
from taskmill.gateway.api.admission import Admission
from taskmill.gateway.api.app import create_app
from taskmill.gateway.domain.callers import local_developer
from taskmill.gateway.domain.following import EventFilter
from taskmill.gateway.followers import Follower
from taskmill.runtime.reply import Reply

NEW_TASK_ID = UUID("01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42")
TASK = {**examples.TASK, "revision": 7}


class RememberingStore:
    """Stands in for the task store.

    Attributes:
        asked: What was asked, as (subject, body), in order.
        is_bus_connected: What the gateway is told of NATS.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Become like new."""
        self.asked: list[tuple[str, Any]] = []
        self.is_bus_connected = True
        self._answers: dict[str, Reply | Exception] = {}

    def answers(self, command: Command, answer: Any, *, is_replayed: bool = False, is_existing: bool = False) -> None:
        """Answer a command with a JSON value from now on, or raise, if `answer` is an exception."""
        told = {REPLAYED_HEADER: is_replayed, EXISTING_HEADER: is_existing}
        headers = {name: "true" for name, is_so in told.items() if is_so}
        is_error = isinstance(answer, Exception)
        self._answers[command.subject] = answer if is_error else Reply(json.dumps(answer).encode(), headers)

    async def request(self, subject: str, body: bytes, *, timeout_seconds: float | None = None) -> Reply:  # noqa: ARG002
        """Remember and answer."""
        self.asked.append((subject, json.loads(body)))
        answer = self._answers.get(subject, StoreUnavailableError())
        if isinstance(answer, Exception):
            raise answer
        return answer


class NoFeed:
    """The feed of a gateway that is cut off: nobody can follow."""

    position = 0
    is_full = False
    places = 0
    streams = 0

    def place(self, *, is_stream: bool) -> AbstractContextManager[None]:
        """Count nobody."""
        del is_stream
        return nullcontext()

    async def closed(self) -> None:
        """Never return."""
        await asyncio.Event().wait()

    def follow(self, wanted: EventFilter) -> AbstractAsyncContextManager[Follower]:  # noqa: ARG002
        """Refuse."""
        raise StoreUnavailableError


def gateway_app(store: RememberingStore) -> FastAPI:
    """A gateway that asks this store, and lets in everybody."""
    asked = Store(store)
    ring = KeyRing(asked)
    return create_app(
        asked,
        Log(asked),
        NoFeed(),
        PayloadSchemas(asked),
        is_bus_connected=lambda: store.is_bus_connected,
        admission=Admission(Callers(ring, None, local_developer())),
        ring=ring,
        new_id=lambda: str(NEW_TASK_ID),
    )


@asynccontextmanager
async def client_of(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway in this process. An unexpected error is answered, not raised."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is a complete problem document, and return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem.keys() - {"task_id"} == {"type", "title", "status", "detail", "code", "errors"}
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"] == f"/problems/{code}"
    assert problem["title"]
    assert problem["detail"]
    return problem
