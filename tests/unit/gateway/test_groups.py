"""Groups and dependencies over HTTP: what the store is asked, what the client is told, and what is refused."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from taskmill.contracts import registry
from taskmill.contracts.errors import GroupNotFoundError, RemoteError
from taskmill.gateway.api import examples
from tests.support.gateway import NEW_TASK_ID, RememberingStore, assert_problem

GROUP = examples.GROUP
OTHER_ID = "01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d43"
TASK: dict[str, Any] = {
    "title": "one of many",
    "process": True,
    "after": [OTHER_ID],
    "on_dependency_failure": "process",
}


async def test_a_group_is_made_and_can_be_followed(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """Each of its tasks gets an id, those for its outcomes too; Location leads to where it can be read."""
    store.answers(registry.CREATE_GROUP, GROUP)
    store.answers(registry.GET_GROUP, GROUP)
    follow_up = {"title": "Tell", "payload": {"n": 1}}
    body = {"title": "ä", "tasks": [TASK, {"title": "other"}], "on_completed": follow_up, "on_failed": None}
    response = await client.post("/groups", json=body, headers={"Idempotency-Key": "k"})
    assert (response.status_code, response.json()) == (201, GROUP)
    assert response.headers["location"] == f"/groups/{GROUP['id']}"
    followed = await client.get(response.headers["location"])
    assert (followed.status_code, followed.json()) == (200, GROUP)
    (_, made), (_, read) = store.asked
    an_id: dict[str, Any] = {"id": str(NEW_TASK_ID)}
    assert made.pop("idempotency")["key"] == "k"
    assert made == {
        **an_id,
        "title": "ä",
        "tasks": [{**an_id, **TASK}, {**an_id, "title": "other"}],
        "on_completed": {**an_id, **follow_up},
    }
    assert read == {"id": GROUP["id"]}


async def test_groups_and_their_tasks_are_listed(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """A page leads to the next one."""
    store.answers(registry.LIST_GROUPS, {**examples.GROUP_PAGE, "next_cursor": "next"})
    store.answers(registry.LIST, examples.TASK_PAGE)
    page = await client.get("/groups?limit=1&cursor=here")
    assert page.headers["link"] == '</groups?limit=1&cursor=next>; rel="next"'
    assert (await client.get("/tasks", params={"group_id": OTHER_ID})).status_code == 200
    (_, groups), (_, tasks) = store.asked
    assert groups == {"limit": 1, "cursor": "here"}
    assert tasks["filter"]["group_id"] == OTHER_ID


BAD: list[tuple[str, Any, str]] = [
    ("/groups", {"title": "g"}, "/tasks"),
    ("/groups", {"tasks": [TASK]}, "/title"),
    ("/groups", {"title": "g", "tasks": []}, "/tasks"),
    ("/groups", {"title": "g", "tasks": [{"title": "t"}] * 1_001}, "/tasks"),
    ("/groups", {"title": "g", "tasks": [{"title": "t", "after": [7]}]}, "/tasks/0/after/0"),
    (
        "/groups",
        {"title": "g", "tasks": [TASK], "on_completed": {"title": "t", "process": True}},
        "/on_completed/process",
    ),
    ("/groups", {"title": "g", "tasks": [TASK], "on_failed": {"title": "t", "after": []}}, "/on_failed/after"),
    ("/groups", {"title": "g", "tasks": [TASK], "on_failed": {}}, "/on_failed/title"),
    ("/groups", {"title": "g", "tasks": [{"title": "t", "unique": {"key": "k"}}]}, "/tasks/0"),
    ("/tasks", {"title": "t", "after": "all"}, "/after"),
    ("/tasks", {"title": "t", "after": [OTHER_ID, OTHER_ID]}, "/after"),
    ("/tasks", {"title": "t", "after": [str(UUID(int=number)) for number in range(101)]}, "/after"),
    ("/tasks", {"title": "t", "on_dependency_failure": "fail"}, "/on_dependency_failure"),
]


@pytest.mark.parametrize(("path", "body", "pointer"), BAD)
async def test_what_does_not_fit_is_refused(
    client: httpx.AsyncClient, store: RememberingStore, path: str, body: Any, pointer: str
) -> None:
    """Nobody is asked; what is wrong is named."""
    problem = assert_problem(await client.post(path, json=body), 422, "invalid_request")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert store.asked == []


async def test_a_group_that_is_not_there(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """It is told as such, also if what stands in the path is no id."""
    store.answers(registry.GET_GROUP, RemoteError(GroupNotFoundError().problem()))
    assert_problem(await client.get(f"/groups/{OTHER_ID}"), 404, "group_not_found")
    assert_problem(await client.get("/groups/mine"), 404, "group_not_found")
