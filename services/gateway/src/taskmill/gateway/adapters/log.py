"""The log, as the gateway reads it from the task store."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from uuid import UUID

from pydantic_core import from_json

from taskmill.contracts import registry
from taskmill.contracts.limits import MAX_LOG_PAGE_ITEMS
from taskmill.contracts.log import ReadLog
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.domain.following import EventFilter, FollowedEvent


class LogEnds(NamedTuple):
    """Where the log begins and ends."""

    oldest: int
    """Position of the oldest event that is kept; 0: there is none."""
    newest: int
    """Position of the newest event that there ever was; 0: there was none."""
    removed: int
    """Events up to this position were removed; 0: none was."""
    epoch: int = 0
    """The position behind which the log's epoch begins; 0: it is the first."""


class LogSlice(NamedTuple):
    """Some of the log: the events in it that were wanted."""

    events: list[FollowedEvent]
    position: int
    """Up to where the log was searched."""
    oldest: int
    """Position of the oldest event that is kept; 0: there is none."""
    newest: int
    """Position of the newest event that there ever was; 0: there was none. Below the position that was asked for: that
    is one of a log that was lost, and up to here the two are the same."""
    removed: int
    """Events up to this position were removed; 0: none was."""
    epoch: int = 0
    """The position behind which the log's epoch begins; 0: it is the first."""


class Log:
    """Reads the log.

    Args:
        store: The task store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def ends(self, after: int | None = None) -> LogEnds:
        """Where the log begins and ends.

        Args:
            after: The position of somebody who wants to go on there. If only a log that was lost has given it out, the
                log ends, for them, where the two are the same, which is before it.

        Raises:
            UnavailableError: The log cannot be read now.
        """
        page = await self._read(ReadLog(after=after, limit=1) if after else ReadLog())
        return LogEnds(page["oldest"], page["newest"], _removed(page), page.get("epoch", 0))

    async def behind(self, position: int, wanted: EventFilter, *, limit: int = MAX_LOG_PAGE_ITEMS) -> LogSlice:
        """What happened behind a position, as far as one request finds out.

        Args:
            position: Up to where everything is known.
            wanted: Which events.
            limit: How many at most.

        Raises:
            UnavailableError: The log cannot be read now.
        """
        task_id = None if wanted.task_id is None else UUID(wanted.task_id)
        request = ReadLog(after=position, limit=limit, types=sorted(wanted.types), kind=wanted.kind, task_id=task_id)
        page = await self._read(request)
        events = [
            FollowedEvent(item["position"], item["type"], item["kind"], item["task_id"], item["document"].encode())
            for item in page["items"]
        ]
        wanted_events = [event for event in events if wanted.admits(event)]
        ends = page["oldest"], page["newest"], _removed(page), page.get("epoch", 0)
        return LogSlice(wanted_events, page["next_after"], *ends)

    async def up_to_now(self, position: int, wanted: EventFilter) -> AsyncIterator[LogSlice]:
        """All that happened behind a position, in slices, until the newest event of the moment is reached."""
        while True:
            found = await self.behind(position, wanted)
            yield found
            position = found.position
            if position >= found.newest:
                return

    async def _read(self, request: ReadLog) -> dict[str, Any]:
        # A `LogPage`, of the store's own making: to validate a thousand events would take longer than to send them.
        page: dict[str, Any] = from_json((await self._store.ask(registry.READ_LOG, request)).body)
        return page


def _removed(page: dict[str, Any]) -> int:
    # A store of the release before removes nothing.
    removed: int = page.get("removed", 0)
    return removed
