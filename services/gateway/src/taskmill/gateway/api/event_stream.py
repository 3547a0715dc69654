"""Server-sent events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from taskmill.contracts.errors import UnavailableError
from taskmill.gateway.adapters.log import LogEnds
from taskmill.gateway.adapters.shared_log import SharedLog
from taskmill.gateway.api.admission import caller_of
from taskmill.gateway.domain.following import EventFilter, FollowedEvent
from taskmill.gateway.followers import Feed

EVENT_STREAM = "text/event-stream"

PING_SECONDS = 15.0
"""A stream on which nothing happens says so this often, with the position up to where nothing happened."""

SEND_WITHIN_SECONDS = 30.0
"""A client that takes nothing for so long is cut off."""

LAST_WORDS_SECONDS = 1.0
"""How long clients may take for what they were being sent when the gateway ends; they come again anyway."""

RETRY_MILLISECONDS = 1_000
"""How long a client should wait before it comes again."""


class EventStreamResponse(Response):
    """Sends events for as long as the client listens and the gateway runs.

    First what happened behind the position that the client has, from the log; then what happens, without a hole or a
    repeat in between. Whenever the stream ends, the client comes again with the position of the last event that it got.
    It ends, too, when events were removed before they were read, or the log was set back, which is told when the client
    comes again; when who asked may do so no more; and when the log cannot be read, even at the very start: of any
    answer but 200 the `EventSource` of a browser takes that it should never come again.

    Args:
        feed: What happens.
        log: What happened.
        wanted: Which events.
        after: The position that the client has; None: it wants what happens from now on.
        headers: Headers beside those of a stream.
        removed: For the events of one task: up to this `sequence` they were removed from the log.
    """

    media_type = EVENT_STREAM

    def __init__(
        self,
        feed: Feed,
        log: SharedLog,
        wanted: EventFilter,
        after: int | None,
        *,
        headers: Mapping[str, str],
        removed: int | None = None,
    ) -> None:
        super().__init__(headers={**headers, "Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["Content-Length"]
        self._feed = feed
        self._log = log
        self._wanted = wanted
        self._after = after
        self._removed = removed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        with self._feed.place(is_stream=True):
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_head_only = scope["method"] == "HEAD"
        # Before the head: from there on the client counts on hearing of what happens.
        ends = None if is_head_only else await self._ends()
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if is_head_only:
            await send({"type": "http.response.body", "body": b""})
            return
        sending = asyncio.ensure_future(self._send(send, ends))
        # Whose client takes nothing cannot be ended properly: the server closes its connection.
        ended = asyncio.ensure_future(caller_of(scope).ended(time.monotonic))
        others = [ended, asyncio.ensure_future(left(receive)), asyncio.ensure_future(self._last_words_said())]
        try:
            await asyncio.wait([sending, *others], return_when=asyncio.FIRST_COMPLETED)
            is_over = ended.done() and not sending.done()
        finally:
            for other in others:
                other.cancel()
            sending.cancel()
        with suppress(asyncio.CancelledError, TimeoutError):
            await sending
        if is_over:
            with suppress(TimeoutError):
                await _end(send, LAST_WORDS_SECONDS)

    async def _last_words_said(self) -> None:
        """Return when no client may take anything any more."""
        await self._feed.closed()
        await asyncio.sleep(LAST_WORDS_SECONDS)

    async def _ends(self) -> LogEnds | None:
        """Where the log begins and ends; None: it cannot be read."""
        try:
            return await self._log.ends(self._after)
        except UnavailableError:
            return None

    async def _send(self, send: Send, ends: LogEnds | None) -> None:
        """Send until the stream ends.

        Raises:
            TimeoutError: The client takes nothing.
        """
        # What is missing when the log cannot be read is sent when the client comes again.
        with suppress(UnavailableError):
            async with aclosing(self._chunks(ends)) as chunks:
                async for chunk in chunks:
                    async with asyncio.timeout(SEND_WITHIN_SECONDS):
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await _end(send, SEND_WITHIN_SECONDS)

    async def _chunks(self, ends: LogEnds | None) -> AsyncGenerator[bytes]:
        yield b"retry: %d\n\n" % RETRY_MILLISECONDS
        if ends is None:
            return
        oldest, newest, removed, epoch = ends
        position = newest if self._after is None else self._after
        if position > newest or 0 < position < removed:
            yield _reset(ends)
            position = newest
        elif position == 0 and (mark := removed if self._removed is None else self._removed):
            position = oldest - 1 if oldest else newest
            yield b'id: %d\nevent: removed\ndata: {"removed":%d}\n\n' % (position, mark)
        else:
            yield _chunk([], position)
        while position < newest:
            found = await self._log.behind(position, self._wanted)
            if position < found.removed > removed or found.epoch != epoch:
                return
            position, newest = found.position, found.newest
            yield _chunk(found.events, position)
        async with self._feed.follow(self._wanted) as follower:
            # The follower gets all behind this position; up to it, the log is read.
            live_from = self._feed.position
            while position < live_from:
                found = await self._log.behind(position, self._wanted)
                if position < found.removed > removed or found.epoch != epoch:
                    return
                position = found.position
                yield _chunk(found.events, position)
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


async def _end(send: Send, within_seconds: float) -> None:
    async with asyncio.timeout(within_seconds):
        await send({"type": "http.response.body", "body": b""})


def _reset(ends: LogEnds) -> bytes:
    """Says that the client's position is not one that the log can be followed from, and where it goes on."""
    data = b'{"oldest":%d,"newest":%d,"removed":%d,"epoch":%d}' % ends
    return b"id: %d\nevent: reset\ndata: %b\n\n" % (ends.newest, data)


async def left(receive: Receive) -> None:
    """Return when the client is gone; its body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass
