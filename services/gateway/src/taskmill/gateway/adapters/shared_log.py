"""The log, for many who read the same of it at the same time: all who follow come again when a gateway does."""

import asyncio
from collections import OrderedDict

from taskmill.contracts.limits import MAX_LOG_PAGE_ITEMS
from taskmill.gateway.adapters.log import Log, LogEnds, LogSlice
from taskmill.gateway.domain.following import EventFilter

KEPT_PAGES = 16
"""Of the newest 16,000 events or so, 10 to 20 MB."""


class SharedLog:
    """Reads pages that begin at round positions, each once for all who want it at the moment, and keeps the last ones.

    A page that others follow never changes: the log is written in order.

    Args:
        log: The log.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._newest = self._epoch = 0
        self._pages: OrderedDict[int, LogSlice] = OrderedDict()
        self._reads: dict[int, asyncio.Task[LogSlice]] = {}

    async def ends(self, after: int | None = None) -> LogEnds:
        """Where the log begins and ends at the moment.

        Args:
            after: As `Log.ends` takes it.

        Raises:
            UnavailableError: The log cannot be read now.
        """
        ends = await self._log.ends(after)
        self._note(ends.newest, ends.epoch, asked_for=after or 0)
        return ends

    async def behind(self, position: int, wanted: EventFilter) -> LogSlice:
        """What happened behind a position, as far as one page has it.

        Args:
            position: Up to where everything is known.
            wanted: Which events.

        Raises:
            UnavailableError: The log cannot be read now.
        """
        if wanted.is_for_the_store:
            return await self._log.behind(position, wanted)
        page = await self._page(position - position % MAX_LOG_PAGE_ITEMS)
        if page.position <= position < page.newest or page.newest < position:
            # Few events were as many as a page may hold; or the log was set back.
            return await self._log.behind(position, wanted)
        events = [event for event in page.events if event.position > position and wanted.admits(event)]
        return LogSlice(events, max(position, page.position), page.oldest, self._newest, page.removed, page.epoch)

    async def _page(self, start: int) -> LogSlice:
        if start in self._pages:
            self._pages.move_to_end(start)
            return self._pages[start]
        if (read := self._reads.get(start)) is None:
            read = self._reads[start] = asyncio.create_task(self._read(start))
            read.add_done_callback(lambda ended: self._end_read(start, ended))
        # That one of those who wait goes away does not end it for the others.
        return await asyncio.shield(read)

    async def _read(self, start: int) -> LogSlice:
        page = await self._log.behind(start, EventFilter())
        self._note(page.newest, page.epoch, asked_for=start)
        if page.position < page.newest:
            self._pages[start] = page
            if len(self._pages) > KEPT_PAGES:
                self._pages.popitem(last=False)
        return page

    def _note(self, newest: int, epoch: int, *, asked_for: int) -> None:
        # For a position that it has never given out, or that is lost, the log ends elsewhere.
        newest = self._newest if asked_for > newest else newest
        if newest < self._newest or epoch != self._epoch:
            # PostgreSQL was set back, or this was asked before what was answered already: then it costs a read.
            self._pages.clear()
        self._newest, self._epoch = newest, epoch

    def _end_read(self, start: int, ended: asyncio.Task[LogSlice]) -> None:
        del self._reads[start]
        if not ended.cancelled():
            # Perhaps nobody waits for it any more.
            ended.exception()
