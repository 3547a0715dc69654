"""Receivers of every sort on loopback, told by a whole stack, whose store is killed in the middle."""

import asyncio
from collections import Counter
from functools import partial
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from benchmarks.machine import server_directory
from taskmill.cli.embedded.ports import free_port
from tests.support.eventually import eventually, holds
from tests.support.receivers import Receiver, receiving
from tests.support.stack import TaskmillUp

TASKS = 60
KILLS = 2


async def create(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    """Create a webhook."""
    answer = await client.post("/webhooks", json=fields)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    assert answer.headers["location"] == f"/webhooks/{answer.json()['id']}"
    webhook: dict[str, Any] = answer.json()
    return webhook


async def deliveries(client: httpx.AsyncClient, webhook: dict[str, Any]) -> list[dict[str, Any]]:
    """The whole log of deliveries to a webhook."""
    items: list[dict[str, Any]] = []
    path = f"/webhooks/{webhook['id']}/deliveries?limit=200"
    while path:
        answer = await client.get(path)
        assert answer.status_code == httpx.codes.OK, answer.text
        items += answer.json()["items"]
        path = answer.links.get("next", {}).get("url", "")
    return items


async def create_tasks(client: httpx.AsyncClient) -> None:
    """Have tasks processed, whoever dies."""

    async def post(number: int) -> None:
        task = {"title": f"task {number}", "process": True, "labels": {"told": "yes"}}
        try:
            answer = await client.post("/tasks", json=task, headers={"Idempotency-Key": f"task-{number}"})
        except httpx.HTTPError as error:
            raise AssertionError from error
        assert answer.status_code == httpx.codes.CREATED, answer.text

    for number in range(TASKS):
        await holds(partial(post, number), within_seconds=30, every_seconds=0.2)


async def completed_events(client: httpx.AsyncClient) -> set[str]:
    """The events that all webhooks want, as the log has them."""
    answer = await client.get("/events", params={"after": 0, "type": "completed", "label": "told", "limit": 200})
    assert answer.status_code == httpx.codes.OK, answer.text
    return {item["event"]["id"] for item in answer.json()["items"]}


@pytest.mark.timeout(180)
async def test_receivers_of_every_sort() -> None:
    """Each event has one delivery, also when the store is killed; bad receivers are asked again, and hold nobody up."""
    good, gone, broken, hanging = Receiver(), Receiver("410 Gone"), Receiver("500 Broken"), Receiver(None)
    target = Receiver()
    redirecting = Receiver("307 Temporary Redirect")
    with server_directory() as path:
        stack = TaskmillUp(path / "data", environment={"TASKMILL_HTTP_ALLOW_PRIVATE": "true"})
        async with receiving(good, gone, broken, hanging, target, redirecting):
            redirecting.headers["Location"] = target.url
            try:
                await stack.start()
                async with httpx.AsyncClient(base_url=stack.url, timeout=10, trust_env=False) as client:
                    urls = {
                        "good": good.url,
                        "gone": gone.url,
                        "broken": broken.url,
                        "hanging": hanging.url,
                        "redirecting": redirecting.url,
                        "vanished": f"http://127.0.0.1:{free_port()}/hook",
                    }
                    wanted = {"types": ["completed"], "labels": ["told"]}
                    webhooks = {name: await create(client, url=url, **wanted) for name, url in urls.items()}
                    await check_all(stack, client, webhooks, good, hanging)
                    assert target.requests == []
                    assert len(gone.requests) >= 1
                    await check_bad_ones(client, webhooks, broken)
                    await check_again(client, webhooks["good"], good)
            finally:
                await stack.end()


def check_more_told(receiver: Receiver, told: int, creating: asyncio.Task[None]) -> None:
    """It was told more by now, or no task is made any more."""
    assert len(receiver.requests) > told or creating.done()


async def check_all(
    stack: TaskmillUp,
    client: httpx.AsyncClient,
    webhooks: dict[str, dict[str, Any]],
    good: Receiver,
    hanging: Receiver,
) -> None:
    """Kill the store while tasks are made: each webhook has one delivery of each event, and the good one is told."""
    async with asyncio.TaskGroup() as group:
        creating = group.create_task(create_tasks(client))
        for _ in range(KILLS):
            await holds(partial(check_more_told, good, len(good.requests), creating), within_seconds=30)
            await stack.kill("task-store")

    async def check_completed() -> set[str]:
        found = await completed_events(client)
        assert len(found) == TASKS
        return found

    events = await holds(check_completed, within_seconds=30)

    def check_told() -> None:
        assert set(good.event_ids) == set(events)

    # Meanwhile the hanging one holds as many connections as it may.
    await holds(check_told, within_seconds=30)
    assert hanging.requests
    for name, webhook in webhooks.items():

        async def check_one_each(name: str = name, webhook: dict[str, Any] = webhook) -> None:
            found = Counter(it["event_id"] for it in await deliveries(client, webhook))
            # What happened after the receiver had answered 410 is not delivered.
            assert found == dict.fromkeys(found if name == "gone" else events, 1), name
            assert found.keys() <= set(events)

        await holds(check_one_each, within_seconds=20)
    verifier = Verifier(webhooks["good"]["secret"])
    for request in good.requests:
        event = verifier.verify(request.body, request.headers)
        assert event["id"] == request.headers["webhook-id"]
        assert event["type"] == "taskmill.task.completed.v1"


async def check_bad_ones(client: httpx.AsyncClient, webhooks: dict[str, dict[str, Any]], broken: Receiver) -> None:
    """Each failure is logged with its cause, and waits for the next step of the ladder."""
    expected = {"broken": "bad_status", "redirecting": "redirected", "vanished": "request_failed"}
    for name, code in expected.items():

        async def check_waits(name: str = name, code: str = code) -> None:
            for delivery in await deliveries(client, webhooks[name]):
                assert delivery["last_error"] is not None, (name, delivery)
                assert delivery["last_error"]["code"] == code
                # Asked twice, immediately and after 5 s; the next step is 5 min.
                assert (delivery["attempt"], delivery["status"]) == (3, "scheduled"), (name, delivery)

        # Longer where the machine is busy: who has to wait comes again after as long as those before took.
        await holds(check_waits, within_seconds=90, every_seconds=0.5)
    assert set(Counter(broken.event_ids).values()) == {2}
    off = (await client.get(f"/webhooks/{webhooks['gone']['id']}")).json()
    assert (off["is_enabled"], off["switched_off_reason"]) == (False, "gone")

    async def check_given_up() -> None:
        codes = {it["last_error"] and it["last_error"]["code"] for it in await deliveries(client, webhooks["gone"])}
        assert codes <= {"gone", "webhook_off"}, codes

    await holds(check_given_up, within_seconds=20)

    async def check_timed_out() -> None:
        codes = [it["last_error"]["code"] for it in await deliveries(client, webhooks["hanging"]) if it["last_error"]]
        assert codes, "none has timed out yet"
        assert set(codes) == {"timeout"}

    await holds(check_timed_out, within_seconds=30)


async def check_again(client: httpx.AsyncClient, webhook: dict[str, Any], good: Receiver) -> None:
    """A redelivery has the same id; after a rotation both secrets verify it; a replay is marked."""
    old = Verifier(webhook["secret"])
    rotated = (await client.post(f"/webhooks/{webhook['id']}/rotate")).json()
    new = Verifier(rotated["secret"])
    delivery = (await deliveries(client, webhook))[0]
    count = len(good.requests)
    again = await client.post(f"/webhooks/{webhook['id']}/deliveries/{delivery['task_id']}/redeliver")
    assert again.status_code == httpx.codes.ACCEPTED, again.text
    await eventually(lambda: len(good.requests) > count, within_seconds=20)
    request = good.requests[-1]
    assert request.headers["webhook-id"] == delivery["event_id"]
    for verifier in (old, new):
        verifier.verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        Verifier("whsec_" + "AAAA" * 8).verify(request.body, request.headers)
    count = len(good.requests)
    replay = await client.post(f"/webhooks/{webhook['id']}/replay", json={"after": 0, "types": ["completed"]})
    assert replay.status_code == httpx.codes.ACCEPTED, replay.text
    await eventually(lambda: len(good.requests) >= count + TASKS, within_seconds=30)
    replayed = good.requests[count:]
    assert {it.headers["taskmill-replay"] for it in replayed} == {replay.json()["id"]}
    assert {it.headers["webhook-id"] for it in replayed} == set(good.event_ids)
