"""The log, as a subscriber reads it from the task store."""

from typing import NamedTuple
from uuid import UUID

from pydantic_core import from_json

from taskmill.contracts import registry
from taskmill.contracts.errors import RemoteError, StoreUnavailableError
from taskmill.contracts.log import ReadLog
from taskmill.runtime.errors import NoRespondersError
from taskmill.runtime.requests import RequestClient
from taskmill.sdk.event import Event
from taskmill.sdk.subscribing.wanted import Wanted


class LogPart(NamedTuple):
    """Some of the log: the events in it that were wanted."""

    events: list[Event]
    position: int
    """Up to where the log was searched."""
    removed: int
    """Up to this position events were removed from the log; 0: none was."""
    newest: int
    """Position of the newest event; 0: there is none."""


class Log:
    """Asks a task store for what happened.

    Args:
        requests: Carries what is asked.
    """

    def __init__(self, requests: RequestClient) -> None:
        self._requests = requests

    async def newest(self) -> int:
        """The position of the newest event; 0: there is none.

        Raises:
            UnavailableError: The log cannot be read now.
        """
        return (await self._read(ReadLog())).newest

    async def behind(self, position: int, wanted: Wanted) -> LogPart:
        """What happened behind a position, as far as one request finds out.

        Raises:
            UnavailableError: The log cannot be read now.
            RemoteError: The store refuses to read it.
        """
        types = sorted(wanted.types)
        return await self._read(ReadLog(after=position, types=types, kind=wanted.kind, task_id=wanted.task_id))

    async def of_task(self, task_id: UUID, after: int, until: int) -> list[Event]:
        """What happened to a task between two positions.

        Raises:
            UnavailableError: The log cannot be read now.
            RemoteError: The store refuses to read it.
        """
        events: list[Event] = []
        while after < until:
            part = await self._read(ReadLog(after=after, task_id=task_id))
            events += [event for event in part.events if event.position < until]
            if part.position >= part.newest:
                break
            after = part.position
        return events

    async def _read(self, request: ReadLog) -> LogPart:
        body = request.model_dump_json(exclude_unset=True).encode()
        try:
            reply = await self._requests.request(registry.READ_LOG.subject, body)
        except (NoRespondersError, TimeoutError):
            raise StoreUnavailableError from None
        except RemoteError as error:
            if error.problem().retry_after_seconds is None:
                raise
            raise StoreUnavailableError(str(error)) from None
        # A `LogPage`, of the store's own making: to validate a thousand events would take longer than to send them.
        page = from_json(reply.body)
        events = [
            Event.of(
                item["position"],
                item["type"],
                item["kind"],
                UUID(item["task_id"]),
                item["document"].encode(),
            )
            for item in page["items"]
        ]
        # A store that removes nothing does not say so: then the log begins with its oldest event.
        removed = page.get("removed", max(page["oldest"] - 1, 0))
        return LogPart(events, page["next_after"], removed, page["newest"])
