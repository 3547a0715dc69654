"""OWASP API1: nobody reaches an object by its id that is not there for them.

Tasks have no owners: whoever may read tasks may read all. So what is left is that an id opens nothing by itself.
"""

from uuid import uuid4

import pytest

from tests.support.gateway import assert_problem
from tests.support.guarded import Guarded, bearer

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/tasks/{id}"),
        ("PATCH", "/tasks/{id}"),
        ("DELETE", "/tasks/{id}"),
        ("POST", "/tasks/{id}/cancel"),
        ("GET", "/tasks/{id}/attempts"),
        ("GET", "/tasks/{id}/logs"),
        ("GET", "/operations/{id}"),
        ("GET", "/replays/{id}"),
        ("GET", "/webhooks/{id}"),
        ("POST", "/webhooks/{id}/rotate"),
        ("GET", "/webhooks/{id}/deliveries"),
        ("GET", "/keys/{id}"),
        ("POST", "/keys/{id}/revoke"),
    ],
)
async def test_an_id_of_something_else_is_the_id_of_nothing(method: str, path: str, guarded: Guarded) -> None:
    """A guessed id, that of another kind of thing, and one that tries to leave the path: 404 all."""
    webhook = (await guarded.ask("POST", "/webhooks", json={"url": "https://example.org/", "is_enabled": False})).json()
    task = (await guarded.ask("POST", "/tasks", json={"title": "x"})).json()
    foreign = task["id"] if "/tasks/" not in path else webhook["id"]
    body = {"json": {"title": "y"}} if method == "PATCH" else {}
    for an_id in (str(uuid4()), foreign, "%2e%2e%2fkeys", "1"):
        answer = await guarded.ask(method, path.replace("{id}", an_id), **body)
        assert_problem(answer, 404, answer.json()["code"])
        assert answer.json()["code"].endswith("not_found")
    assert (await guarded.ask("GET", f"/tasks/{task['id']}")).json() == task
    assert (await guarded.ask("DELETE", f"/webhooks/{webhook['id']}")).status_code == 204


async def test_an_id_tells_nothing_to_who_may_not_read(guarded: Guarded) -> None:
    """An id that exists and one that does not get the same answer."""
    writer = await guarded.bearer("events:read")
    task = (await guarded.ask("POST", "/tasks", json={"title": "x"})).json()
    answers = [await guarded.client.get(f"/tasks/{an_id}", headers=writer) for an_id in (task["id"], uuid4())]
    assert_problem(answers[0], 403, "missing_scope")
    assert answers[0].content == answers[1].content


async def test_whoever_has_a_key_reads_no_other(guarded: Guarded) -> None:
    """Not even what is known of it, without the scope for that."""
    mine, other = await guarded.made_key(["tasks:read"]), await guarded.made_key(["tasks:read"])
    for an_id in (mine["id"], other["id"]):
        for method, path in (("GET", f"/keys/{an_id}"), ("POST", f"/keys/{an_id}/revoke")):
            answer = await guarded.client.request(method, path, headers=bearer(mine["key"]))
            assert_problem(answer, 403, "missing_scope")
    assert (await guarded.client.get("/tasks", headers=bearer(other["key"]))).status_code == 200
