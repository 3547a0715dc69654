"""OWASP API4: every size and number has a limit. What bad bodies get: `unit/gateway/test_bad_bodies.py`."""

import asyncio
import json

import pytest

from tests.support.gateway import assert_problem
from tests.support.guarded import Guarded, Start

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b'{"title": "x", "payload": "' + b"x" * 2_000_000 + b'"}', 413, id="large"),
        pytest.param(b'{"title": "x", "payload": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, id="deep"),
        pytest.param(json.dumps({"title": "x" * 201}).encode(), 422, id="long"),
        pytest.param(json.dumps({"title": "x", "labels": {f"l{n}": "x" for n in range(33)}}).encode(), 422, id="many"),
        pytest.param(json.dumps({"title": "x", "max_attempts": 10**9}).encode(), 422, id="attempts"),
        pytest.param(json.dumps({"title": "x", "timeout_seconds": 10**9}).encode(), 422, id="timeout"),
    ],
)
async def test_a_task_has_limits(body: bytes, status: int, guarded: Guarded) -> None:
    """Of each dimension, and a body that is past one is answered with a problem."""
    answer = await guarded.ask("POST", "/tasks", content=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, status, answer.json()["code"])


async def test_a_page_and_a_wait_and_a_batch_have_limits(guarded: Guarded) -> None:
    """Whoever wants more asks again."""
    for path in (
        "/tasks?limit=1001",
        "/events?limit=1001",
        "/keys?limit=1001",
        "/webhooks?limit=1001",
        "/tasks?limit=0",
    ):
        assert_problem(await guarded.ask("GET", path), 422, "invalid_request")
    assert_problem(await guarded.ask("POST", "/tasks?wait=61", json={"title": "x"}), 422, "invalid_request")
    batch = {"tasks": [{"title": "x"}] * 1_001}
    assert_problem(await guarded.ask("POST", "/tasks/batch", json=batch), 422, "invalid_request")


async def test_followers_and_requests_are_counted(start_gateway: Start) -> None:
    """No more streams than there are places, and no more requests of a key than the rate allows; others go on."""
    guarded = await start_gateway(max_followers=1, rate_limit="5/hour")
    reader, other = await guarded.bearer("events:read"), await guarded.bearer("events:read")
    as_stream = {**reader, "Accept": "text/event-stream"}
    async with asyncio.timeout(20), guarded.client.stream("GET", "/events", headers=as_stream) as streamed:
        assert streamed.status_code == 200
        assert_problem(await guarded.client.get("/events", headers=as_stream), 503, "overloaded")
        answers = [await guarded.client.get("/events", headers=reader) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert_problem(answers[3], 429, "rate_limited")
    assert int(answers[3].headers["Retry-After"]) > 0
    assert (await guarded.client.get("/events", headers=other)).status_code == 200
