"""Tasks that handlers submit: exactly one each, wherever the processor dies."""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from taskmill.contracts import registry
from taskmill.sdk.loading import load_app
from tests.integration.processor.harness import processor_process, running_processor
from tests.support.eventually import holds
from tests.support.task_store import Document, StoreClient, store_with_client

APP = "tests.integration.processor.submitting:app"
QUICK = {"lease_seconds": 2, "work_ack_wait_seconds": 1, "reconcile_interval_seconds": 0.2}


async def tasks(store: StoreClient) -> Sequence[Document]:
    """All there are, once they are completed."""

    async def check_completed() -> Sequence[Document]:
        found: Sequence[Document] = (await store.ask(registry.LIST))["items"]
        assert [task for task in found if task["status"] != "completed"] == []
        return found

    return await holds(check_completed, within_seconds=30)


# The first bundle is the hello, the second tells what is submitted, the third the end.
@pytest.mark.parametrize(
    "failpoint",
    ["report.before_publish:2", "report.published:2", "report.before_publish:3", "report.published:3"],
)
async def test_a_processor_that_dies_submits_each_task_once(
    database_url: str, nats_url: str, tmp_path: Path, failpoint: str
) -> None:
    """Its successor calls the handler again, which comes to the same ids; a report that was stored counts."""
    async with store_with_client(database_url, nats_url, **QUICK) as store:
        environment = {"TASKMILL_APPS": APP, "TASKMILL_FAILPOINT": failpoint}
        async with processor_process(nats_url, tmp_path, **environment) as process:
            task = await store.create(kind="submitting", process=True)
            assert await asyncio.wait_for(process.wait(), 15) == -signal.SIGKILL
        async with running_processor(nats_url, load_app(APP), work_ack_wait_seconds=1):
            found = await tasks(store)
        assert sorted(one["title"] for one in found if one["id"] != task["id"]) == ["by key", "by number"]
        for child in found:
            assert (await store.event_types(child["id"]))[:2] == ["created", "queued"]
