"""OWASP API3: nobody sets what only Taskmill sets, and no answer has more than is meant for who asks."""

from typing import Any

import pytest

from tests.support.gateway import assert_problem
from tests.support.guarded import Guarded

pytestmark = pytest.mark.asyncio(loop_scope="session")

ONLY_TASKMILL_SETS = {
    "id": "01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42",
    "version": 99,
    "revision": 99,
    "attempt": 3,
    "result": {"forged": True},
    "error": {"code": "x", "message": "x"},
    "created_at": "2020-01-01T00:00:00Z",
    "finished_at": "2020-01-01T00:00:00Z",
    "processor_id": "mine",
}


@pytest.mark.parametrize("field", ONLY_TASKMILL_SETS)
async def test_what_only_taskmill_sets_is_refused(field: str, guarded: Guarded) -> None:
    """When a task is made, in a batch, and when it is changed: nothing of it is stored."""
    forged = {field: ONLY_TASKMILL_SETS[field]}
    task = (
        await guarded.ask("POST", "/tasks", json={"title": "x", "labels": {"field": field.replace("_", "-")}})
    ).json()
    new = {"title": "forged", "labels": {"field": field.replace("_", "-")}, **forged}
    for method, path, body in (
        ("POST", "/tasks", new),
        ("POST", "/tasks/batch", {"tasks": [new]}),
        ("PATCH", f"/tasks/{task['id']}", {"title": "forged", **forged}),
        ("PUT", f"/tasks/{task['id']}", {**task, "title": "forged", **forged}),
    ):
        answer = await guarded.ask(method, path, json=body)
        assert answer.status_code == 422, (method, path, answer.text)
        assert_problem(answer, 422, answer.json()["code"])
    found = await guarded.ask("GET", "/tasks", params={"label": f"field:{field.replace('_', '-')}"})
    assert [item["id"] for item in found.json()["items"]] == [task["id"]]
    assert (await guarded.ask("GET", f"/tasks/{task['id']}")).json() == task


async def test_a_status_is_set_as_the_lifecycle_allows_only(guarded: Guarded) -> None:
    """Nobody says for Taskmill that a task has failed, and nobody makes one that is over from the start."""
    path = f"/tasks/{(await guarded.ask('POST', '/tasks', json={'title': 'x'})).json()['id']}"
    assert_problem(await guarded.ask("PATCH", path, json={"status": "failed"}), 409, "illegal_transition")
    answer = await guarded.ask("POST", "/tasks", json={"title": "x", "status": "completed"})
    assert_problem(answer, 422, "invalid_request")


@pytest.mark.parametrize(
    "forged",
    [{"id": "0" * 16}, {"digest": "0" * 64}, {"created_by": "key:root"}, {"revoked_at": None}, {"last_used_at": None}],
)
async def test_a_key_is_made_as_it_is_asked_for_only(forged: dict[str, Any], guarded: Guarded) -> None:
    """No other field is taken."""
    answer = await guarded.ask("POST", "/keys", json={"name": "x", "scopes": ["tasks:read"], **forged})
    assert_problem(answer, 422, "invalid_request")


async def test_secrets_are_shown_when_they_are_made_and_never_again(guarded: Guarded) -> None:
    """That of a key, and that of a webhook: no other answer has it, also not those to changes."""
    key = await guarded.made_key(["tasks:read"])
    webhook = (await guarded.ask("POST", "/webhooks", json={"url": "https://example.org/", "is_enabled": False})).json()
    path = f"/webhooks/{webhook['id']}"
    rotated = (await guarded.ask("POST", f"{path}/rotate")).json()
    assert rotated["secret"] != webhook["secret"]
    answers = [
        await guarded.ask("GET", "/keys"),
        await guarded.ask("GET", f"/keys/{key['id']}"),
        await guarded.ask("POST", f"/keys/{key['id']}/revoke"),
        await guarded.ask("GET", "/webhooks"),
        await guarded.ask("GET", path),
        await guarded.ask("PATCH", path, json={"description": "changed"}),
        await guarded.ask("GET", f"{path}/deliveries"),
    ]
    assert {answer.status_code for answer in answers} == {200}
    secrets = [key["key"].split("_")[2], webhook["secret"], rotated["secret"]]
    assert not [answer.text for answer in answers for secret in secrets if secret in answer.text]
    assert not [answer.text for answer in answers if "digest" in answer.text]
    assert (await guarded.ask("DELETE", path)).status_code == 204
