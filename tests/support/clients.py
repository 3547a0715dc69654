"""Both clients of the SDK with one face, so that a test is written once; and transports that lose answers."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx

from taskmill.sdk import AsyncClient, Client

KINDS = ("sync", "async")
"""Of clients."""

_ITERATING = {
    "list",
    "events",
    "watch",
    "logs",
    "attempts",
    "processors",
    "queues",
    "limits",
    "shares",
    "kinds",
    "webhooks",
    "groups",
    "deliveries",
    "keys",
    "schedules",
    "fires",
}


class _Threaded:
    """Calls the methods of a `Client` in threads, as those of an `AsyncClient` are called."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        if name in _ITERATING:
            return lambda *arguments, **named: _iterate(method(*arguments, **named))
        return lambda *arguments, **named: asyncio.to_thread(method, *arguments, **named)


async def _iterate(iterator: Iterator[Any]) -> AsyncIterator[Any]:
    end = object()
    while (item := await asyncio.to_thread(next, iterator, end)) is not end:
        yield item


@asynccontextmanager
async def client_of_kind(
    kind: str, base_url: str, losses: "Losses | None" = None, **options: Any
) -> AsyncIterator[Any]:
    """Open a client of either kind; its methods are called as those of an `AsyncClient`.

    Args:
        kind: One of `KINDS`.
        base_url: Where the gateway is.
        losses: Which answers are lost; None: none.
        options: What else the client takes.
    """
    if kind == "async":
        transport = None if losses is None else _AsyncTransport(losses)
        async with AsyncClient(base_url, transport=transport, **options) as client:
            yield cast("Any", client)
        return
    with Client(base_url, transport=None if losses is None else _Transport(losses), **options) as sync_client:
        yield cast("Any", _Threaded(sync_client))


class Losses:
    """What becomes of answers on their way.

    Args:
        lost: How many of the first ones are lost, each after the request was carried out.

    Attributes:
        statuses: Of all answers, in order, the lost ones among them.
        at: When each came, in seconds.
        requests: What was asked, in order.
    """

    def __init__(self, lost: int = 0) -> None:
        self._lost = lost
        self.requests: list[httpx.Request] = []
        self.statuses: list[int] = []
        self.at: list[float] = []

    def note(self, request: httpx.Request, response: httpx.Response) -> None:
        """Let an answer pass, or lose it.

        Raises:
            httpx.ReadError: It is lost.
        """
        self.requests.append(request)
        self.statuses.append(response.status_code)
        self.at.append(time.monotonic())
        if len(self.statuses) <= self._lost:
            raise httpx.ReadError("lost")


class _Transport(httpx.HTTPTransport):
    def __init__(self, losses: Losses) -> None:
        super().__init__()
        self._losses = losses

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        try:
            self._losses.note(request, response)
        except httpx.ReadError:
            response.close()
            raise
        return response


class _AsyncTransport(httpx.AsyncHTTPTransport):
    def __init__(self, losses: Losses) -> None:
        super().__init__()
        self._losses = losses

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        try:
            self._losses.note(request, response)
        except httpx.ReadError:
            await response.aclose()
            raise
        return response
