"""A simulated year of schedules, across changes of the clocks in three time zones, with outages and restarts."""

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from taskmill.contracts.errors import UnavailableError
from taskmill.contracts.schedules import CreateSchedule, TaskTemplate
from taskmill.runtime.leadership import Leadership
from taskmill.runtime.mailbox import BatchingMailbox
from taskmill.task_store.actors.schedule_fires import ScheduleFires
from taskmill.task_store.adapters.database import DedicatedConnection, shared_connections
from taskmill.task_store.adapters.schedule_rows import ScheduleRows
from taskmill.task_store.domain.operations import Answer, Operation
from taskmill.task_store.domain.schedules import new_schedule
from tests.support.actors import running
from tests.support.leases import LeaseOf
from tests.support.task_store import lone_writer, new_id, run_sql

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2027, 1, 1, tzinfo=UTC)
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
LINES = ("30 2 * * *", "*/20 1,2 * * SUN")
"""All in the hours in which the clocks are changed."""

MAX_OUTAGE = timedelta(days=6)
"""Less than what is made up for."""

_CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'taskmill lane%'"


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> datetime:
        """The time that it was set to."""
        return self.now


@asynccontextmanager
async def mailbox(database_url: str, name: str, clock: Clock) -> AsyncIterator[BatchingMailbox[Operation, Answer]]:
    """Yield what a store writes with, on a connection of its own."""
    lane = DedicatedConnection(database_url, f"lane {name}")
    shared = await shared_connections(database_url, f"memory {name}", max_connections=1)
    writer = lone_writer(lane, shared, now=clock, max_queues=4, max_queued_tasks=100_000, max_schedules=20)
    writes: BatchingMailbox[Operation, Answer] = BatchingMailbox(
        f"writes {name}", writer.apply, capacity=1_000, max_batch=256, deadline_seconds=5
    )
    async with running(writes):
        yield writes
    await shared.close()
    await lane.close()


async def test_a_year_in_three_time_zones(database_url: str) -> None:
    """Each time that there is comes once: whatever the clocks do, and however often, and when, the scanner dies."""
    dice = random.Random(20260329)
    clock = Clock()
    lines: list[dict[str, Any]] = [{"cron": line, "time_zone": zone} for zone in ZONES for line in LINES]
    requests = [
        CreateSchedule.model_validate(
            {
                "id": uuid.UUID(new_id()),
                "name": "Year",
                "template": TaskTemplate(title="T"),
                "catch_up_seconds": 7 * 24 * 3600,
                "ends_at": END,
                **fields,
            }
        )
        for fields in [*lines, {"interval_seconds": 25 * 3600}]
    ]
    async with (
        mailbox(database_url, "a", clock) as first,
        mailbox(database_url, "b", clock) as second,
        shared(database_url) as rows,
    ):
        for request in requests:
            await first.ask(request)
        restarts = 0
        while clock.now < END:
            # From now and then to the very time, and mostly to some time behind it, over an outage.
            due = [it.next_fire_at for it in await rows.next(1)]
            clock.now = (due[0] if due and due[0] else END) + dice.choice([0, 1, 1, 1]) * dice.random() * MAX_OUTAGE
            is_behind = True
            while is_behind:
                # Another one each time, as after a restart; now and then two, of which one believes to lead still.
                scanners = [
                    scanner(rows, dice.choice([first, second]), clock) for _ in range(dice.choice([1, 1, 1, 1, 1, 2]))
                ]
                works = [asyncio.create_task(it.work()) for it in scanners]
                if dice.random() < 0.1:
                    restarts += 1
                    await asyncio.sleep(dice.random() * 0.01)
                    await (run_sql(database_url, _CUT) if dice.random() < 0.5 else cancel(works))
                outcomes = await asyncio.gather(*works, return_exceptions=True)
                unexpected = [
                    it for it in outcomes if isinstance(it, Exception) and not isinstance(it, UnavailableError)
                ]
                assert not unexpected
                next_fire_at = [it.next_fire_at for it in await rows.next(1)]
                is_behind = any(it is not None and it <= clock.now for it in next_fire_at)
    assert restarts > 20
    fires = await run_sql(database_url, "SELECT schedule_id, fire_at, task_id, outcome FROM schedule_fires")
    expected = Counter(
        (request.id, time)
        for request in requests
        for time in new_schedule(request, BEGIN).timing.within(BEGIN + timedelta(microseconds=1), END, 10_000)
    )
    assert len(expected) > 2_000
    assert Counter((uuid.UUID(int=row["schedule_id"].int), row["fire_at"]) for row in fires) == expected
    assert {row["outcome"] for row in fires} == {"created"}
    tasks = await run_sql(database_url, "SELECT id, schedule_id FROM tasks")
    assert {(row["id"], row["schedule_id"]) for row in tasks} == {(row["task_id"], row["schedule_id"]) for row in fires}
    events = await run_sql(database_url, "SELECT task_id FROM task_events WHERE type = 'created'")
    assert len(events) == len(tasks) == len(fires)
    assert not await run_sql(database_url, "SELECT FROM schedules WHERE missed_count > 0 OR next_fire_at IS NOT NULL")


@asynccontextmanager
async def shared(database_url: str) -> AsyncIterator[ScheduleRows]:
    """Yield the schedules."""
    connections = await shared_connections(database_url, "reader", max_connections=2)
    yield ScheduleRows(connections)
    await connections.close()


def scanner(rows: ScheduleRows, writes: BatchingMailbox[Operation, Answer], clock: Clock) -> ScheduleFires:
    """What has the times decided, made anew."""
    leadership = Leadership("leadership", LeaseOf("me"), "me")
    return ScheduleFires(rows, writes, leadership, changed=asyncio.Event(), now=clock)


async def cancel(works: list[asyncio.Task[float | None]]) -> None:
    """End scanners in the middle of what they do."""
    for work in works:
        work.cancel()
