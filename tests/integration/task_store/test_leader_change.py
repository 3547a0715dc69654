"""The store that leads dies or is halted: another one leads within ten seconds, and nobody does beside it."""

import os
import signal

import pytest

from taskmill.contracts import registry, subjects
from taskmill.contracts.streams import WORK_STREAM
from taskmill.runtime.stream_state import purge_subject
from tests.support.eventually import holds
from tests.support.store_processes import serving_store
from tests.support.task_store import logged, new_id, run_sql, store_client, told

WITHIN_SECONDS = 10
TASKS = 300

ENVIRONMENT = {**os.environ, "TASKMILL_RECONCILE_INTERVAL_SECONDS": "1"}


async def leader(url: str) -> str:
    """Who leads."""
    [row] = await run_sql(url, "SELECT owner FROM relay_cursor")
    assert row["owner"] is not None
    return str(row["owner"])


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "halted"])
async def test_another_store_leads_within_ten_seconds(database_url: str, nats_url: str, fault: signal.Signals) -> None:
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

            leads = await holds(check_led, within_seconds=WITHIN_SECONDS)

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
