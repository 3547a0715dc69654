"""Many read the same of the log at the same time."""

import asyncio

import pytest

from taskmill.contracts.errors import StoreUnavailableError
from taskmill.contracts.events import EventType
from taskmill.contracts.limits import MAX_LOG_PAGE_ITEMS as PAGE
from taskmill.gateway.adapters.log import Log, LogEnds, LogSlice
from taskmill.gateway.adapters.shared_log import KEPT_PAGES, SharedLog
from taskmill.gateway.domain.following import EventFilter, FollowedEvent

ALL = EventFilter()


class CountedLog(Log):
    """A log in memory that notes what is read of it.

    Attributes:
        newest: How many events it has.
        per_read: How many of them one answer holds.
        reads: The positions that were read behind.
        is_away: Whether it cannot be read.
    """

    def __init__(self, newest: int) -> None:
        self.newest = newest
        self.epoch = 0
        self.per_read = PAGE
        self.reads: list[int] = []
        self.is_away = False

    async def ends(self, _after: int | None = None) -> LogEnds:
        """Where it begins and ends."""
        return LogEnds(1, self.newest, 0, self.epoch)

    async def behind(self, position: int, wanted: EventFilter, *, limit: int = PAGE) -> LogSlice:
        """What lies behind a position."""
        self.reads.append(position)
        newest = self.newest
        await asyncio.sleep(0)
        if self.is_away:
            raise StoreUnavailableError
        last = min(position + min(limit, self.per_read), newest)
        events = [
            FollowedEvent(number, "created", "echo", str(number), b'{"data":{"queue":"default"}}')
            for number in range(position + 1, last + 1)
        ]
        return LogSlice(
            [event for event in events if wanted.admits(event)], max(position, last), 1, newest, 0, self.epoch
        )


async def all_behind(log: SharedLog, position: int) -> list[int]:
    """The positions of everything behind one, read page by page."""
    positions: list[int] = []
    while True:
        found = await log.behind(position, ALL)
        positions += [event.position for event in found.events]
        position = found.position
        if position >= found.newest:
            return positions


async def test_many_read_each_page_once() -> None:
    """Whatever the position of each, and each gets what lies behind its own."""
    source = CountedLog(newest=3 * PAGE + 10)
    log = SharedLog(source)
    starts = range(0, 900, 18)
    read = await asyncio.gather(*(all_behind(log, start) for start in starts))
    assert list(read) == [list(range(start + 1, source.newest + 1)) for start in starts]
    assert source.reads == [0, PAGE, 2 * PAGE, 3 * PAGE]


async def test_only_full_pages_are_kept() -> None:
    """What is read of the end of the log is read again."""
    source = CountedLog(newest=PAGE + 1)
    log = SharedLog(source)
    await all_behind(log, 0)
    source.newest += 1
    assert await all_behind(log, PAGE) == [PAGE + 1, PAGE + 2]
    assert source.reads == [0, PAGE, PAGE]
    assert await all_behind(log, PAGE - 1) == [PAGE, PAGE + 1, PAGE + 2]
    assert source.reads == [0, PAGE, PAGE, PAGE]


async def test_not_more_pages_are_kept_than_may() -> None:
    """The one that was wanted last stays, the one that was not wanted for longest goes."""
    source = CountedLog(newest=(KEPT_PAGES + 2) * PAGE)
    log = SharedLog(source)
    for number in range(KEPT_PAGES):
        await log.behind(number * PAGE, ALL)
    await log.behind(0, ALL)
    await log.behind(KEPT_PAGES * PAGE, ALL)
    source.reads.clear()
    await log.behind(0, ALL)
    await log.behind(PAGE, ALL)
    assert source.reads == [PAGE]


async def test_a_page_of_few_large_events() -> None:
    """It ends before the position that somebody has: that one reads for itself."""
    source = CountedLog(newest=50)
    source.per_read = 10
    log = SharedLog(source)
    assert await all_behind(log, 33) == list(range(34, 51))


async def test_what_the_store_finds_faster_is_not_shared() -> None:
    """Events of one type may be far apart."""
    source = CountedLog(newest=5)
    log = SharedLog(source)
    wanted = EventFilter(types=frozenset({EventType.CREATED}))
    assert len((await log.behind(2, wanted)).events) == 3
    assert source.reads == [2]


async def test_a_log_that_was_set_back() -> None:
    """PostgreSQL came back from a backup: nothing that was kept holds."""
    source = CountedLog(newest=2 * PAGE)
    log = SharedLog(source)
    await all_behind(log, 0)
    source.newest = PAGE - 1
    assert await log.ends() == LogEnds(1, PAGE - 1, 0)
    assert await all_behind(log, 0) == list(range(1, PAGE))


async def test_a_log_that_was_set_back_and_has_grown_since() -> None:
    """By its epoch it is another one, although it is longer."""
    source = CountedLog(newest=2 * PAGE)
    log = SharedLog(source)
    await all_behind(log, 0)
    source.newest, source.epoch = 3 * PAGE, 2 * PAGE
    await log.ends(after=1)
    before = len(source.reads)
    assert (await log.behind(1, ALL)).epoch == source.epoch
    assert len(source.reads) == before + 1


async def test_a_position_that_nobody_gave_out_says_nothing_of_the_log() -> None:
    """What is kept is kept, whoever asks for what."""
    source = CountedLog(newest=2 * PAGE)
    log = SharedLog(source)
    await all_behind(log, 0)
    before = len(source.reads)
    await log.ends(after=10**18)
    assert (await log.behind(1, ALL)).newest == source.newest
    assert len(source.reads) == before


async def test_all_who_wait_are_told_that_it_cannot_be_read() -> None:
    """And the next one asks again."""
    source = CountedLog(newest=5)
    log = SharedLog(source)
    source.is_away = True
    answers = await asyncio.gather(*(log.behind(0, ALL) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailableError] * 3
    assert source.reads == [0]
    source.is_away = False
    assert await all_behind(log, 0) == [1, 2, 3, 4, 5]


async def test_one_who_goes_away_does_not_end_it_for_the_others() -> None:
    """Not even the one for whom it was begun."""
    source = CountedLog(newest=5)
    log = SharedLog(source)
    first, second = (asyncio.ensure_future(log.behind(0, ALL)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert len((await second).events) == 5
    with pytest.raises(asyncio.CancelledError):
        await first
    assert source.reads == [0]
