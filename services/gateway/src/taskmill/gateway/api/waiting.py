"""Answers that wait until there is something to tell: no client has to ask again and again."""

import asyncio
import re
from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import Header
from pydantic import BeforeValidator, Field
from pydantic.json_schema import SkipJsonSchema
from starlette.types import Receive

from taskmill.contracts import registry
from taskmill.contracts.errors import OverloadedError, RemoteError, UnavailableError
from taskmill.contracts.events import EventType
from taskmill.contracts.requests import GetTask, Request
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api.event_stream import left
from taskmill.gateway.api.queries import is_decimal
from taskmill.gateway.api.task_head import TaskHead, task_head
from taskmill.gateway.domain.following import EventFilter
from taskmill.gateway.followers import TOO_MANY_FOLLOWERS, Feed
from taskmill.runtime.reply import Reply

MAX_WAIT_SECONDS = 60

_ENDS = {EventType.COMPLETED, EventType.FAILED, EventType.CANCELLED}

_PREFERENCE = re.compile(r"(?:^|,)\s*+wait\s*+=\s*+([0-9]++)\s*+(?=[,;]|$)", re.ASCII | re.IGNORECASE)

PreferHeader = Annotated[
    str | SkipJsonSchema[None],
    Header(
        alias="Prefer",
        description="`wait=N` (RFC 7240): as the parameter `wait`, at most 60; that beats it. If the answer did wait, "
        "it has `Preference-Applied`.",
    ),
]


class WaitQuery(Request):
    """How long the answer may wait."""

    wait: Annotated[
        Annotated[int, Field(ge=0, le=MAX_WAIT_SECONDS)] | SkipJsonSchema[None],
        BeforeValidator(is_decimal),
        Field(description="Wait so many seconds at most until the task has ended. 0 to 60."),
    ] = None


class Wait:
    """How long an answer may wait.

    Args:
        query: What the request says.
        prefer: The header `Prefer`, which need not be heeded: what is not understood is passed over.
    """

    def __init__(self, query: WaitQuery, prefer: str | None) -> None:
        preference = _PREFERENCE.search(prefer) if prefer and query.wait is None else None
        self.is_preferred = preference is not None
        self.seconds = _at_most(preference[1]) if preference else query.wait or 0
        self._is_heeded = True

    def give_up(self) -> None:
        """Wait no longer, and do not say that it was waited."""
        self.seconds = 0
        self._is_heeded = False

    def headers(self) -> dict[str, str]:
        """What the answer says of it (RFC 7240 §3)."""
        return {"Preference-Applied": f"wait={self.seconds}"} if self.is_preferred and self._is_heeded else {}


def _at_most(seconds: str) -> int:
    # Python reads no number of any length.
    seconds = seconds.lstrip("0") or "0"
    is_short = len(seconds) <= len(str(MAX_WAIT_SECONDS))
    return min(int(seconds), MAX_WAIT_SECONDS) if is_short else MAX_WAIT_SECONDS


class Waiting:
    """Reads tasks as soon as there is something to tell."""

    def __init__(self, store: Store, feed: Feed) -> None:
        self._store = store
        self._feed = feed

    async def task(self, task_id: UUID, wait: Wait, is_awaited: Callable[[TaskHead], bool], receive: Receive) -> Reply:
        """A task, as soon as it is what is awaited; or else as it is when the time is over, or the gateway ends.

        Args:
            task_id: The task.
            wait: How long to wait at most; given up when the gateway ends before.
            is_awaited: Whether it is what is awaited.
            receive: Where the client says that it goes away, after which nobody waits; its body must have been read.

        Raises:
            RemoteError: There is no such task, or no longer.
            UnavailableError: It cannot be read, or followed, now.
        """
        ends_at = asyncio.get_running_loop().time() + wait.seconds
        reply = await self._read(task_id)
        if not wait.seconds or is_awaited(task_head(reply)):
            return reply
        if self._feed.is_full:
            raise OverloadedError(TOO_MANY_FOLLOWERS)
        # Taken before anybody else can ask whether there is one.
        with self._feed.place(is_stream=False):
            waiting = asyncio.ensure_future(self._changed_task(task_id, wait, ends_at, is_awaited))
            leaving = asyncio.ensure_future(left(receive))
            try:
                await asyncio.wait([waiting, leaving], return_when=asyncio.FIRST_COMPLETED)
                return waiting.result() if waiting.done() else reply
            finally:
                leaving.cancel()
                waiting.cancel()

    async def _changed_task(
        self, task_id: UUID, wait: Wait, ends_at: float, is_awaited: Callable[[TaskHead], bool]
    ) -> Reply:
        loop = asyncio.get_running_loop()
        has_ended = False
        async with self._feed.follow(EventFilter(task_id=str(task_id))) as follower:
            # Followed first and read then, so that no change slips through between the two.
            while True:
                reply = await self._read(task_id)
                remaining = ends_at - loop.time()
                # One that was processed again at once has ended all the same.
                if remaining <= 0 or has_ended or is_awaited(task_head(reply)):
                    return reply
                events = await follower.take(remaining)
                if not events and follower.is_cut_off:
                    wait.give_up()
                    return reply
                has_ended = any(event.type in _ENDS for event in events)

    async def end(self, reply: Reply, task_id: UUID, wait: Wait, receive: Receive) -> Reply:
        """A task that a request has changed, as soon as it has ended; see `task`.

        Args:
            reply: What the request was replied to with: the answer if nobody can wait now, or the task is gone
                meanwhile, for it was carried out.
            task_id: The task.
            wait: How long to wait at most; given up when nobody can wait.
            receive: Where the client says that it goes away.
        """
        if not wait.seconds or task_head(reply).is_ended:
            return reply
        try:
            ended = await self.task(task_id, wait, lambda head: head.is_ended, receive)
        except (UnavailableError, RemoteError):
            wait.give_up()
            return reply
        # What is known of the request itself stays known.
        return ended._replace(headers={**ended.headers, **reply.headers})

    async def _read(self, task_id: UUID) -> Reply:
        return await self._store.ask(registry.GET, GetTask(id=task_id))
