"""The lines of a task over HTTP, from the handler on."""

import asyncio
from typing import Any

import httpx
import pytest

from taskmill.sdk import Context, TaskApp
from tests.support.event_stream import streaming
from tests.support.gateway import NEW_TASK_ID, assert_problem
from tests.support.services import running_services


async def test_lines_reach_pages_and_streams(database_url: str, nats_url: str) -> None:
    """While the handler runs, and as the same lines; pages go on behind each other."""
    app = TaskApp("writer")
    may_end = asyncio.Event()

    @app.task("writer")
    async def write(_payload: Any, context: Context) -> None:
        for number in range(3):
            context.log.info("written", number=number)
        await asyncio.wait_for(may_end.wait(), 10)

    async with running_services(database_url, nats_url, apps=[app]) as services:
        client = services.client
        created = await client.post("/tasks", json={"title": "t", "kind": "writer", "process": True})
        path = created.headers["location"]
        async with streaming(client, f"{path}/events") as stream:
            [logged] = [event for event in await stream.take(4) if event.type == "logged"]
        first = await client.get(f"{path}/logs", params={"limit": 2})
        second = await client.get(first.links["next"]["url"])
        may_end.set()
        await services.completed(created.json()["id"])
    lines = [*first.json()["items"], *second.json()["items"]]
    assert [line["text"] for line in lines] == [f"written number={number}" for number in range(3)]
    assert logged.data["data"]["lines"] == lines
    assert (first.json()["dropped"], second.json()["next_cursor"]) == (0, None)


async def test_a_task_without_lines_has_an_empty_page(client: httpx.AsyncClient) -> None:
    """It need not have been processed."""
    created = await client.post("/tasks", json={"title": "t"})
    page = await client.get(f"{created.headers['location']}/logs")
    assert page.json() == {"items": [], "dropped": 0, "next_cursor": None}


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"/tasks/{NEW_TASK_ID}/logs", 404, "task_not_found"),
        (f"/tasks/{NEW_TASK_ID}/logs?cursor=made-up", 422, "invalid_request"),
        (f"/tasks/{NEW_TASK_ID}/logs?limit=201", 422, "invalid_request"),
    ],
)
async def test_what_cannot_be_read_is_refused(path: str, status: int, code: str, client: httpx.AsyncClient) -> None:
    """An unknown task, and a page that nobody told of."""
    assert_problem(await client.get(path), status, code)
