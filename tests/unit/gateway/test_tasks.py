"""Endpoints of single tasks: what they ask the store, and how they answer."""

import httpx
import pytest

from taskmill.contracts import registry
from taskmill.contracts.errors import RevisionMismatchError, TaskNotFoundError
from taskmill.gateway.api import examples
from tests.support.gateway import NEW_TASK_ID, TASK, RememberingStore, assert_problem

PATH = f"/tasks/{NEW_TASK_ID}"
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


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


async def test_put_takes_what_get_gave(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """Editable fields become changes; the others are handed on to be compared."""
    store.answers(registry.GET, TASK)
    store.answers(registry.UPDATE, TASK)
    body = (await client.get(PATH)).json()
    response = await client.put(PATH, json=body)
    assert response.status_code == 200
    assert response.headers["etag"] == '"7"'
    _, asked = store.asked[-1]
    editable = {"title", "description", "priority", "kind", "payload", "queue", "labels", "status"}
    assert asked["id"] == TASK["id"]
    assert asked["changes"] == {name: body[name] for name in editable}
    assert asked["unchanged"].keys() == body.keys() - editable
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
    patch = {"description": None, "labels": {"a": None, "b": "c"}, "payload": {"x": {"y": None}}, "priority": None}
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
    assert_problem(await _change(client, "DELETE", None, '"5", "6"'), 412, "revision_mismatch")


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


async def test_processing_takes_no_wishes(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """A field that does nothing is refused rather than ignored."""
    problem = assert_problem(await client.post(f"{PATH}/process", json={"delay": 5}), 422, "invalid_request")
    assert problem["errors"][0]["pointer"] == "/delay"
    assert store.asked == []


@pytest.mark.parametrize("task_id", ["5", "nonsense", "%00", f"{NEW_TASK_ID}x", "..%2Fhealth"])
async def test_what_is_no_id_has_no_task(task_id: str, client: httpx.AsyncClient, store: RememberingStore) -> None:
    """A path that cannot be a task's is answered like any path where nothing is."""
    assert_problem(await client.get(f"/tasks/{task_id}"), 404, "not_found")
    assert store.asked == []


async def test_an_unknown_task_is_the_stores_answer(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """The code tells it from a wrong path."""
    store.answers(registry.GET, TaskNotFoundError())
    assert_problem(await client.get(PATH), 404, "task_not_found")
