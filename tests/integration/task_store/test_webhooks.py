"""Webhooks in a running store: which deliveries there are, and that there is one of each, whoever dies."""

import asyncio
import base64
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from taskmill.contracts import registry, subjects
from taskmill.contracts.errors import TaskmillError
from taskmill.contracts.webhooks import DELIVERY_ATTEMPTS, DELIVERY_KIND, REPLAY_HEADER, WEBHOOKS_QUEUE
from taskmill.runtime.errors import NoRespondersError
from taskmill.runtime.failpoint import FAILPOINT_VARIABLE
from taskmill.runtime.nats_protocol import decode_headers
from tests.support.eventually import holds
from tests.support.paths import ROOT
from tests.support.task_store import Document, StoreClient, new_id, report, run_sql, store_client, store_with_client

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


def new_secret() -> str:
    """A secret that nobody has."""
    return "whsec_" + base64.b64encode(os.urandom(32)).decode()


async def create_webhook(store: StoreClient, **fields: Any) -> Document:
    """Create a webhook."""
    wanted = {"id": new_id(), "url": "https://example.org/hook", "secret": SECRET, **fields}
    return await store.ask(registry.CREATE_WEBHOOK, **wanted)


async def deliveries_of(store: StoreClient) -> list[Document]:
    """All deliveries that there are, oldest first."""
    page = await store.ask(registry.LIST, filter={"kind": DELIVERY_KIND}, sort="created_at", limit=200)
    items: list[Document] = page["items"]
    return items


async def delivered(store: StoreClient, webhook: Document) -> list[str]:
    """The events that a webhook has deliveries of, in order."""
    labels = [item["labels"] for item in await deliveries_of(store)]
    return [its["taskmill/event"] for its in labels if its["taskmill/webhook"] == webhook["id"]]


async def have(store: StoreClient, webhook: Document, *events: str) -> None:
    """Wait until a webhook has deliveries of just these events."""

    async def check() -> None:
        assert sorted(await delivered(store, webhook)) == sorted(events)

    await holds(check)


async def test_every_event_that_is_wanted_has_a_delivery(store: StoreClient) -> None:
    """A webhook is told what happens after it was made, if it meets all its conditions."""
    before = await store.create()
    everything = await create_webhook(store)
    some = await create_webhook(store, types=["created"], queue="bills", labels=["team:web", "urgent"])
    labels = {"team": "web", "urgent": "yes"}
    first = await store.create(queue="bills", labels=labels)
    second = await store.create(queue="bills", labels={**labels, "team": "other"})
    third = await store.create(labels=labels)
    await have(store, everything, *(f"{task['id']}.1" for task in (first, second, third)))
    await have(store, some, f"{first['id']}.1")
    await store.ask(registry.DELETE, id=before["id"])
    await have(store, everything, f"{before['id']}.2", *(f"{task['id']}.1" for task in (first, second, third)))
    [delivery] = [it for it in await deliveries_of(store) if it["labels"]["taskmill/webhook"] == some["id"]]
    assert (delivery["kind"], delivery["max_attempts"]) == (DELIVERY_KIND, DELIVERY_ATTEMPTS)
    task = await store.get(delivery["id"])
    assert task["payload"] == {
        "webhook_id": some["id"],
        "position": task["payload"]["position"],
        "event_id": f"{first['id']}.1",
        "replay_id": None,
    }
    prepared = await store.ask(registry.PREPARE_DELIVERY, webhook_id=some["id"], position=task["payload"]["position"])
    [created] = await store.event_texts(first["id"])
    assert prepared["document"].encode() == created
    assert (prepared["url"], prepared["secrets"], prepared["is_enabled"]) == (some["url"], [SECRET], True)


async def test_deliveries_are_not_delivered(store: StoreClient) -> None:
    """Neither what happens to them, nor to anything else of their queue."""
    webhook = await create_webhook(store)
    await store.create(queue=WEBHOOKS_QUEUE)
    task = await store.create()
    await have(store, webhook, f"{task['id']}.1")
    [delivery] = await deliveries_of(store)
    await store.report(report("completed", delivery["id"]))
    other = await store.create()
    await have(store, webhook, f"{task['id']}.1", f"{other['id']}.1")


async def test_what_happens_while_a_webhook_is_off_is_not_delivered(store: StoreClient) -> None:
    """It goes on with what happens after it was switched on again."""
    webhook = await create_webhook(store)
    other = await create_webhook(store)
    off = await store.ask(registry.UPDATE_WEBHOOK, id=webhook["id"], changes={"is_enabled": False})
    assert (off["is_enabled"], off["switched_off_reason"], off["revision"]) == (False, "client", 2)
    missed = await store.create()
    await have(store, other, f"{missed['id']}.1")
    on = await store.ask(registry.UPDATE_WEBHOOK, id=webhook["id"], changes={"is_enabled": True})
    assert (on["is_enabled"], on["switched_off_reason"], on["revision"]) == (True, None, 3)
    told = await store.create()
    await have(store, webhook, f"{told['id']}.1")


async def test_a_webhook_is_read_changed_and_deleted(store: StoreClient) -> None:
    """Changes are merge patches, guarded by the revision; the secret is shown when it is made, and never again."""
    webhook = await create_webhook(store, description="bills", labels=["team:web"])
    assert webhook["secret"] == SECRET
    shown = await store.ask(registry.GET_WEBHOOK, id=webhook["id"])
    assert shown == {name: value for name, value in webhook.items() if name != "secret"}
    changed = await store.ask(
        registry.UPDATE_WEBHOOK,
        id=webhook["id"],
        expected_revision=1,
        changes={"description": None, "labels": ["a"], "types": ["failed"]},
    )
    assert (changed["description"], changed["labels"], changed["types"]) == (None, ["a"], ["failed"])
    assert (changed["url"], changed["revision"]) == (webhook["url"], 2)
    stale = {"id": webhook["id"], "expected_revision": 1}
    assert await store.refusal(registry.UPDATE_WEBHOOK, changes={}, **stale) == "revision_mismatch"
    assert await store.refusal(registry.DELETE_WEBHOOK, **stale) == "revision_mismatch"
    for changes in ({"url": "ftp://x"}, {"url": None}, {"types": ["nothing"]}, {"secret": SECRET}):
        assert await store.refusal(registry.UPDATE_WEBHOOK, id=webhook["id"], changes=changes) == "invalid_request"
    page = await store.ask(registry.LIST_WEBHOOKS)
    assert page == {"items": [changed], "next_cursor": None}
    await store.ask(registry.DELETE_WEBHOOK, id=webhook["id"], expected_revision=2)
    for command, fields in (
        (registry.GET_WEBHOOK, {}),
        (registry.UPDATE_WEBHOOK, {"changes": {}}),
        (registry.DELETE_WEBHOOK, {}),
        (registry.ROTATE_WEBHOOK, {"secret": SECRET}),
        (registry.SWITCH_OFF_WEBHOOK, {"revision": 1}),
    ):
        assert await store.refusal(command, id=webhook["id"], **fields) == "webhook_not_found"


async def test_pages_of_webhooks(store: StoreClient) -> None:
    """Each webhook is on one page, oldest first."""
    made = [await create_webhook(store) for _ in range(3)]
    first = await store.ask(registry.LIST_WEBHOOKS, limit=2)
    second = await store.ask(registry.LIST_WEBHOOKS, limit=2, cursor=first["next_cursor"])
    assert [it["id"] for it in first["items"] + second["items"]] == [it["id"] for it in made]
    assert second["next_cursor"] is None
    assert await store.refusal(registry.LIST_WEBHOOKS, cursor="nothing") == "invalid_request"


async def test_nobody_has_the_events_of_deliveries_sent(store: StoreClient) -> None:
    """Anybody may make a task that names a webhook and a position: it gets no event of a delivery, or of its queue."""
    webhook = await create_webhook(store)
    await store.create(queue=WEBHOOKS_QUEUE)
    task = await store.create()
    await have(store, webhook, f"{task['id']}.1")
    log = (await store.ask(registry.READ_LOG, after=0))["items"]
    prepared = {
        it["position"]: await store.ask(registry.PREPARE_DELIVERY, webhook_id=webhook["id"], position=it["position"])
        for it in log
    }
    told = [position for position, answer in prepared.items() if answer["document"] is not None]
    assert told == [it["position"] for it in log if it["task_id"] == task["id"]]
    assert len(log) > 2


async def test_two_secrets_are_active_after_a_rotation(store: StoreClient) -> None:
    """A third one is not."""
    webhook = await create_webhook(store)
    newer = ["whsec_" + base64.b64encode(bytes([number]) * 24).decode() for number in range(2)]
    for secret in newer:
        rotated = await store.ask(registry.ROTATE_WEBHOOK, id=webhook["id"], secret=secret)
        assert (rotated["secret"], rotated["secret_count"]) == (secret, 2)
    prepared = await store.ask(registry.PREPARE_DELIVERY, webhook_id=webhook["id"], position=1)
    assert prepared["secrets"] == [newer[1], newer[0]]


async def test_a_receiver_that_is_gone_switches_off_only_what_it_answered_for(store: StoreClient) -> None:
    """Who has changed the webhook meanwhile has perhaps mended it."""
    webhook = await create_webhook(store)
    await store.ask(registry.UPDATE_WEBHOOK, id=webhook["id"], changes={"url": "https://example.org/new"})
    stays = await store.ask(registry.SWITCH_OFF_WEBHOOK, id=webhook["id"], revision=1)
    assert (stays["is_enabled"], stays["revision"]) == (True, 2)
    off = await store.ask(registry.SWITCH_OFF_WEBHOOK, id=webhook["id"], revision=2)
    assert (off["is_enabled"], off["switched_off_reason"]) == (False, "gone")


async def test_under_a_key_there_is_one_webhook(store: StoreClient, database_url: str) -> None:
    """However many ask for it at once, all get its secret; a refusal stores nothing, and another request is refused."""

    def request(fingerprint: str = "a") -> Document:
        key = {"key": "k", "fingerprint": fingerprint * 64}
        return {"id": new_id(), "url": "https://example.org/hook", "secret": new_secret(), "idempotency": key}

    answers = await asyncio.gather(*(store.ask(registry.CREATE_WEBHOOK, **request()) for _ in range(8)))
    again = await store.ask(registry.CREATE_WEBHOOK, **request())
    assert [answer for answer in answers if answer != again] == []
    [(count,)] = await run_sql(database_url, "SELECT count(*) FROM webhooks")
    assert count == 1
    assert await store.refusal(registry.CREATE_WEBHOOK, **request("b")) == "idempotency_key_reused"
    await store.ask(registry.DELETE_WEBHOOK, id=again["id"])
    assert await store.ask(registry.CREATE_WEBHOOK, **request()) == again
    assert await run_sql(database_url, "SELECT * FROM webhooks") == []


async def test_under_a_key_there_is_one_replay(store: StoreClient, database_url: str) -> None:
    """To a webhook, also when that is gone by now, and to a subject."""
    webhook = await create_webhook(store)
    key = {"idempotency": {"key": "k", "fingerprint": "a" * 64}}
    missing = {"webhook_id": new_id(), "after": 0, **key}
    assert await store.refusal(registry.START_REPLAY, id=new_id(), **missing) == "webhook_not_found"
    wanted = {"webhook_id": webhook["id"], "after": 0, **key}
    answers = await asyncio.gather(*(store.ask(registry.START_REPLAY, id=new_id(), **wanted) for _ in range(8)))
    assert {answer["id"] for answer in answers} == {answers[0]["id"]}
    [(count,)] = await run_sql(database_url, "SELECT count(*) FROM replays")
    assert count == 1
    await store.ask(registry.DELETE_WEBHOOK, id=webhook["id"])
    assert await store.ask(registry.START_REPLAY, id=new_id(), **wanted) == answers[0]
    other = {"name": "billing", "after": 0, "idempotency": {"key": "k", "fingerprint": "b" * 64}}
    assert await store.refusal(registry.START_REPLAY, id=new_id(), **other) == "idempotency_key_reused"


async def test_a_webhook_too_many_stores_no_answer(database_url: str, nats_url: str) -> None:
    """Under its key it may be asked for again when there is room."""
    async with store_with_client(database_url, nats_url, max_webhooks=1) as store:
        first = await create_webhook(store)
        key = {"idempotency": {"key": "k", "fingerprint": "a" * 64}}
        fields = {"url": "https://example.org/hook", "secret": SECRET, **key}
        assert await store.refusal(registry.CREATE_WEBHOOK, id=new_id(), **fields) == "too_many_webhooks"
        assert await run_sql(database_url, "SELECT * FROM idempotency_keys") == []
        await store.ask(registry.DELETE_WEBHOOK, id=first["id"])
        assert (await create_webhook(store, **key))["id"] != first["id"]


async def test_there_may_be_so_many_webhooks(database_url: str, nats_url: str) -> None:
    """The operator says how many."""
    async with store_with_client(database_url, nats_url, max_webhooks=1) as store:
        await create_webhook(store)
        fields = {"id": new_id(), "url": "https://example.org/hook", "secret": SECRET}
        assert await store.refusal(registry.CREATE_WEBHOOK, **fields) == "too_many_webhooks"


async def test_a_full_queue_delays_deliveries_and_loses_none(database_url: str, nats_url: str) -> None:
    """They go on as soon as there is room."""
    async with store_with_client(database_url, nats_url, max_queued_tasks=2) as store:
        webhook = await create_webhook(store)
        events = [f"{(await store.create())['id']}.1" for _ in range(5)]
        await have(store, webhook, *events[:2])
        for number in (2, 4):
            for delivery in (await deliveries_of(store))[number - 2 : number]:
                await store.report(report("completed", delivery["id"]))
            await have(store, webhook, *events[: number + 2])


async def test_without_webhooks_nothing_is_written(store: StoreClient, database_url: str) -> None:
    """The first one begins where the log ends, and the cursor moves only then."""
    await store.create()
    assert (await run_sql(database_url, "SELECT position FROM webhook_cursor"))[0][0] == 0
    webhook = await create_webhook(store)
    task = await store.create()
    await have(store, webhook, f"{task['id']}.1")


async def test_a_replay_to_a_webhook(store: StoreClient) -> None:
    """What meets the conditions of the replay is delivered once more, marked, whatever the webhook wants."""
    tasks = [await store.create(kind=kind) for kind in ("echo", "sleep", "echo")]
    webhook = await create_webhook(store, types=["failed"])
    replay = await store.ask(registry.START_REPLAY, id=new_id(), webhook_id=webhook["id"], after=0, kind="echo")
    ended = await completed_replay(store, replay)
    assert (ended["told"], ended["webhook_id"], ended["subject"]) == (2, webhook["id"], None)
    await have(store, webhook, f"{tasks[0]['id']}.1", f"{tasks[2]['id']}.1")
    for delivery in await deliveries_of(store):
        assert delivery["labels"]["taskmill/replay"] == replay["id"]
        assert (await store.get(delivery["id"]))["payload"]["replay_id"] == replay["id"]
    again = await store.ask(
        registry.START_REPLAY, id=new_id(), webhook_id=webhook["id"], after=0, until=ended["after"] + 1
    )
    assert (await completed_replay(store, again))["told"] == 1
    assert len(await deliveries_of(store)) == 3


async def test_a_replay_to_a_subject(store: StoreClient) -> None:
    """The events are published as they were, in order, and marked."""
    heard: list[tuple[dict[str, str], bytes]] = []

    def hear(_subject: bytes, _reply: bytes, body: bytes, headers: bytes | None) -> None:
        heard.append((decode_headers(headers or b""), body))

    store.session.subscribe(subjects.replay("billing"), hear)
    await store.session.flush()
    tasks = [await store.create() for _ in range(3)]
    texts = [text for task in tasks for text in await store.event_texts(task["id"])]
    replay = await store.ask(registry.START_REPLAY, id=new_id(), name="billing", after=0)
    assert (await completed_replay(store, replay))["told"] == 3
    assert replay["subject"] == "tasks.v1.replay.billing"

    def check_heard() -> None:
        assert [body for _, body in heard] == texts

    await holds(check_heard)
    assert {headers[REPLAY_HEADER] for headers, _ in heard} == {replay["id"]}


async def test_a_replay_is_bounded(store: StoreClient) -> None:
    """It spans so many events at most, begins no later than where the log ends, and its webhook must exist."""
    await store.create()
    for fields in ({"after": 5, "until": 1}, {"after": 0, "until": 2_000_000}, {"after": 2}, {"after": 2, "until": 9}):
        assert await store.refusal(registry.START_REPLAY, id=new_id(), name="a", **fields) == "invalid_request"
    at_the_end = await store.ask(registry.START_REPLAY, id=new_id(), name="a", after=1, until=9)
    assert (at_the_end["after"], at_the_end["until"]) == (1, 1)
    missing = {"id": new_id(), "webhook_id": new_id(), "after": 0}
    assert await store.refusal(registry.START_REPLAY, **missing) == "webhook_not_found"
    assert await store.refusal(registry.GET_REPLAY, id=new_id()) == "replay_not_found"


async def completed_replay(store: StoreClient, replay: Document) -> Document:
    """Wait until a replay is completed, and return it."""

    async def read() -> Document:
        found = await store.ask(registry.GET_REPLAY, id=replay["id"])
        assert found["status"] == "completed", found
        return found

    return await holds(read)


@asynccontextmanager
async def store_process(
    database_url: str, nats_url: str, failpoint: str = ""
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Yield a store in a process of its own, which dies at a failpoint, or at the end."""
    environment = {"TASKMILL_DATABASE_URL": database_url, "TASKMILL_NATS_URL": nats_url, "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.bootstrap", "taskmill.task_store"),
        env={**os.environ, **environment, FAILPOINT_VARIABLE: failpoint},
        stderr=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize(
    "failpoint",
    [
        *(f"store.{place}_commit:{nth}" for place in ("before", "after") for nth in (3, 4)),
        "webhooks.tasks_created:1",
        "webhooks.tasks_created:2",
    ],
)
async def test_each_event_has_one_delivery_wherever_the_store_dies(
    database_url: str, nats_url: str, failpoint: str
) -> None:
    """A store is killed between any two steps; the next one goes on, and nothing is missing or there twice."""
    events: set[str] = set()
    async with store_with_client(database_url, nats_url) as store:
        webhooks = [await create_webhook(store, types=["created"]) for _ in range(2)]
    async with store_client(nats_url) as store, store_process(database_url, nats_url, failpoint) as process:
        creating = asyncio.create_task(create_until_killed(store, process, events))
        async with asyncio.timeout(30):
            assert await process.wait() == -signal.SIGKILL
        await creating
    async with store_with_client(database_url, nats_url) as store:
        events.add(f"{(await store.create())['id']}.1")
        logged = {
            f"{row[0]}.1"
            for row in await run_sql(
                database_url,
                f"SELECT task_id FROM task_events WHERE type = 'created' AND kind <> '{DELIVERY_KIND}'",  # noqa: S608
            )
        }
        assert events <= logged

        async def check_all_delivered() -> None:
            told = Counter[tuple[str, str]](
                (it["labels"]["taskmill/webhook"], it["labels"]["taskmill/event"]) for it in await deliveries_of(store)
            )
            assert told == dict.fromkeys(((hook["id"], event) for hook in webhooks for event in logged), 1)

        await holds(check_all_delivered, within_seconds=20)


async def test_a_replay_goes_on_when_the_store_dies(database_url: str, nats_url: str) -> None:
    """A part that was told, and not written down, is told again: that makes no second delivery."""
    async with store_with_client(database_url, nats_url) as store:
        webhook = await create_webhook(store, is_enabled=False)
        tasks = [await store.create() for _ in range(3)]
        # As many events as need two parts.
        await store.ask(registry.CREATE_MANY, tasks=[{"id": new_id(), "title": "one of many"} for _ in range(250)])
    async with store_client(nats_url) as store, store_process(database_url, nats_url, "replays.part_told:2") as process:
        replay_id = new_id()

        async def check_begun() -> None:
            with suppress(TimeoutError, NoRespondersError):
                await store.ask(registry.START_REPLAY, id=replay_id, webhook_id=webhook["id"], after=0)
                return
            raise AssertionError

        await holds(check_begun, within_seconds=30)
        async with asyncio.timeout(20):
            assert await process.wait() == -signal.SIGKILL
    async with store_with_client(database_url, nats_url) as store:

        async def check_completed() -> None:
            replay = await store.ask(registry.GET_REPLAY, id=replay_id)
            assert (replay["status"], replay["told"]) == ("completed", 253), replay

        await holds(check_completed, within_seconds=20)
        rows = await run_sql(
            database_url,
            "SELECT labels ->> 'taskmill/event' FROM tasks WHERE labels ? 'taskmill/replay'",
        )
        assert len(rows) == len({row[0] for row in rows}) == 253
        assert {f"{task['id']}.1" for task in tasks} <= {row[0] for row in rows}


async def create_until_killed(store: StoreClient, process: asyncio.subprocess.Process, events: set[str]) -> None:
    """Create tasks until the store dies; note the events that it confirmed."""

    async def check_created_or_dead() -> None:
        if process.returncode is None:
            try:
                events.add(f"{(await store.create())['id']}.1")
            except (TimeoutError, NoRespondersError, TaskmillError) as error:
                # It is not there yet, or no more.
                raise AssertionError from error

    while process.returncode is None:
        await holds(check_created_or_dead, within_seconds=30)
