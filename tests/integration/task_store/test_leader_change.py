"""The store that leads dies or is halted: another one leads soon, and nobody does beside it."""

import asyncio
import os
import signal
from collections import Counter

import orjson
import pytest

from taskmill.contracts import registry, subjects
from taskmill.contracts.streams import WORK_STREAM
from taskmill.runtime.stream_state import purge_subject
from taskmill.task_store.adapters.database import DedicatedConnection
from taskmill.task_store.adapters.relay_log import RelayLog
from tests.support.eventually import eventually, holds
from tests.support.store_processes import serving_store
from tests.support.task_store import hello, logged, new_id, report, run_sql, running_store, store_client, told

WITHIN_SECONDS = 10
KILLED_WITHIN_SECONDS = 3
"""Less than is left of any lease that is not known to be a dead store's: 5 s, renewed every 1.7 s."""
TASKS = 300
LIMIT = 2

ENVIRONMENT = {**os.environ, "TASKMILL_RECONCILE_INTERVAL_SECONDS": "1"}


async def leader(url: str) -> str:
    """Who leads."""
    [row] = await run_sql(url, "SELECT owner FROM relay_cursor")
    assert row["owner"] is not None
    return str(row["owner"])


@pytest.mark.parametrize(
    ("fault", "within_seconds"),
    [(signal.SIGKILL, KILLED_WITHIN_SECONDS), (signal.SIGSTOP, WITHIN_SECONDS)],
    ids=["killed", "halted"],
)
async def test_another_store_leads_soon(
    database_url: str, nats_url: str, fault: signal.Signals, within_seconds: float
) -> None:
    """It publishes the log and finds lost work; what was halted goes on without publishing anything out of turn."""
    async with (
        serving_store(ENVIRONMENT, database_url, nats_url) as first,
        store_client(nats_url) as client,
    ):
        lost = (await client.create(process=True))["id"]
        led = await holds(lambda: leader(database_url))
        async with serving_store(ENVIRONMENT, database_url, nats_url):
            # The relay has something in hand when it is hit.
            tasks = [{"id": new_id(), "title": "t", "process": True} for _ in range(TASKS)]
            await client.ask(registry.CREATE_MANY, tasks=tasks)
            first.send_signal(fault)
            await purge_subject(client.session, WORK_STREAM, subjects.task_work(lost))

            async def check_led() -> str:
                leads = await leader(database_url)
                assert leads != led
                return leads

            leads = await holds(check_led, within_seconds=within_seconds)

            async def check_published() -> None:
                # Of each item is asked by itself, so it is looked at them only when all are there.
                assert await client.count(WORK_STREAM) == TASKS + 1
                dispatches = {item["task_id"]: item["dispatch"] for item in await client.work_items()}
                assert len(dispatches) == TASKS + 1
                assert dispatches[lost] == 2

            await holds(check_published, within_seconds=30)
            if fault is signal.SIGSTOP:
                [row] = await run_sql(database_url, "SELECT clock_timestamp() AS at")
                first.send_signal(signal.SIGCONT)

                async def check_both_have_asked_to_lead() -> None:
                    rows = await run_sql(
                        database_url,
                        "SELECT state_change FROM pg_stat_activity WHERE datname = current_database() "
                        "AND application_name LIKE 'taskmill lease%'",
                    )
                    assert [asked["state_change"] > row["at"] for asked in rows] == [True, True]

                await holds(check_both_have_asked_to_lead, within_seconds=WITHIN_SECONDS)
                assert await leader(database_url) == leads
            events = await logged(database_url)
            assert told(await client.published(len(events))) == events


async def test_turns_go_on_at_once_when_their_giver_is_killed(database_url: str, nats_url: str) -> None:
    """Slots that it left are given by the store that follows, long before a lease has run out; none is given twice."""
    async with (
        serving_store(ENVIRONMENT, database_url, nats_url) as first,
        store_client(nats_url) as client,
    ):
        await client.report(hello("default"))
        await client.ask(registry.PUT_LIMIT, name="two", kind="echo", max_in_progress=LIMIT)
        tasks = [{"id": new_id(), "title": "t", "process": True} for _ in range(3 * LIMIT)]
        await client.ask(registry.CREATE_MANY, tasks=tasks)

        async def queued() -> list[str]:
            rows = await run_sql(database_url, "SELECT id::text FROM tasks WHERE status = 'queued' ORDER BY id")
            return [row["id"] for row in rows]

        async def check_given(ended: list[str]) -> list[str]:
            given = await queued()
            assert len(given) == LIMIT
            assert not set(given) & set(ended)
            return given

        given = await holds(lambda: check_given([]))
        async with running_store(database_url, nats_url):
            led = await leader(database_url)
            first.send_signal(signal.SIGKILL)

            async def check_led() -> None:
                assert await leader(database_url) != led

            await holds(check_led, within_seconds=KILLED_WITHIN_SECONDS)
            await client.report(*(report("completed", task_id, result=None) for task_id in given))
            following = await holds(lambda: check_given(given), within_seconds=KILLED_WITHIN_SECONDS)
            await client.report(*(report("completed", task_id, result=None) for task_id in following))
            await holds(lambda: check_given(given + following))
            at_once: Counter[str] = Counter()
            for _, document in await logged(database_url):
                event = orjson.loads(document)
                at_once[event["subject"]] = int(event["data"]["status"] == "queued")
                assert at_once.total() <= LIMIT, event


async def test_a_lease_is_to_be_had_when_its_session_has_ended(database_url: str) -> None:
    """Not before, however often somebody asks; and the owner hears of it."""
    sessions = [DedicatedConnection(database_url, f"lease 0001 {name}") for name in ("first", "second")]
    first, second = (RelayLog(session, session) for session in sessions)
    first_name, second_name = (session.session_name for session in sessions)
    ended = asyncio.Event()
    sessions[0].on_end = ended.set
    try:
        assert await first.acquire(first_name, ttl_seconds=60)
        assert not await second.acquire(second_name, ttl_seconds=60)
        assert await first.acquire(first_name, ttl_seconds=60)
        assert not ended.is_set()
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%first'"
        await run_sql(database_url, cut)
        async with asyncio.timeout(5):
            await ended.wait()
        assert await eventually(lambda: second.acquire(second_name, ttl_seconds=60))
        assert not await first.acquire(first_name, ttl_seconds=60)
    finally:
        for session in sessions:
            await session.close()


async def test_a_lease_of_an_earlier_release_has_to_run_out(database_url: str) -> None:
    """Its owner is no session, so nobody can say that it is dead."""
    session = DedicatedConnection(database_url, "lease 0001 first")
    log = RelayLog(session, session)
    try:
        assert await log.acquire("0123456789abcdef", ttl_seconds=60)
        assert not await log.acquire(session.session_name, ttl_seconds=60)
        await run_sql(database_url, "UPDATE relay_cursor SET lease_until = now() - interval '1 second'")
        assert await log.acquire(session.session_name, ttl_seconds=60)
    finally:
        await session.close()
