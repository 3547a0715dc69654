"""Endpoints of single tasks: what they ask the store, and how they answer."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from taskmill.contracts import registry
from taskmill.contracts.errors import AlreadyFinishedError, RevisionMismatchError, TaskNotFoundError, UniqueKeyHeldError
from taskmill.contracts.requests import EditableTask
from taskmill.gateway.api import examples
from tests.support.gateway import NEW_TASK_ID, TASK, RememberingStore, assert_problem

PATH = f"/tasks/{NEW_TASK_ID}"
OTHER_ID = "01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d99"


async def test_a_created_task_is_told_where_it_is(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """The answer has the path, the first revision's ETag, and the store's reply as it came."""
    store.answers(registry.CREATE, TASK)
    response = await client.post("/tasks", json={"title": "t", "process": True})
    assert response.status_code == 201
    assert response.headers["location"] == PATH
    assert response.headers["etag"] == '"1"'
    assert response.headers["content-type"] == "application/json"
    assert response.json() == TASK
    assert store.asked == [("tasks.v1.cmd.create", {"id": str(NEW_TASK_ID), "title": "t", "process": True})]


@pytest.mark.parametrize("is_replayed", [False, True])
async def test_a_task_that_stands_for_a_new_one_is_answered_with_200(
    is_replayed: bool, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """With its path and its own revision; nothing was created. So it is, too, when the request is made again."""
    store.answers(registry.CREATE, {**TASK, "id": OTHER_ID}, is_existing=True, is_replayed=is_replayed)
    unique = {"key": "k", "on_conflict": "return_existing"}
    response = await client.post("/tasks", json={"title": "t", "unique": unique}, headers={"Idempotency-Key": "x"})
    assert (response.status_code, response.headers["location"]) == (200, f"/tasks/{OTHER_ID}")
    assert response.headers["etag"] == '"7"'
    assert response.headers.get("idempotent-replayed") == ("true" if is_replayed else None)
    assert store.asked[0][1]["unique"] == unique


@pytest.mark.parametrize("path", ["/tasks", "/tasks/batch"])
async def test_who_holds_a_unique_key_is_named(path: str, client: httpx.AsyncClient, store: RememberingStore) -> None:
    """By its id, and by its path, where a client can look."""
    for command in (registry.CREATE, registry.CREATE_MANY):
        store.answers(command, UniqueKeyHeldError(UUID(OTHER_ID)))
    task = {"title": "t", "unique": {"key": "k"}}
    response = await client.post(path, json=task if path == "/tasks" else {"tasks": [task]})
    assert assert_problem(response, 409, "unique_key_held")["task_id"] == OTHER_ID
    assert response.headers["location"] == f"/tasks/{OTHER_ID}"


async def test_a_batch_is_one_command(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """Every task gets an id, and all travel together."""
    store.answers(registry.CREATE_MANY, examples.RECEIPTS)
    response = await client.post("/tasks/batch", json={"tasks": [{"title": "a"}, {"title": "b", "payload": [1]}]})
    assert response.status_code == 201
    assert response.json() == examples.RECEIPTS
    asked = [{"id": str(NEW_TASK_ID), "title": "a"}, {"id": str(NEW_TASK_ID), "title": "b", "payload": [1]}]
    assert store.asked == [("tasks.v1.cmd.create_many", {"tasks": asked})]


async def test_a_task_is_read_with_its_etag(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """The ETag is the revision; a payload that has a field of that name does not matter."""
    store.answers(registry.GET, {**TASK, "payload": {"revision": 99}})
    response = await client.get(PATH)
    assert response.status_code == 200
    assert response.headers["etag"] == '"7"'


@pytest.mark.parametrize("tags", ['"7"', 'W/"7"', '"6", "7"', "*", '"6",W/"7"'])
async def test_a_known_revision_is_not_sent_again(
    tags: str, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """If-None-Match with the ETag, weak or in a list, is answered with 304 and no body."""
    store.answers(registry.GET, TASK)
    response = await client.get(PATH, headers={"If-None-Match": tags})
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == '"7"'


@pytest.mark.parametrize("tags", ['"6"', '"77"', "7", '""', "nonsense"])
async def test_another_revision_is_sent(tags: str, client: httpx.AsyncClient, store: RememberingStore) -> None:
    """Any other ETag gets the task."""
    store.answers(registry.GET, TASK)
    assert (await client.get(PATH, headers={"If-None-Match": tags})).status_code == 200


async def test_several_lines_of_a_header_are_one_list(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """A header that lists tags may come in several lines."""
    store.answers(registry.GET, TASK)
    response = await client.get(PATH, headers=[("If-None-Match", '"6"'), ("If-None-Match", '"7"')])
    assert response.status_code == 304


async def test_the_policy_of_a_new_task_is_passed_on(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """Attempts, backoff, timeout and start go to the store as they are, the start in UTC."""
    store.answers(registry.CREATE, TASK)
    policy = {"max_attempts": 100, "backoff": {"base_seconds": 0.5, "jitter": 1}, "timeout_seconds": 0.25}
    response = await client.post("/tasks", json={"title": "t", **policy, "run_at": "2026-11-24T14:00+02:00"})
    assert response.status_code == 201, response.text
    [(_, asked)] = store.asked
    assert {name: asked[name] for name in policy} == policy
    assert asked["run_at"] == "2026-11-24T12:00:00Z"


async def test_put_takes_what_get_gave(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """Editable fields become changes; the others are handed on to be compared."""
    store.answers(registry.GET, TASK)
    store.answers(registry.UPDATE, TASK)
    body = (await client.get(PATH)).json()
    response = await client.put(PATH, json=body)
    assert response.status_code == 200
    assert response.headers["etag"] == '"7"'
    _, asked = store.asked[-1]
    editable = EditableTask.model_fields.keys() & body.keys()
    assert asked["id"] == TASK["id"]
    assert asked["changes"] == {name: body[name] for name in editable}
    assert asked["unchanged"].keys() == body.keys() - editable - {"waiting_for"}
    assert "is_merge_patch" not in asked


async def test_put_leaves_out_what_is_left_out(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """Fields that are not in the body are not in the command."""
    store.answers(registry.UPDATE, TASK)
    await client.put(PATH, json={"title": "new", "version": 3})
    assert store.asked == [
        (
            "tasks.v1.cmd.update",
            {"id": TASK["id"], "changes": {"title": "new"}, "unchanged": {"version": 3}, "expected_revision": None},
        )
    ]


@pytest.mark.parametrize("media_type", ["application/json", "application/merge-patch+json"])
async def test_patch_is_a_merge_patch(media_type: str, client: httpx.AsyncClient, store: RememberingStore) -> None:
    """Nulls are handed on: they clear."""
    store.answers(registry.UPDATE, TASK)
    patch: dict[str, Any] = {
        "description": None,
        "labels": {"a": None, "b": "c"},
        "payload": {"x": {"y": None}},
        "priority": None,
    }
    patch |= {"max_attempts": None, "timeout_seconds": 1.5, "backoff": {"factor": None, "jitter": 0}}
    response = await client.patch(PATH, json=patch, headers={"Content-Type": media_type})
    assert response.status_code == 200
    [(subject, asked)] = store.asked
    assert subject == "tasks.v1.cmd.update"
    assert (asked["changes"], asked["is_merge_patch"]) == (patch, True)


@pytest.mark.parametrize(
    ("method", "body", "pointer"),
    [
        ("PUT", {"color": "red"}, "/color"),
        ("PUT", {"title": None}, "/title"),
        ("PUT", {"priority": None}, "/priority"),
        ("PUT", {"status": "done"}, "/status"),
        ("PUT", {"version": "3"}, "/version"),
        ("PATCH", {"version": 3}, "/version"),
        ("PATCH", {"result": 3}, "/result"),
        ("PATCH", {"color": "red"}, "/color"),
        ("PATCH", {"title": None}, "/title"),
        ("PATCH", {"status": None}, "/status"),
        ("PATCH", {"labels": {"team": 5}}, "/labels/team"),
        ("PATCH", {"run_at": "2026-11-24T12:00:00Z"}, "/run_at"),
        ("PATCH", {"backoff": {"factor": "2"}}, "/backoff/factor"),
        ("PATCH", {"backoff": {"speed": 2}}, "/backoff"),
        ("PATCH", {"max_attempts": 101}, "/max_attempts"),
        ("PUT", {"backoff": {"factor": 0}}, "/backoff/factor"),
        ("PUT", {"timeout_seconds": 0}, "/timeout_seconds"),
    ],
)
async def test_a_bad_edit_is_refused(
    method: str, body: object, pointer: str, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """The pointer says which field, and the store is asked for nothing."""
    problem = assert_problem(await client.request(method, PATH, json=body), 422, "invalid_request")
    assert problem["errors"][0]["pointer"] == pointer
    assert store.asked == []


CHANGES = [("PUT", {"title": "t"}), ("PATCH", {"title": "t"}), ("DELETE", None), ("POST", None)]


async def _change(client: httpx.AsyncClient, method: str, body: object, if_match: str) -> httpx.Response:
    path = f"{PATH}/process" if method == "POST" else PATH
    return await client.request(method, path, json=body, headers={"If-Match": if_match})


def _answer_changes(store: RememberingStore) -> None:
    for command in (registry.GET, registry.UPDATE, registry.PROCESS):
        store.answers(command, TASK)
    store.answers(registry.DELETE, {"id": TASK["id"], "version": 9})


@pytest.mark.parametrize(("method", "body"), CHANGES)
async def test_a_change_is_made_for_one_revision(
    method: str, body: object, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """If-Match becomes the revision that the store compares."""
    _answer_changes(store)
    assert (await _change(client, method, body, '"5"')).is_success
    assert [asked["expected_revision"] for _, asked in store.asked] == [5]


@pytest.mark.parametrize(("method", "body"), CHANGES)
@pytest.mark.parametrize("tags", ['W/"7"', "7", '"x"', '""', '"-1"', '"99999999999999999999999"'])
async def test_a_tag_that_is_no_revision_never_matches(
    method: str, body: object, tags: str, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """Weak and foreign tags are answered with 412, and nothing changes."""
    _answer_changes(store)
    assert_problem(await _change(client, method, body, tags), 412, "revision_mismatch")
    assert store.asked == []


async def test_of_several_revisions_the_present_one_counts(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """The store compares one; it is read first, and must be in the list."""
    _answer_changes(store)
    assert (await _change(client, "DELETE", None, '"6", "7"')).status_code == 204
    assert store.asked[-1][1]["expected_revision"] == 7


async def test_the_store_refuses_when_none_of_several_is_present(
    client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """Only it knows whether the request is one that is made again, and so was right when it was made first."""
    _answer_changes(store)
    store.answers(registry.DELETE, RevisionMismatchError())
    assert_problem(await _change(client, "DELETE", None, '"5", "6"'), 412, "revision_mismatch")
    assert store.asked[-1][1]["expected_revision"] == 6


@pytest.mark.parametrize(("query", "force"), [("", False), ("?force=false", False), ("?force=true", True)])
async def test_a_run_is_deleted_only_by_force(
    query: str, force: bool, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """The store is told whether it may cancel first."""
    _answer_changes(store)
    assert (await client.delete(f"{PATH}{query}")).status_code == 204
    assert [asked["force"] for _, asked in store.asked] == [force]


@pytest.mark.parametrize("value", ["", "yes", "1", "True", "true&force=true"])
async def test_force_is_true_or_false(value: str, client: httpx.AsyncClient, store: RememberingStore) -> None:
    """Nothing else is taken for a yes."""
    problem = assert_problem(await client.delete(f"{PATH}?force={value}"), 422, "invalid_request")
    assert problem["errors"][0]["pointer"] == "force"
    assert store.asked == []


@pytest.mark.parametrize(("task_status", "answer_status"), [("cancelled", 200), ("in_progress", 202)])
async def test_a_cancellation_says_whether_it_is_done(
    task_status: str, answer_status: int, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """200 for a task that is cancelled, 202 for one whose processor has yet to stop."""
    task = {**TASK, "status": task_status}
    store.answers(registry.CANCEL, task)
    response = await client.post(f"{PATH}/cancel", headers={"If-Match": '"7"'})
    assert (response.status_code, response.json()) == (answer_status, task)
    assert (response.headers["etag"], response.headers["location"]) == ('"7"', PATH)
    assert store.asked == [
        ("tasks.v1.cmd.cancel", {"id": str(NEW_TASK_ID), "expected_revision": 7, "idempotency": None})
    ]


async def test_what_has_ended_is_not_cancelled(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """409, and a code that tells it from other conflicts."""
    store.answers(registry.CANCEL, AlreadyFinishedError())
    assert_problem(await client.post(f"{PATH}/cancel"), 409, "already_finished")


async def test_any_revision_will_do(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """If-Match: * asks only that the task exists, which the store sees anyway."""
    _answer_changes(store)
    assert (await _change(client, "DELETE", None, "*")).status_code == 204
    assert store.asked[-1][1]["expected_revision"] is None


async def test_a_stale_revision_is_the_stores_answer(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """What the store refuses is told with its code."""
    store.answers(registry.UPDATE, RevisionMismatchError())
    assert_problem(await _change(client, "PATCH", {"title": "t"}, '"1"'), 412, "revision_mismatch")


async def test_a_deleted_task_has_no_answer_but_the_status(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """204 and nothing else."""
    _answer_changes(store)
    response = await client.delete(PATH)
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("options", [{}, {"json": {}}, {"content": b"", "headers": {"Content-Type": "text/plain"}}])
async def test_processing_needs_no_body(
    options: dict[str, object], client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """Nothing, or an empty object; whatever a client says of the type of nothing."""
    _answer_changes(store)
    response = await client.post(f"{PATH}/process", **options)  # type: ignore[arg-type]
    assert response.status_code == 202
    assert response.headers["location"] == PATH
    assert response.headers["etag"] == '"7"'


@pytest.mark.parametrize("verb", ["process", "cancel"])
async def test_process_and_cancel_take_no_wishes(verb: str, client: httpx.AsyncClient, store: RememberingStore) -> None:
    """A field that does nothing is refused rather than ignored."""
    problem = assert_problem(await client.post(f"{PATH}/{verb}", json={"delay": 5}), 422, "invalid_request")
    assert problem["errors"][0]["pointer"] == "/delay"
    assert store.asked == []


@pytest.mark.parametrize("task_id", ["5", "nonsense", "%00", f"{NEW_TASK_ID}x"])
async def test_what_is_no_id_has_no_task(task_id: str, client: httpx.AsyncClient, store: RememberingStore) -> None:
    """Who has a wrong id is told so, whatever is wrong with it; the store is not asked."""
    assert_problem(await client.get(f"/tasks/{task_id}"), 404, "task_not_found")
    assert store.asked == []


async def test_an_unknown_task_is_the_stores_answer(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """The code tells it from a wrong path."""
    store.answers(registry.GET, TaskNotFoundError())
    assert_problem(await client.get(PATH), 404, "task_not_found")
