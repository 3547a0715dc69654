"""Processors and queues over HTTP."""

from typing import Any

import httpx
import pytest

from taskmill.contracts import registry
from taskmill.contracts.errors import (
    BusUnavailableError,
    ProcessorNotFoundError,
    QueueNotFoundError,
    TooManyQueuesError,
)
from taskmill.gateway.api import examples
from tests.support.gateway import RememberingStore, assert_problem

LISTS = [
    ("/processors", registry.LIST_PROCESSORS, examples.PROCESSOR_PAGE),
    ("/queues", registry.LIST_QUEUES, examples.QUEUE_PAGE),
]


@pytest.mark.parametrize(("path", "command", "page"), LISTS, ids=lambda value: value if isinstance(value, str) else "")
async def test_a_list_is_read_page_by_page(
    path: str, command: registry.Command, page: dict[str, Any], client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """The store's page is handed on, with the address of the next one."""
    store.answers(command, {**page, "next_cursor": "abc"})
    response = await client.get(path, params={"limit": 1, "cursor": "xyz"})
    assert response.status_code == 200
    assert response.json() == {**page, "next_cursor": "abc"}
    assert response.headers["link"] == f'<{path}?limit=1&cursor=abc>; rel="next"'
    assert store.asked == [(command.subject, {"limit": 1, "cursor": "xyz"})]


@pytest.mark.parametrize("path", ["/processors", "/queues"])
@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=", "cursor=a.b", "queue=web"])
async def test_a_wrong_query_is_refused(
    path: str, query: str, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """And nobody is asked."""
    assert_problem(await client.get(f"{path}?{query}"), 422, "invalid_request")
    assert store.asked == []


@pytest.mark.parametrize(
    ("verb", "command", "queue"),
    [
        ("pause", registry.PAUSE_QUEUE, examples.PAUSED_QUEUE),
        ("resume", registry.RESUME_QUEUE, examples.QUEUE),
    ],
    ids=["pause", "resume"],
)
@pytest.mark.parametrize("body", [None, {}])
async def test_a_queue_is_paused_and_resumed(
    verb: str,
    command: registry.Command,
    queue: dict[str, Any],
    body: object,
    client: httpx.AsyncClient,
    store: RememberingStore,
) -> None:
    """The answer is the queue; a body need not be there."""
    store.answers(command, queue)
    response = (
        await client.post(f"/queues/web-2_x/{verb}", json=body)
        if body is not None
        else await client.post(f"/queues/web-2_x/{verb}")
    )
    assert (response.status_code, response.json()) == (200, queue)
    assert store.asked == [(command.subject, {"name": "web-2_x"})]


@pytest.mark.parametrize("name", ["Web", "web.x", "*", "%3E", "a b", "_web", "a" * 65, "%00", "é", "web%0A"])
@pytest.mark.parametrize("verb", ["pause", "resume"])
async def test_no_queue_has_a_bad_name(
    name: str, verb: str, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """There is nothing at its path, and nobody is asked."""
    assert_problem(await client.post(f"/queues/{name}/{verb}"), 404, "not_found")
    assert store.asked == []


@pytest.mark.parametrize(
    ("verb", "command", "error", "status"),
    [
        ("pause", registry.PAUSE_QUEUE, TooManyQueuesError(64), 422),
        ("pause", registry.PAUSE_QUEUE, BusUnavailableError(), 503),
        ("resume", registry.RESUME_QUEUE, QueueNotFoundError(), 404),
    ],
    ids=["no room", "no bus", "no queue"],
)
async def test_a_refusal_is_a_problem(
    verb: str,
    command: registry.Command,
    error: Any,
    status: int,
    client: httpx.AsyncClient,
    store: RememberingStore,
) -> None:
    """With the code that the store gave it."""
    store.answers(command, error)
    assert_problem(await client.post(f"/queues/web/{verb}"), status, error.code)


async def test_only_post_pauses(client: httpx.AsyncClient) -> None:
    """Nothing else is there."""
    assert_problem(await client.get("/queues/web/pause"), 405, "method_not_allowed")
    assert_problem(await client.post("/queues/web/pause", json={"for": 5}), 422, "invalid_request")


async def test_a_processor_is_drained(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """The answer says that it has begun; one that nobody hears of is no processor."""
    store.answers(registry.DRAIN_PROCESSOR, examples.DRAINING_PROCESSOR)
    response = await client.post("/processors/worker-1/drain")
    assert (response.status_code, response.json()) == (202, examples.DRAINING_PROCESSOR)
    assert store.asked == [(registry.DRAIN_PROCESSOR.subject, {"id": "worker-1"})]
    store.answers(registry.DRAIN_PROCESSOR, ProcessorNotFoundError())
    assert_problem(await client.post("/processors/worker-1/drain"), 404, "processor_not_found")
    for name in ("a" * 65, "*", "a.b", "%3E"):
        assert_problem(await client.post(f"/processors/{name}/drain"), 404, "not_found")
