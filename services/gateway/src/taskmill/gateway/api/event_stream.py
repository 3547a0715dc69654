"""Server-sent events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from taskmill.contracts.errors import UnavailableError
from taskmill.gateway.adapters.log import Log, LogSlice
from taskmill.gateway.domain.following import EventFilter, Feed, FollowedEvent

EVENT_STREAM = "text/event-stream"

PING_SECONDS = 15.0
"""A stream on which nothing happens says so this often, with the position up to where nothing happened."""

SEND_WITHIN_SECONDS = 30.0
"""A client that takes nothing for so long is cut off."""

RETRY_MILLISECONDS = 1_000
"""How long a client should wait before it comes again."""


class EventStreamResponse(Response):
    """Sends events for as long as the client listens and the gateway runs.

    First what happened behind the position that the client has, from the log; then what happens, without a hole or a
    repeat in between. Whenever the stream ends, the client comes again with the position of the last event that it got.

    Args:
        feed: What happens.
        log: What happened.
        wanted: Which events.
        first: What was read of the log already, behind the client's position.
        after: The position that the client has.
    """

    media_type = EVENT_STREAM

    def __init__(self, feed: Feed, log: Log, wanted: EventFilter, first: LogSlice, after: int) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["Content-Length"]
        self._feed = feed
        self._log = log
        self._wanted = wanted
        self._first = first
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            sending = asyncio.ensure_future(self._send(send))
            leaving = asyncio.ensure_future(_left(receive))
            try:
                await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
            finally:
                leaving.cancel()
                sending.cancel()
            with suppress(asyncio.CancelledError):
                if not await sending:
                    return
        await send({"type": "http.response.body", "body": b""})

    async def _send(self, send: Send) -> bool:
        """Send until the stream ends; False: the client takes nothing."""
        # What is missing when the log cannot be read is sent when the client comes again.
        with suppress(UnavailableError):
            async with aclosing(self._chunks()) as chunks:
                async for chunk in chunks:
                    try:
                        async with asyncio.timeout(SEND_WITHIN_SECONDS):
                            await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    except TimeoutError:
                        return False
        return True

    async def _chunks(self) -> AsyncGenerator[bytes]:
        yield b"retry: %d\n\n" % RETRY_MILLISECONDS
        found, position = self._first, self._after
        if position > found.newest or 0 < position < found.oldest - 1:
            yield _reset(found)
            position = found.newest
        else:
            yield _chunk(found.events, found.position)
            position = found.position
        while position < found.newest and self._feed.recent(position) is None:
            found = await self._log.behind(position, self._wanted)
            position = found.position
            yield _chunk(found.events, position)
        async with self._feed.follow(self._wanted) as follower:
            # The follower gets all behind this position; up to it, the log is read.
            live_from = self._feed.position
            while position < live_from:
                recent = self._feed.recent(position)
                if recent is not None:
                    events, position = [event for event in recent if self._wanted.admits(event)], self._feed.position
                else:
                    found = await self._log.behind(position, self._wanted)
                    events, position = found.events, found.position
                yield _chunk(events, position)
            while True:
                events = await follower.take(PING_SECONDS)
                if not events and follower.is_cut_off:
                    return
                # Some may have been read from the log already.
                new = [event for event in events if event.position > position]
                position = max(position, events[-1].position if events else self._feed.position)
                yield _chunk(new, position)


def _chunk(events: list[FollowedEvent], position: int) -> bytes:
    """Events as they go over the wire, and then up to which position there are no others."""
    lines = [event.frame for event in events]
    if not events or events[-1].position < position:
        lines.append(b": nothing else\nid: %d\n\n" % position)
    return b"".join(lines)


def _reset(found: LogSlice) -> bytes:
    """Says that the client's position is not one that the log can be followed from, and where it goes on."""
    data = b'{"oldest":%d,"newest":%d}' % (found.oldest, found.newest)
    return b"id: %d\nevent: reset\ndata: %b\n\n" % (found.newest, data)


async def _left(receive: Receive) -> None:
    """Return when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
