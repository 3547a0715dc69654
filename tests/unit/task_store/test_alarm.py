import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from taskmill.task_store.actors.due_tasks import Alarm


def utc_now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


async def test_it_rings_at_the_earliest_time_that_was_set() -> None:
    """A later time does not move it, and an earlier one wakes whoever waits already."""
    alarm = Alarm(utc_now)
    alarm.set(utc_now() + timedelta(hours=1))
    ringing = asyncio.create_task(alarm.wait())
    await asyncio.sleep(0)
    at = utc_now() + timedelta(milliseconds=50)
    alarm.set(at)
    alarm.set(at + timedelta(hours=2))
    async with asyncio.timeout(5):
        await ringing
    assert utc_now() >= at


async def test_a_time_that_has_passed_rings_at_once_and_once() -> None:
    """Then it is silent until it is set again."""
    alarm = Alarm(utc_now)
    alarm.set(utc_now() - timedelta(seconds=1))
    async with asyncio.timeout(5):
        await alarm.wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await alarm.wait()
