"""Every error is a problem document with a stable code."""

import httpx
import pytest

from taskmill.contracts import registry
from taskmill.contracts.errors import (
    BusUnavailableError,
    DatabaseUnavailableError,
    OverloadedError,
    Problem,
    QueueFullError,
    RemoteError,
    StoreUnavailableError,
    TaskmillError,
    error_codes,
)
from taskmill.gateway.api.http_errors import HTTP_ERRORS
from taskmill.gateway.errors import HTTP_ONLY_ERRORS
from tests.support.gateway import NEW_TASK_ID, RememberingStore, assert_problem

PATH = f"/tasks/{NEW_TASK_ID}"


def test_every_code_has_a_place_in_the_table() -> None:
    """The table has each code of the bus and of HTTP, and no other."""
    assert HTTP_ERRORS.keys() == error_codes().keys() | {error.code for error in HTTP_ONLY_ERRORS}


@pytest.mark.parametrize("code", sorted(error_codes()))
async def test_an_error_of_the_store_keeps_its_code(
    code: str, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """Code, detail and the offending parts are told as the store told them."""
    problem = Problem.model_validate(
        {"code": code, "detail": "As it was.", "errors": [{"pointer": "/a", "detail": "bad", "code": "b"}]}
    )
    store.answers(registry.GET, RemoteError(problem))
    told = assert_problem(await client.get(PATH), HTTP_ERRORS[code].status, code)
    assert (told["detail"], told["errors"]) == ("As it was.", [{"pointer": "/a", "detail": "bad", "code": "b"}])


async def test_a_code_of_the_future_is_an_internal_error(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """A newer store may know more; its code is passed on all the same."""
    store.answers(registry.GET, RemoteError(Problem(code="too_hot", detail="It burns.")))
    assert_problem(await client.get(PATH), 500, "too_hot")


@pytest.mark.parametrize(
    "error", [StoreUnavailableError(), BusUnavailableError(), DatabaseUnavailableError(), OverloadedError()]
)
async def test_what_may_succeed_later_says_when(
    error: TaskmillError, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """503 comes with Retry-After."""
    store.answers(registry.GET, error)
    response = await client.get(PATH)
    assert_problem(response, 503, error.code)
    assert response.headers["retry-after"] == "1"


async def test_a_full_queue_says_when_to_come_back(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """429 comes with Retry-After, as the store told it."""
    store.answers(registry.CREATE, RemoteError(QueueFullError("default", 5).problem()))
    response = await client.post("/tasks", json={"title": "t", "process": True})
    problem = assert_problem(response, 429, "queue_full")
    assert response.headers["retry-after"] == "5"
    assert "TASKMILL_MAX_QUEUED_TASKS" in problem["detail"]


async def test_an_unexpected_error_tells_nothing(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """What went wrong inside stays inside."""
    store.answers(registry.GET, RuntimeError("postgresql://taskmill:secret@db/"))
    response = await client.get(PATH)
    assert_problem(response, 500, "internal_error")
    assert "secret" not in response.text


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/tasks/",
        "/TASKS",
        f"{PATH}/",
        f"{PATH}/nothing",
        "/docs/assets/x",
        "/tasks/abc/nothing",
        "/tasks/..%2Fhealth",
    ],
)
async def test_a_wrong_path_is_a_problem(path: str, client: httpx.AsyncClient) -> None:
    """Paths are exact."""
    assert_problem(await client.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/tasks/abc?wait=5", "task_not_found"),
        ("POST", "/tasks/abc/process", "task_not_found"),
        ("GET", f"/tasks/{NEW_TASK_ID}0/events", "task_not_found"),
        ("GET", "/operations/abc", "bulk_operation_not_found"),
        ("GET", "/webhooks/abc/deliveries", "webhook_not_found"),
        ("GET", "/replays/abc", "replay_not_found"),
    ],
)
async def test_what_is_no_id_is_the_id_of_nothing(
    method: str, path: str, code: str, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """Who mistypes one, or has a variable that is not set, is told what was not found; the store is not asked."""
    assert_problem(await client.request(method, path), 404, code)
    assert store.asked == []


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/tasks", "GET, HEAD, POST"),
        ("GET", "/tasks/batch", "POST"),
        ("POST", PATH, "DELETE, GET, HEAD, PATCH, PUT"),
        ("OPTIONS", PATH, "DELETE, GET, HEAD, PATCH, PUT"),
        ("GET", f"{PATH}/process", "POST"),
        ("DELETE", f"{PATH}/cancel", "POST"),
        ("DELETE", f"{PATH}/events", "GET, HEAD"),
        ("POST", "/health", "GET, HEAD"),
        ("POST", "/openapi.json", "GET, HEAD"),
        ("DELETE", "/docs/assets/docs.js", "GET, HEAD"),
        ("FROBNICATE", "/tasks", "GET, HEAD, POST"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(
    method: str, path: str, allowed: str, client: httpx.AsyncClient
) -> None:
    """Allow has the methods of every route that the path has."""
    response = await client.request(method, path)
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == allowed


async def test_head_is_answered_like_get(client: httpx.AsyncClient) -> None:
    """Load balancers ask so; the server leaves out the body."""
    assert (await client.head("/livez")).status_code == 200


@pytest.mark.parametrize("code", sorted(HTTP_ERRORS))
async def test_the_type_of_a_problem_leads_to_its_explanation(code: str, client: httpx.AsyncClient) -> None:
    """`/problems/<code>` says what the code means."""
    kind = (await client.get(f"/problems/{code}")).json()
    assert (kind["code"], kind["status"]) == (code, HTTP_ERRORS[code].status)
    assert kind["title"]
    assert kind["description"]


async def test_an_unknown_code_has_no_explanation(client: httpx.AsyncClient) -> None:
    """There is nothing at the path of a code that is none."""
    assert_problem(await client.get("/problems/nonsense"), 404, "not_found")
