"""Reads server-sent events, as a browser does."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx


class Sent(NamedTuple):
    """A server-sent event."""

    id: int
    type: str
    data: Any


class Stream:
    """A stream of events that is being read.

    Attributes:
        last_id: The id to come again with.
    """

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.last_id: int | None = None

    async def next(self) -> Sent | None:
        """The next event; None: the stream has ended."""
        event_type, data = "message", None
        async for line in self._lines:
            name, _, value = line.partition(": ")
            if name == "id":
                self.last_id = int(value)
            elif name == "event":
                event_type = value
            elif name == "data":
                data = json.loads(value)
            elif not line:
                if data is not None:
                    assert self.last_id is not None
                    return Sent(self.last_id, event_type, data)
                event_type = "message"
        return None

    async def take(self, count: int, *, within_seconds: float = 15) -> list[Sent]:
        """The next events, so many."""
        events: list[Sent] = []
        try:
            async with asyncio.timeout(within_seconds):
                while len(events) < count:
                    event = await self.next()
                    assert event is not None, f"the stream ended after {events}"
                    events.append(event)
        except TimeoutError:
            raise AssertionError(f"{count} events awaited, so far {events}") from None
        return events


@asynccontextmanager
async def streaming(
    client: httpx.AsyncClient, path: str, *, last_event_id: int | str | None = None
) -> AsyncIterator[Stream]:
    """Follow a stream, from when the gateway has begun to send it."""
    headers = {"Accept": "text/event-stream"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = str(last_event_id)
    async with client.stream("GET", path, headers=headers, timeout=60) as response:
        if response.status_code != 200:
            await response.aread()
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Stream(response.aiter_lines())
