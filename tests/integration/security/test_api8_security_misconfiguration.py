"""OWASP API8: answers are closed by default, and errors tell nothing of the inside."""

import re

import pytest

from tests.support.gateway import assert_problem
from tests.support.guarded import Guarded, Start

pytestmark = pytest.mark.asyncio(loop_scope="session")

INSIDE = re.compile(
    r"Traceback|File \"|site-packages|asyncpg|sqlalchemy|nats:|postgresql:|SELECT |0x[0-9a-f]{8}", re.IGNORECASE
)
"""What an error must not have."""


async def test_other_sites_may_not_read(guarded: Guarded) -> None:
    """No CORS, also for who has a key; and a page of another site is refused."""
    origin = {"Origin": "https://attacker.example"}
    asked = {**origin, "Access-Control-Request-Method": "POST"}
    answers = [
        await guarded.client.options("/tasks", headers=asked),
        await guarded.ask("GET", "/tasks", headers=origin),
    ]
    assert [answer.status_code for answer in answers] == [405, 403]
    assert not [name for answer in answers for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "OPTIONS"])
async def test_other_methods_do_nothing(method: str, guarded: Guarded) -> None:
    """405 with those that there are, and nothing of the request in it."""
    answer = await guarded.ask(method, "/tasks", headers={"X-Canary": "canary"})
    assert answer.status_code in {400, 405}
    assert "canary" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/tasks?cursor=%00",
        "/tasks?label=%27%20OR%201=1",
        "/tasks/%27%3B--",
        "/events?after=99999999999999999999",
        "/keys/%00",
        "/docs/assets/..%2f..%2fapp.py",
        "/.env",
        "/openapi.json/..%2f.git/config",
    ],
)
async def test_errors_tell_nothing_of_the_inside(path: str, guarded: Guarded) -> None:
    """Whatever is asked: a problem, without versions, statements, paths or traces."""
    answer = await guarded.ask("GET", path)
    assert_problem(answer, answer.status_code, answer.json()["code"])
    assert answer.status_code in {404, 422}
    assert INSIDE.search(answer.text) is None
    assert "uvicorn" not in answer.headers.get("server", "")
    assert "x-powered-by" not in answer.headers


async def test_the_gateway_answers_under_its_names_only(start_gateway: Start) -> None:
    """Where its operator has given it any."""
    guarded = await start_gateway(allowed_hosts=["tasks.example.org"])
    assert_problem(await guarded.ask("GET", "/tasks", headers={"Host": "attacker.example"}), 421, "host_not_allowed")
    assert (await guarded.ask("GET", "/tasks", headers={"Host": "tasks.example.org"})).status_code == 200


async def test_what_has_a_secret_is_not_kept(guarded: Guarded) -> None:
    """By no cache on the way."""
    made = await guarded.ask("POST", "/keys", json={"name": "x", "scopes": ["tasks:read"]})
    assert made.headers["Cache-Control"] == "no-store"
