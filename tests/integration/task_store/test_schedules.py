"""Schedules in a running store: what becomes of their times, and that each comes once, whoever dies."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from taskmill.contracts import registry
from taskmill.contracts.limits import MAX_BACKFILL_TIMES, MAX_BODY_BYTES
from taskmill.task_store.adapters.database import shared_connections
from taskmill.task_store.adapters.schedule_rows import ScheduleRows
from tests.support.eventually import holds
from tests.support.task_store import (
    Document,
    StoreClient,
    copy_row,
    new_id,
    report,
    run_sql,
    running_store,
    store_process,
    store_with_client,
)

TEMPLATE = {"title": "Nightly", "kind": "report", "queue": "night", "payload": {"of": [1, None]}, "labels": {"a": "b"}}
HOUR = timedelta(hours=1)
MOMENT = timedelta(microseconds=1)
WEEK_SECONDS = 7 * 24 * 3600


async def create(store: StoreClient, **fields: Any) -> Document:
    """Create a schedule: an hourly one, unless told otherwise."""
    if "cron" not in fields:
        fields.setdefault("interval_seconds", 3600)
    wanted = {"id": new_id(), "name": "Nightly", "template": TEMPLATE, "catch_up_seconds": WEEK_SECONDS, **fields}
    return await store.ask(registry.CREATE_SCHEDULE, **wanted)


async def get(store: StoreClient, schedule: Document) -> Document:
    """Read a schedule."""
    return await store.ask(registry.GET_SCHEDULE, id=schedule["id"])


async def fires_of(store: StoreClient, schedule: Document) -> list[Document]:
    """All that became of its times, oldest first; over pages of two."""
    fires: list[Document] = []
    cursor: str | None = None
    while True:
        page = await store.ask(registry.LIST_FIRES, schedule_id=schedule["id"], limit=2, cursor=cursor)
        fires += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return fires[::-1]


async def tasks_of(store: StoreClient, schedule: Document) -> list[Document]:
    """All its tasks, oldest first."""
    page = await store.ask(registry.LIST, filter={"schedule_id": schedule["id"]}, sort="created_at", limit=200)
    items: list[Document] = page["items"]
    return items


async def set_back(url: str, schedule: Document, hours: int) -> list[datetime]:
    """Have an hourly schedule be behind by some hours, as after an outage; return the times that are due."""
    sql = f"UPDATE schedules SET next_fire_at = next_fire_at - interval '{hours} hours' WHERE id = '{schedule['id']}'"  # noqa: S608
    await run_sql(url, sql)
    next_fire_at = instant(schedule["next_fire_at"])
    return [next_fire_at - number * HOUR for number in range(hours, 0, -1)]


async def caught_up(store: StoreClient, schedule: Document) -> Document:
    """Wait until a schedule is behind no more, and return it."""

    async def read() -> Document:
        found = await get(store, schedule)
        assert found["next_fire_at"] is None or instant(found["next_fire_at"]) > datetime.now(UTC), found
        return found

    return await holds(read, within_seconds=20)


def instant(text: str) -> datetime:
    """An instant of a document."""
    return datetime.fromisoformat(text)


def outcomes(fires: Sequence[Document]) -> list[tuple[datetime, str, str]]:
    """What became of times."""
    return [(instant(fire["fire_at"]), fire["outcome"], fire["origin"]) for fire in fires]


async def test_a_schedule_makes_its_tasks(store: StoreClient) -> None:
    """When a time comes there is a task of the template, in a run, that names its schedule, as its first event does."""
    schedule = await create(store, interval_seconds=1)

    async def check_twice() -> None:
        assert len(await tasks_of(store, schedule)) >= 2

    await holds(check_twice)
    fires = await fires_of(store, schedule)
    tasks = await tasks_of(store, schedule)
    first = await store.get(tasks[0]["id"])
    assert (first["title"], first["kind"], first["queue"]) == ("Nightly", "report", "night")
    assert (first["payload"], first["labels"], first["status"]) == ({"of": [1, None]}, {"a": "b"}, "queued")
    assert first["schedule_id"] == schedule["id"]
    assert (await store.events(first["id"]))[0]["data"]["schedule_id"] == schedule["id"]
    assert [fire["task_id"] for fire in fires[:2]] == [task["id"] for task in tasks[:2]]
    begin = instant(schedule["created_at"]).replace(microsecond=0)
    assert outcomes(fires[:2]) == [(begin + timedelta(seconds=1 + n), "created", "time") for n in range(2)]
    await store.ask(registry.DELETE_SCHEDULE, id=schedule["id"])
    assert await store.refusal(registry.LIST_FIRES, schedule_id=new_id()) == "schedule_not_found"


async def test_an_outage_is_made_up_for(store: StoreClient, database_url: str) -> None:
    """Each time that is not too old has its task; the others are counted, and may be made by a backfill."""
    schedule = await create(store, catch_up_seconds=5 * 3600)
    due = await set_back(database_url, schedule, 9)
    after = await caught_up(store, schedule)
    made_up = [time for time in due if time >= datetime.now(UTC) - 5 * HOUR]
    missed = due[: -len(made_up)]
    assert outcomes(await fires_of(store, schedule)) == [(time, "created", "time") for time in made_up]
    assert (after["missed_count"], instant(after["last_fire_at"])) == (len(missed), due[-1])
    assert (instant(after["missed_since"]), instant(after["missed_until"])) == (missed[0], missed[-1])
    assert (after["next_fire_at"], after["revision"]) == (schedule["next_fire_at"], 1)
    span = {"id": schedule["id"], "since": due[0].isoformat(), "until": (due[-1] + MOMENT).isoformat()}
    for expected in ({"created": len(missed), "existing": len(made_up)}, {"created": 0, "existing": len(due)}):
        assert await store.ask(registry.BACKFILL_SCHEDULE, **span) == expected
    origins = {time: origin for time, _, origin in outcomes(await fires_of(store, schedule))}
    assert origins == dict.fromkeys(missed, "backfill") | dict.fromkeys(made_up, "time")
    assert len({task["id"] for task in await tasks_of(store, schedule)}) == len(due)


async def test_a_backfill_makes_its_tasks_in_the_order_of_their_times(store: StoreClient, database_url: str) -> None:
    """The oldest is queued first, as after an outage, so that what is done day by day is done in the order of days."""
    schedule = await create(store)
    until = instant(schedule["created_at"]).replace(microsecond=0)
    span = {"id": schedule["id"], "since": (until - 12 * HOUR).isoformat(), "until": until.isoformat()}
    assert await store.ask(registry.BACKFILL_SCHEDULE, **span) == {"created": 12, "existing": 0}
    queued = await run_sql(database_url, "SELECT task_id FROM task_events WHERE type = 'queued' ORDER BY position")
    fires = await fires_of(store, schedule)
    assert [str(row["task_id"]) for row in queued] == [fire["task_id"] for fire in fires]


async def test_a_cron_line_that_was_missed_for_long_is_counted_to_the_last(
    store: StoreClient, database_url: str
) -> None:
    """Also in several steps, which count as one outage."""
    schedule = await create(store, cron="* * * * *", catch_up_seconds=60)
    sql = f"UPDATE schedules SET next_fire_at = next_fire_at - interval '1 day' WHERE id = '{schedule['id']}'"  # noqa: S608
    await run_sql(database_url, sql)
    after = await caught_up(store, schedule)
    begin = instant(schedule["next_fire_at"]) - timedelta(days=1)
    fires = await fires_of(store, schedule)
    assert instant(after["missed_since"]) == begin
    times = (instant(after["next_fire_at"]) - begin) / timedelta(minutes=1)
    assert after["missed_count"] + len(fires) == times
    assert len(fires) in {1, 2}


@pytest.mark.parametrize("overlap", ["allow", "skip", "cancel_running"])
async def test_overlaps(store: StoreClient, database_url: str, overlap: str) -> None:
    """While a task of the schedule is in a run, a time makes another, or none, or cancels it before."""
    schedule = await create(store, overlap=overlap)
    due = await set_back(database_url, schedule, 3)
    await caught_up(store, schedule)
    fires, tasks = await fires_of(store, schedule), await tasks_of(store, schedule)
    statuses = [(await store.get(fire["task_id"]))["status"] for fire in fires if fire["task_id"]]
    assert [time for time, *_ in outcomes(fires)] == due
    if overlap == "allow":
        assert statuses == ["queued"] * 3
    elif overlap == "cancel_running":
        assert statuses == ["cancelled", "cancelled", "queued"]
    else:
        assert [fire["outcome"] for fire in fires] == ["created", "skipped", "skipped"]
        await store.report(report("completed", tasks[0]["id"]))
        # What was skipped is made by a backfill, once.
        span = {"id": schedule["id"], "since": due[0].isoformat(), "until": (due[-1] + MOMENT).isoformat()}
        assert await store.ask(registry.BACKFILL_SCHEDULE, **span) == {"created": 2, "existing": 1}
        assert await store.ask(registry.BACKFILL_SCHEDULE, **span) == {"created": 0, "existing": 3}
        assert [it[1:] for it in outcomes(await fires_of(store, schedule))][1:] == [("created", "backfill")] * 2


async def test_who_is_refused_holds_up_nobody(database_url: str, nats_url: str) -> None:
    """However many there are, for whose tasks there is no queue: others fire, and when there is room, so do they."""
    async with store_with_client(database_url, nats_url, max_queues=1) as store:
        other = await create(store)
        await store.ask(registry.RUN_SCHEDULE, id=other["id"], task_id=new_id())
        refused = await create(store, template={**TEMPLATE, "queue": "full"}, is_paused=True)
        await copy_row(database_url, "schedules", refused, 250, next_fire_at="now() - interval '30 minutes'")
        await set_back(database_url, other, 1)
        await caught_up(store, other)
        assert {fire["origin"] for fire in await fires_of(store, other)} == {"manual", "time"}
        fired = "SELECT count(DISTINCT schedule_id) AS schedules FROM schedule_fires"
        assert (await run_sql(database_url, fired))[0]["schedules"] == 1
        # They are tried again, and not only the first of them.
        await run_sql(database_url, f"UPDATE schedules SET template = '{json.dumps(TEMPLATE)}'")  # noqa: S608

        async def check_all() -> None:
            assert (await run_sql(database_url, fired))[0]["schedules"] == 251

        await holds(check_all)


async def test_a_schedule_is_not_hidden_by_the_tasks_of_another(store: StoreClient, database_url: str) -> None:
    """However many tasks of one are in a run, another that skips while one of its own runs does so."""
    crowded, other = await create(store, overlap="skip"), await create(store, overlap="skip")
    await store.ask(registry.RUN_SCHEDULE, id=crowded["id"], task_id=new_id())
    [task] = await tasks_of(store, crowded)
    await copy_row(database_url, "tasks", task, 1_100)
    await store.ask(registry.RUN_SCHEDULE, id=other["id"], task_id=new_id())
    await run_sql(database_url, "UPDATE schedules SET next_fire_at = next_fire_at - interval '1 hour'")
    await caught_up(store, other)
    assert [fire["outcome"] for fire in await fires_of(store, other)] == ["skipped", "created"]


async def test_all_that_run_are_cancelled(store: StoreClient, database_url: str) -> None:
    """However many there are, also beside many that were asked to stop before; then the task of the time is made."""
    schedule = await create(store, overlap="cancel_running")
    first = await store.ask(registry.RUN_SCHEDULE, id=schedule["id"], task_id=new_id())
    stopping = {"status": "'in_progress'", "cancel_requested_at": "now()", "lease_until": "now() + interval '1 hour'"}
    await copy_row(database_url, "tasks", first, 1_100, **stopping)
    await copy_row(database_url, "tasks", first, 1_100)
    await run_sql(database_url, "UPDATE queues SET waiting = waiting + 1100, queued_medium = queued_medium + 1100")
    await set_back(database_url, schedule, 1)
    await caught_up(store, schedule)
    [_, fire] = sorted(await fires_of(store, schedule), key=lambda it: it["origin"])
    counts = await run_sql(database_url, "SELECT status, count(*) AS tasks FROM tasks GROUP BY status")
    assert {row["status"]: row["tasks"] for row in counts} == {"in_progress": 1_100, "cancelled": 1_101, "queued": 1}
    assert (await store.get(fire["task_id"]))["status"] == "queued"


async def test_a_time_is_known_by_its_fire_alone(store: StoreClient, database_url: str) -> None:
    """Its task and the task's events may be gone: a backfill does not make it again."""
    schedule = await create(store)
    [due] = await set_back(database_url, schedule, 1)
    await caught_up(store, schedule)
    [task] = await tasks_of(store, schedule)
    await run_sql(
        database_url,
        f"DELETE FROM tasks WHERE id = '{task['id']}'",  # noqa: S608
        f"DELETE FROM task_events WHERE task_id = '{task['id']}'",  # noqa: S608
    )
    span = {"id": schedule["id"], "since": due.isoformat(), "until": (due + MOMENT).isoformat()}
    assert await store.ask(registry.BACKFILL_SCHEDULE, **span) == {"created": 0, "existing": 1}


async def test_a_task_at_once(store: StoreClient) -> None:
    """Whatever the overlap says, also of a paused schedule; under a key it is made once."""
    schedule = await create(store, overlap="skip", is_paused=True)
    assert schedule["next_fire_at"] is None
    key = {"key": "now", "fingerprint": "a" * 64}
    first = await store.ask(registry.RUN_SCHEDULE, id=schedule["id"], task_id=new_id(), idempotency=key)
    again = await store.ask(registry.RUN_SCHEDULE, id=schedule["id"], task_id=new_id(), idempotency=key)
    other = await store.ask(registry.RUN_SCHEDULE, id=schedule["id"], task_id=new_id())
    assert first == again
    assert (first["status"], first["schedule_id"]) == ("queued", schedule["id"])
    assert [it["id"] for it in await tasks_of(store, schedule)] == [first["id"], other["id"]]
    assert [fire["origin"] for fire in await fires_of(store, schedule)] == ["manual"] * 2
    taken = {"id": schedule["id"], "task_id": other["id"]}
    assert await store.refusal(registry.RUN_SCHEDULE, **taken) == "task_exists"
    assert await store.refusal(registry.RUN_SCHEDULE, id=new_id(), task_id=new_id()) == "schedule_not_found"


async def test_a_schedule_is_read_changed_and_deleted(store: StoreClient) -> None:
    """Changes are guarded by the revision; what is paused has no next time, and what passed then is not made up for."""
    schedule = await create(store, cron="0 3 * * *", time_zone="Europe/Berlin", starts_at="2026-01-01T00:00:00Z")
    assert schedule["timing"] == "At 03:00 every day, Europe/Berlin"
    assert await get(store, schedule) == schedule
    assert (await store.ask(registry.LIST_SCHEDULES))["items"] == [schedule]
    change = {"id": schedule["id"], "changes": {"template": {"payload": {"of": None, "x": 1}}, "is_paused": True}}
    paused = await store.ask(registry.UPDATE_SCHEDULE, expected_revision=1, **change)
    assert (paused["template"]["payload"], paused["template"]["queue"]) == ({"x": 1}, "night")
    assert (paused["is_paused"], paused["next_fire_at"], paused["revision"]) == (True, None, 2)
    assert (await store.ask(registry.GET_NEXT_TIMES, id=schedule["id"]))["items"] == []
    assert await store.refusal(registry.UPDATE_SCHEDULE, expected_revision=1, **change) == "revision_mismatch"
    assert (await store.ask(registry.UPDATE_SCHEDULE, **change))["revision"] == 2
    resumed = await store.ask(registry.UPDATE_SCHEDULE, id=schedule["id"], changes={"is_paused": None})
    assert resumed["next_fire_at"] == schedule["next_fire_at"]
    times = (await store.ask(registry.GET_NEXT_TIMES, id=schedule["id"], count=3))["items"]
    assert times[0] == schedule["next_fire_at"]
    assert [instant(times[n + 1]) > instant(times[n]) for n in range(2)] == [True, True]
    for changes in ({"cron": "0 0 30 2 *"}, {"time_zone": "Mars/Base"}, {"interval_seconds": 1}, {"cron": None}):
        assert await store.refusal(registry.UPDATE_SCHEDULE, id=schedule["id"], changes=changes) == "invalid_request"
    whole = {"name": "Hourly", "interval_seconds": 60, "template": {"title": "T"}}
    replaced = await store.ask(registry.UPDATE_SCHEDULE, id=schedule["id"], changes=whole, is_replacement=True)
    assert (replaced["cron"], replaced["timing"], replaced["starts_at"]) == (None, "Every 1 minute", None)
    assert replaced["template"] == {"title": "T"}
    await store.ask(registry.DELETE_SCHEDULE, id=schedule["id"], expected_revision=4)
    gone: dict[registry.Command, Document] = {
        registry.GET_SCHEDULE: {},
        registry.UPDATE_SCHEDULE: {"changes": {}},
        registry.DELETE_SCHEDULE: {},
        registry.GET_NEXT_TIMES: {},
    }
    for command, fields in gone.items():
        assert await store.refusal(command, id=schedule["id"], **fields) == "schedule_not_found"


async def test_what_is_refused(database_url: str, nats_url: str) -> None:
    """Nothing of it is stored."""
    async with store_with_client(database_url, nats_url, max_schedules=2) as store:
        base = {"name": "N", "template": TEMPLATE, "interval_seconds": 60}
        wrong: list[Document] = [
            {**base, "cron": "0 3 * * *"},
            {**base, "interval_seconds": None},
            {**base, "interval_seconds": None, "cron": "0 0 31 2,4 *"},
            {**base, "interval_seconds": 0},
            {**base, "catch_up_seconds": 1},
            {**base, "template": {**TEMPLATE, "run_at": "2026-01-01T00:00:00Z"}},
            {**base, "template": {"kind": "echo"}},
            {**base, "starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-02T00:00:00Z"},
        ]
        for fields in wrong:
            assert await store.refusal(registry.CREATE_SCHEDULE, id=new_id(), **fields) == "invalid_request", fields
        assert (await store.ask(registry.LIST_SCHEDULES))["items"] == []
        first = await create(store)
        taken = {"id": first["id"], **base}
        assert await store.refusal(registry.CREATE_SCHEDULE, **taken) == "invalid_request"
        key = {"key": "k", "fingerprint": "a" * 64}
        second = await create(store, idempotency=key)
        assert await create(store, idempotency=key) == second
        assert await store.refusal(registry.CREATE_SCHEDULE, id=new_id(), **base) == "too_many_schedules"
        pages = [await store.ask(registry.LIST_SCHEDULES, limit=1)]
        pages.append(await store.ask(registry.LIST_SCHEDULES, limit=1, cursor=pages[0]["next_cursor"]))
        assert [page["items"] for page in pages] == [[first], [second]]
        minutely = await store.ask(
            registry.UPDATE_SCHEDULE, id=first["id"], changes={"interval_seconds": 60, "overlap": "skip"}
        )
        now = datetime.now(UTC)
        for since, until in (
            (now - (MAX_BACKFILL_TIMES + 2) * timedelta(minutes=1), now),
            (now, now - HOUR),
            (now - HOUR, now + HOUR),
        ):
            span = {"id": minutely["id"], "since": since.isoformat(), "until": until.isoformat()}
            assert await store.refusal(registry.BACKFILL_SCHEDULE, **span) == "invalid_request"
        assert await tasks_of(store, minutely) == []


async def test_a_page_reads_no_more_than_a_message_holds(store: StoreClient, database_url: str) -> None:
    """However large templates are: it ends early, and the next one goes on there."""
    large = {**TEMPLATE, "payload": "x" * 250_000}
    wanted = [(await create(store, template=large, is_paused=True))["id"] for _ in range(8)]
    connections = await shared_connections(database_url, "test", max_connections=1)
    try:
        read = await ScheduleRows(connections).schedules(behind=UUID(int=0), limit=201)
    finally:
        await connections.close()
    assert len(read) == MAX_BODY_BYTES // 250_000 + 1
    found: list[str] = []
    cursor = None
    while cursor is not None or not found:
        page = await store.ask(registry.LIST_SCHEDULES, limit=200, cursor=cursor)
        found += [schedule["id"] for schedule in page["items"]]
        cursor = page["next_cursor"]
    assert found == wanted


async def test_bulk_operations_may_name_a_schedule(store: StoreClient) -> None:
    """They mean its tasks, and no others."""
    schedule = await create(store)
    mine = await store.ask(registry.RUN_SCHEDULE, id=schedule["id"], task_id=new_id())
    other = await store.create(process=True)
    wanted = {"id": new_id(), "action": "cancel", "filter": {"schedule_id": schedule["id"]}}
    await store.ask(registry.START_BULK, **wanted)

    async def check_cancelled() -> None:
        assert (await store.get(mine["id"]))["status"] == "cancelled"

    await holds(check_cancelled)
    assert (await store.get(other["id"]))["status"] == "queued"


@pytest.mark.parametrize(
    "failpoint",
    ["store.before_commit:1", "store.before_commit:3", "store.after_commit:3"],
)
async def test_each_time_comes_once_wherever_the_store_dies(database_url: str, nats_url: str, failpoint: str) -> None:
    """A store is killed before and after a commit; the next one goes on, and no time is missing or there twice."""
    async with store_with_client(database_url, nats_url) as store:
        schedules = [await create(store, overlap=overlap) for overlap in ("allow", "cancel_running")]
    due = {schedule["id"]: await set_back(database_url, schedule, 5) for schedule in schedules}
    async with store_process(database_url, nats_url, failpoint) as process, asyncio.timeout(30):
        assert await process.wait() == -signal.SIGKILL
    # Nobody waits for the lease of the dead.
    await run_sql(database_url, "UPDATE relay_cursor SET owner = NULL, lease_until = NULL")
    async with AsyncExitStack() as stack:
        # Two stores: one of them leads.
        store = await stack.enter_async_context(store_with_client(database_url, nats_url))
        await stack.enter_async_context(running_store(database_url, nats_url))
        for schedule in schedules:
            after = await caught_up(store, schedule)
            assert (after["next_fire_at"], after["missed_count"]) == (schedule["next_fire_at"], 0)
            fires = await fires_of(store, schedule)
            assert outcomes(fires) == [(time, "created", "time") for time in due[schedule["id"]]]
            assert {fire["task_id"] for fire in fires} == {task["id"] for task in await tasks_of(store, schedule)}
    events = await run_sql(database_url, "SELECT document FROM task_events WHERE type = 'created'")
    named = Counter(json.loads(row["document"])["data"]["schedule_id"] for row in events)
    assert named == {schedule_id: len(times) for schedule_id, times in due.items()}
