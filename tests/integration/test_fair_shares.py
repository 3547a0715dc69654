"""A small tenant beside a big one, through all services: whose tasks begin when."""

import asyncio
from typing import Any

import pytest

from taskmill.sdk import Context, TaskApp
from tests.support.eventually import holds
from tests.support.services import Services, running_services

SLOTS = 4
BIG = 400
SMALL = 10

app = TaskApp("tenants")


@app.task("work")
async def work(_payload: Any, _context: Context) -> None:
    """Take a moment."""
    await asyncio.sleep(0.02)


@app.task("submits")
async def submits(_payload: Any, context: Context) -> str:
    """Have something done for the same tenant."""
    return str(context.submit("work", concurrency_key="small"))


async def post(services: Services, key: str, tasks: int) -> list[str]:
    """Have tasks of a key processed."""
    task = {"title": "Work", "kind": "work", "process": True, "concurrency_key": key}
    answer = await services.client.post("/tasks/batch", json={"tasks": [task] * tasks})
    assert answer.status_code == 201, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def starts(services: Services) -> list[str]:
    """The tasks that began, in the order of the log."""
    found, position = [], 0
    while True:
        page = (
            await services.client.get("/events", params={"after": position, "type": "started", "limit": 200})
        ).json()
        found += [item["event"]["subject"] for item in page["items"]]
        if position >= page["newest"] or page["next_after"] == position:
            return found
        position = page["next_after"]


@pytest.mark.timeout(60)
async def test_ten_tasks_are_not_held_up_by_hundreds_of_another_key(database_url: str, nats_url: str) -> None:
    """Between their first and their last start, no more tasks of the big tenant begin than of the small one.

    But for those that were let through before; and all end.
    """
    async with running_services(database_url, nats_url, apps=[app], slots=SLOTS) as services:
        big = await post(services, "big", BIG)

        async def is_busy() -> None:
            assert len(await starts(services)) >= 3 * SLOTS

        await holds(is_busy)
        small = await post(services, "small", SMALL)
        for task_id in [*small, big[-1]]:
            await services.completed(task_id)
        order = await starts(services)
        listed = await services.client.get("/tasks", params={"concurrency_key": "small", "limit": 50})
    places = [order.index(task_id) for task_id in small]
    between = max(places) - min(places) + 1 - SMALL
    # With a credit of two for each slot, two of the small one's ten wait for their equal share.
    assert between <= SMALL, (places, between)
    assert len(order) == BIG + SMALL
    assert {item["id"] for item in listed.json()["items"]} == set(small)


async def test_a_handler_submits_with_a_key(database_url: str, nats_url: str) -> None:
    """What it has made waits for its turn as what a client makes."""
    async with running_services(database_url, nats_url, apps=[app]) as services:
        answer = await services.client.post("/tasks", json={"title": "Submit", "kind": "submits", "process": True})
        parent = await services.completed(answer.json()["id"])
        child = await services.completed(parent["result"])
    assert child["concurrency_key"] == "small"
