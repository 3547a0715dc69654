"""Answers that wait until there is something to tell: no client has to ask again and again."""

import asyncio
import re
from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import Header
from pydantic import BeforeValidator, Field
from pydantic.json_schema import SkipJsonSchema

from taskmill.contracts import registry
from taskmill.contracts.errors import UnavailableError
from taskmill.contracts.requests import GetTask, Request
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api.queries import is_decimal
from taskmill.gateway.api.task_head import TaskHead, task_head
from taskmill.gateway.domain.following import EventFilter
from taskmill.gateway.followers import Feed
from taskmill.runtime.reply import Reply

MAX_WAIT_SECONDS = 60

_PREFERENCE = re.compile(r"(?:^|,)\s*wait\s*=\s*([0-9]{1,6})\s*(?=[,;]|$)", re.ASCII | re.IGNORECASE)

PreferHeader = Annotated[
    str | SkipJsonSchema[None],
    Header(alias="Prefer", description="`wait=N` (RFC 7240): as the parameter `wait`, at most 60; that beats it."),
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
        self.seconds = min(int(preference[1]), MAX_WAIT_SECONDS) if preference else query.wait or 0

    def headers(self) -> dict[str, str]:
        """What the answer says of it (RFC 7240 §3)."""
        return {"Preference-Applied": f"wait={self.seconds}"} if self.is_preferred else {}


class Waiting:
    """Reads tasks as soon as there is something to tell."""

    def __init__(self, store: Store, feed: Feed) -> None:
        self._store = store
        self._feed = feed

    async def task(self, task_id: UUID, seconds: int, is_awaited: Callable[[TaskHead], bool]) -> Reply:
        """A task, as soon as it is what is awaited; or else as it is when the time is over, or the gateway ends.

        Raises:
            RemoteError: There is no such task, or no longer.
            UnavailableError: It cannot be read, or followed, now.
        """
        if not seconds:
            return await self._read(task_id)
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + seconds
        async with self._feed.follow(EventFilter(task_id=str(task_id))) as follower:
            # Followed first and read then, so that no change slips through between the two.
            while True:
                reply = await self._read(task_id)
                remaining = ends_at - loop.time()
                if remaining <= 0 or is_awaited(task_head(reply)):
                    return reply
                if not await follower.take(remaining) and follower.is_cut_off:
                    return reply

    async def end(self, reply: Reply, task_id: UUID, seconds: int) -> Reply:
        """A task that a request has changed, as soon as it has ended; see `task`.

        Args:
            reply: What the request was replied to with: the answer if nobody can wait now, for it was carried out.
            task_id: The task.
            seconds: How long to wait at most.
        """
        if not seconds or task_head(reply).is_ended:
            return reply
        try:
            return await self.task(task_id, seconds, lambda head: head.is_ended)
        except UnavailableError:
            return reply

    async def _read(self, task_id: UUID) -> Reply:
        return await self._store.ask(registry.GET, GetTask(id=task_id))
