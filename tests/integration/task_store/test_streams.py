"""What the store puts into the streams so that they are never empty."""

from contextlib import suppress
from typing import Any

import pytest
from nats.js.errors import APIError, NotFoundError
from pydantic import SecretStr

from taskmill.contracts import subjects
from taskmill.contracts.errors import BusUnavailableError
from taskmill.contracts.permissions import TASK_STORE
from taskmill.contracts.streams import REPORTS_STREAM, ROLLUP_HEADER, WORK_STREAM, reports_stream
from taskmill.runtime.errors import StartError
from taskmill.runtime.outbound import OutboundMessage
from taskmill.runtime.provisioning import ensure_stream
from taskmill.runtime.publisher import Publisher
from taskmill.task_store.adapters.placeholders import BYTES_BETWEEN
from taskmill.task_store.bootstrap import build
from taskmill.task_store.settings import MEBIBYTE, TaskStoreSettings
from tests.support.eventually import holds
from tests.support.nats_keys import seed_of
from tests.support.task_store import StoreClient, report, running_store, store_client, store_with_client

PEBIBYTE = 1024**5


async def held(store: StoreClient, stream: str) -> dict[str, int]:
    """How many messages a stream holds, by subject."""
    try:
        info = await store.session.client.jetstream().stream_info(stream, subjects_filter=">")
    except NotFoundError:
        return {}
    return dict(info.state.subjects or {})


async def fill(client: StoreClient) -> None:
    """Publish reports until there is no room for one."""
    with suppress(APIError):
        for _ in range(MEBIBYTE):
            await client.publish_report(b"no report")


async def test_a_placeholder_outlives_all_tasks(database_url: str, nats_url: str) -> None:
    """Nobody consumes it, and two stores have put one, not two."""
    async with (
        store_with_client(database_url, nats_url) as store,
        running_store(database_url, nats_url),
    ):
        task = await store.create(process=True)
        await store.published(2)
        await store.report(report("completed", task["id"]))
        await store.session.client.jetstream().purge_stream(WORK_STREAM, subject=subjects.WORK_SUBJECTS)

        async def check_placeholders() -> None:
            assert await held(store, WORK_STREAM) == {subjects.WORK_PLACEHOLDER_SUBJECT: 1}
            assert await held(store, REPORTS_STREAM) == {subjects.REPORT_PLACEHOLDER_SUBJECT: 1}

        await holds(check_placeholders)


async def test_a_placeholder_stays_near_the_end_of_its_stream(database_url: str, nats_url: str) -> None:
    """It is put again behind much work, and behind large reports."""
    async with store_with_client(database_url, nats_url) as store:
        jetstream = store.session.client.jetstream()

        async def sequence(stream: str, subject: str) -> int | None:
            return (await jetstream.get_last_msg(stream, subject)).seq

        async def check_placeholders() -> None:
            assert (await sequence(WORK_STREAM, subjects.WORK_PLACEHOLDER_SUBJECT) or 0) > work_sequence
            assert (await sequence(REPORTS_STREAM, subjects.REPORT_PLACEHOLDER_SUBJECT) or 0) > report_sequence

        for _ in range(2):
            task = await store.create(process=True, payload={"text": BYTES_BETWEEN // 2 * "x"})
        await store.publish_report(BYTES_BETWEEN * b"x")
        await store.published(4)
        work_sequence = await sequence(WORK_STREAM, subjects.task_work(task["id"])) or 0
        report_sequence = 1
        await holds(check_placeholders, within_seconds=5)


@pytest.mark.parametrize(
    ("stream", "subject"),
    [
        (WORK_STREAM, subjects.WORK_PLACEHOLDER_SUBJECT),
        (REPORTS_STREAM, subjects.REPORT_PLACEHOLDER_SUBJECT),
    ],
)
async def test_a_stream_that_is_made_again_gets_its_placeholder(
    database_url: str, nats_url: str, stream: str, subject: str
) -> None:
    """At once, and not with the next round."""
    async with store_with_client(database_url, nats_url) as store:
        await store.session.client.jetstream().delete_stream(stream)

        async def check_placeholder() -> None:
            assert await held(store, stream) == {subject: 1}

        await holds(check_placeholder, within_seconds=5)


async def test_a_store_starts_while_the_reports_are_full(database_url: str, nats_url: str) -> None:
    """A stream that has no room for the placeholder goes on without it."""
    async with store_client(nats_url) as client:
        await ensure_stream(client.session, reports_stream(MEBIBYTE))
        await fill(client)
        with pytest.raises(BusUnavailableError):
            await Publisher(client.session, timeout_seconds=2).publish(
                OutboundMessage(subjects.REPORT_PLACEHOLDER_SUBJECT, b"", {ROLLUP_HEADER: "sub"})
            )
        async with running_store(database_url, nats_url, reports_max_bytes=MEBIBYTE):
            assert (await client.create(process=True))["status"] == "queued"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"reports_max_bytes": PEBIBYTE}, rf"{REPORTS_STREAM}, which reserves {PEBIBYTE} bytes.*TASKMILL_REPORTS_MAX"),
        ({"nats_replicas": 3}, r"this nats-server is in none.*TASKMILL_NATS_REPLICAS"),
    ],
    ids=["no room", "no cluster"],
)
async def test_a_store_whose_streams_cannot_be_made_says_why_and_what_helps(
    database_url: str, nats_url: str, wrong: dict[str, Any], told: str
) -> None:
    """At once, and not by a traceback: JetStream itself names neither the stream nor the setting."""
    settings = TaskStoreSettings(
        database_url=SecretStr(database_url), nats_url=nats_url, nats_nkey_seed=seed_of(TASK_STORE), **wrong
    )
    store = await build(settings)
    with pytest.raises(StartError, match=told):
        await store.run()
