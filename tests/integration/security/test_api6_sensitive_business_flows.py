"""OWASP API6: what does much at once can be tried before, and is done once, however often it is asked for."""

import pytest

from tests.support.eventually import holds
from tests.support.gateway import assert_problem
from tests.support.guarded import Guarded

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_what_a_bulk_operation_would_do_is_told_before_it_is_done(guarded: Guarded) -> None:
    """A dry run changes nothing; and one that does not say which tasks is refused, rather than meaning all."""
    label = {"flow": "bulk"}
    batch = {"tasks": [{"title": "x", "labels": label} for _ in range(3)]}
    assert (await guarded.ask("POST", "/tasks/batch", json=batch)).status_code == 201
    chosen = {"filter": {"labels": label}}
    for body in ({"action": "delete"}, {"action": "delete", "filter": {}}):
        assert_problem(await guarded.ask("POST", "/tasks/bulk", json=body), 422, "invalid_request")
    tried = await guarded.ask("POST", "/tasks/bulk", json={"action": "delete", "dry_run": True, **chosen})
    assert tried.status_code in {200, 202}, tried.text

    async def check_ended() -> None:
        operation = (await guarded.ask("GET", f"/operations/{tried.json()['id']}")).json()
        assert operation["finished_at"] is not None

    await holds(check_ended)
    found = await guarded.ask("GET", "/tasks", params={"label": "flow:bulk"})
    assert len(found.json()["items"]) == 3


@pytest.mark.parametrize("path", ["/tasks", "/tasks/batch"])
async def test_what_is_asked_again_is_done_once(path: str, guarded: Guarded) -> None:
    """Under its key; another request under that key is refused."""
    label = path.rpartition("/")[2]
    new = {"title": "once", "labels": {"flow": label}}
    body = new if path == "/tasks" else {"tasks": [new]}
    headers = {"Idempotency-Key": f"flow-{path}"}
    first, again = [await guarded.ask("POST", path, json=body, headers=headers) for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert again.headers["Idempotent-Replayed"] == "true"
    other = {"title": "other"} if path == "/tasks" else {"tasks": [{"title": "other"}]}
    answer = await guarded.ask("POST", path, json=other, headers=headers)
    assert_problem(answer, 422, "idempotency_key_reused")
    found = await guarded.ask("GET", "/tasks", params={"label": f"flow:{label}"})
    assert len(found.json()["items"]) == 1
