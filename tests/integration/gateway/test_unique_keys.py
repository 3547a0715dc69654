"""Unique keys, from HTTP to PostgreSQL and back."""

import asyncio
from collections import Counter

import httpx

from tests.support.gateway import assert_problem
from tests.support.services import running_services


async def test_of_200_posts_over_two_stores_one_makes_a_task(database_url: str, nats_url: str) -> None:
    """The other 199 are told its address. A list finds it by its key; once it has ended, the key is free."""
    body = {"title": "t", "process": True, "unique": {"key": "invoice-4711"}}
    async with running_services(database_url, nats_url, stores=2, processors=0) as services:
        client = services.client
        unavailable = 0

        async def post() -> httpx.Response:
            nonlocal unavailable
            while (answer := await client.post("/tasks", json=body)).status_code == httpx.codes.SERVICE_UNAVAILABLE:
                unavailable += 1
            return answer

        async with asyncio.timeout(90):
            answers = await asyncio.gather(*(post() for _ in range(200)))
        statuses = Counter(answer.status_code for answer in answers)
        # Whoever was answered that nobody is there, on a machine that is busy, may have made the task all the same.
        assert statuses in ([{201: 1, 409: 199}, {409: 200}] if unavailable else [{201: 1, 409: 199}])
        (path,) = {answer.headers["location"] for answer in answers}
        refused = [answer for answer in answers if answer.status_code == httpx.codes.CONFLICT]
        assert {assert_problem(answer, 409, "unique_key_held")["task_id"] for answer in refused} == {path[7:]}
        found = (await client.get("/tasks", params={"unique_key": "invoice-4711"})).json()["items"]
        assert [(task["id"], task["unique_key"]) for task in found] == [(path[7:], "invoice-4711")]
        assert (
            await client.get("/tasks", params={"unique_key": "a/b"})
        ).status_code == httpx.codes.UNPROCESSABLE_ENTITY
        await client.post(f"{path}/cancel")
        assert (await client.post("/tasks", json=body)).status_code == httpx.codes.CREATED


async def test_the_same_request_is_answered_the_same_under_an_idempotency_key(client: httpx.AsyncClient) -> None:
    """Whether it made a task, or was told one; what was refused is decided anew."""
    first = await client.post("/tasks", json={"title": "t", "unique": {"key": "k"}})
    for on_conflict, status in (("return_existing", 200), ("replace_waiting", 201), ("reject", 409)):
        body = {"title": "t", "unique": {"key": "k", "on_conflict": on_conflict}}
        asked, again = [
            await client.post("/tasks", json=body, headers={"Idempotency-Key": on_conflict}) for _ in range(2)
        ]
        assert (asked.status_code, again.status_code) == (status, status)
        assert (again.headers["location"], again.content) == (asked.headers["location"], asked.content)
        assert again.headers.get("idempotent-replayed") == (None if on_conflict == "reject" else "true")
    replaced = (await client.get(first.headers["location"])).json()
    assert replaced["status"] == "cancelled"
    batch = {"tasks": [{"title": "new"}, {"title": "old", "unique": {"key": "k", "on_conflict": "return_existing"}}]}
    items = (await client.post("/tasks/batch", json=batch)).json()["items"]
    assert [(item["title"], item["is_existing"]) for item in items] == [("new", False), ("t", True)]
