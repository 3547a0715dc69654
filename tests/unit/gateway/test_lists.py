"""Pages: query parameters, the next page, and what is refused."""

import httpx
import pytest

from taskmill.contracts import registry
from tests.support.gateway import NEW_TASK_ID, RememberingStore, assert_problem

HISTORY = [
    (registry.ATTEMPTS, f"/tasks/{NEW_TASK_ID}/attempts"),
    (registry.EVENTS, f"/tasks/{NEW_TASK_ID}/events"),
    (registry.LINES, f"/tasks/{NEW_TASK_ID}/logs"),
]


async def test_every_condition_reaches_the_store(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """Each parameter has its place in the command; instants are told in UTC."""
    store.answers(registry.LIST, {"items": [], "next_cursor": None})
    response = await client.get(
        "/tasks",
        params={
            "status": ["pending", "failed"],
            "title": "50%_off",
            "kind": "echo",
            "queue": "q",
            "priority": "high",
            "label": ["team:web:1", "urgent", "empty:"],
            "created_after": "2026-11-24T12:00:00+02:00",
            "created_before": "2026-11-24T12:00:00.5Z",
            "sort": "created_at",
            "limit": "200",
            "cursor": "abc-_",
        },
    )
    assert response.status_code == 200
    [(subject, asked)] = store.asked
    assert subject == "tasks.v1.cmd.list"
    assert asked == {
        "filter": {
            "status": ["pending", "failed"],
            "title": "50%_off",
            "kind": "echo",
            "queue": "q",
            "priority": "high",
            "labels": {"team": "web:1", "urgent": None, "empty": ""},
            "created_after": "2026-11-24T10:00:00Z",
            "created_before": "2026-11-24T12:00:00.500000Z",
        },
        "sort": "created_at",
        "limit": 200,
        "cursor": "abc-_",
    }


async def test_a_page_tells_the_next_one(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """The Link has the same conditions, and the new cursor instead of the old."""
    store.answers(registry.LIST, {"items": [], "next_cursor": "new"})
    response = await client.get("/tasks?label=a%3Ab&title=%26&cursor=old&limit=5")
    assert response.headers["link"] == '</tasks?label=a%3Ab&title=%26&limit=5&cursor=new>; rel="next"'


async def test_the_last_page_tells_none(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """Without a next cursor there is no Link."""
    store.answers(registry.LIST, {"items": [], "next_cursor": None})
    assert "link" not in (await client.get("/tasks")).headers


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("limit=1_0", "limit"),
        ("limit=%2B5", "limit"),
        ("limit=%205", "limit"),
        ("limit=05", "limit"),
        ("limit=5.0", "limit"),
        ("limit=", "limit"),
        ("limit=5&limit=6", "limit"),
        ("status=done", "status"),
        ("status=" + "&status=".join(["pending"] * 8), "status"),
        ("title=", "title"),
        ("title=" + "t" * 201, "title"),
        ("title=%00", "title"),
        ("kind=a.b", "kind"),
        ("queue=%3E", "queue"),
        ("priority=urgent", "priority"),
        ("label=:web", "label"),
        ("label=te%20am:web", "label"),
        ("label=team:%00", "label"),
        ("label=team:a&label=team:b", "label"),
        ("&".join(f"label=k{number}" for number in range(9)), "label"),
        ("created_after=2026-11-24", "created_after"),
        ("created_after=2026-11-24T12:00:00", "created_after"),
        ("created_after=1700000000", "created_after"),
        ("created_before=0001-01-01T00:00:00%2B14:00", "created_before"),
        ("created_before=2026-13-24T12:00:00Z", "created_before"),
        ("sort=title", "sort"),
        ("cursor=%20", "cursor"),
        ("cursor=" + "c" * 201, "cursor"),
        ("offset=5", "offset"),
    ],
)
async def test_a_bad_parameter_is_refused(
    query: str, parameter: str, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """The answer names the parameter, and the store is asked for nothing."""
    problem = assert_problem(await client.get(f"/tasks?{query}"), 422, "invalid_request")
    assert problem["errors"][0]["pointer"] == parameter
    assert store.asked == []


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/tasks?limit=0", "Input should be greater than or equal to 1"),
        ("/tasks?limit=-1", "Input should be greater than or equal to 1"),
        ("/tasks?limit=201", "Input should be less than or equal to 200"),
        ("/tasks?limit=many", "Input should be a whole number such as 50"),
        ("/tasks?label=te%20am:web", "Input should be `key` or `key:value`; a key is 1 to 64 letters"),
        ("/tasks?created_after=yesterday", "Input should be an instant "),
        ("/tasks?kind=a.b", "Input should be 1 to 64 of a-z, 0-9, `_` and `-`, "),
        (f"/tasks/{NEW_TASK_ID}?wait=-1", "Input should be greater than or equal to 0"),
        (f"/tasks/{NEW_TASK_ID}?wait=61", "Input should be less than or equal to 60"),
        (f"/tasks/{NEW_TASK_ID}?wait=soon", "Input should be a whole number such as 50"),
        ("/events?after=-1", "Input should be greater than or equal to 0"),
        (f"/events?after={2**63}", f"Input should be less than or equal to {2**63 - 1}"),
        ("/events?task=zz", "Input should be a valid UUID"),
    ],
)
async def test_a_bad_parameter_is_told_what_it_should_be(path: str, detail: str, client: httpx.AsyncClient) -> None:
    """In one sentence for a person: neither that it may be left out, nor a regular expression."""
    problem = assert_problem(await client.get(path), 422, "invalid_request")
    [error] = problem["errors"]
    assert error["detail"].startswith(detail)


@pytest.mark.parametrize("query", ["title=%ff", "title=%ed%a0%80", "&".join(["status=pending"] * 65)])
async def test_a_bad_query_is_refused(query: str, client: httpx.AsyncClient, store: RememberingStore) -> None:
    """A query that is no UTF-8, or has too many parts, is not guessed at."""
    assert_problem(await client.get(f"/tasks?{query}"), 422, "invalid_request")
    assert store.asked == []


@pytest.mark.parametrize(("command", "path"), HISTORY)
async def test_the_history_comes_in_pages(
    command: registry.Command, path: str, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """Attempts, events and lines are asked for by task, and answered as they come."""
    store.answers(command, {"items": [{"a": 1}], "next_cursor": "more"})
    response = await client.get(f"{path}?limit=1&cursor=old")
    assert response.json() == {"items": [{"a": 1}], "next_cursor": "more"}
    assert response.headers["link"] == f'<{path}?limit=1&cursor=more>; rel="next"'
    assert store.asked == [(command.subject, {"task_id": str(NEW_TASK_ID), "limit": 1, "cursor": "old"})]


@pytest.mark.parametrize("path", [f"/tasks/{NEW_TASK_ID}", *[path for _, path in HISTORY], "/health", "/livez"])
async def test_an_unknown_parameter_is_refused_everywhere(
    path: str, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """A parameter that does nothing is refused rather than ignored."""
    problem = assert_problem(await client.get(f"{path}?wish=5"), 422, "invalid_request")
    assert problem["errors"][0]["pointer"] == "wish"
    assert store.asked == []
