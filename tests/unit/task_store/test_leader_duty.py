"""The duties of the store that leads: when they work, and when they do not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from taskmill.contracts.errors import DatabaseUnavailableError
from taskmill.runtime.leadership import Leadership
from taskmill.task_store.actors.leader_duty import LeaderDuty
from tests.support.actors import running
from tests.support.eventually import eventually
from tests.support.leases import LeaseOf


class Count(LeaderDuty):
    """Counts how often it works; the first time, the database is away."""

    name = "count"
    works = 0

    async def work(self) -> float | None:
        """See `LeaderDuty`."""
        self.works += 1
        if self.works == 1:
            raise DatabaseUnavailableError
        return 3600


@asynccontextmanager
async def counting(owner: str, woken: asyncio.Event) -> AsyncIterator[Count]:
    """Yield a duty of a store that competes for the lease of `me`."""
    leadership = Leadership("leadership", LeaseOf("me"), owner, ttl_seconds=0.3)
    duty = Count(leadership, interval_seconds=0.01, woken=woken)
    async with running(duty), running(leadership):
        yield duty


async def test_it_works_as_soon_as_the_store_leads_and_again_when_it_was_postponed() -> None:
    """An outage costs a pause, not the duty; and what `work` returns is the next pause."""
    async with counting("me", asyncio.Event()) as duty:
        await eventually(lambda: duty.works == 2)


async def test_a_pause_ends_when_it_is_woken() -> None:
    """Whoever knows of something to do need not wait for the next look."""
    woken = asyncio.Event()
    async with counting("me", woken) as duty:
        await eventually(lambda: duty.works == 2)
        woken.set()
        await eventually(lambda: duty.works == 3)


async def test_a_store_that_does_not_lead_leaves_it() -> None:
    """It neither works nor keeps the store from stopping."""
    woken = asyncio.Event()
    async with counting("other", woken) as duty, counting("me", asyncio.Event()) as theirs:
        woken.set()
        await eventually(lambda: theirs.works == 2)
    assert duty.works == 0
