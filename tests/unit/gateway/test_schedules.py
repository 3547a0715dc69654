"""Schedules over HTTP: what the store is asked, what the client is told, and what is refused."""

import httpx
import pytest

from taskmill.contracts import registry
from taskmill.contracts.errors import RemoteError, ScheduleNotFoundError, TooManySchedulesError
from taskmill.gateway.api import examples
from tests.support.gateway import NEW_TASK_ID, TASK, RememberingStore, assert_problem

SCHEDULE = {**examples.SCHEDULE, "revision": 7}
PATH = f"/schedules/{SCHEDULE['id']}"


async def test_a_schedule_is_made(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """The store is told what the client said, and nothing that it left out; the answer says where the schedule is."""
    store.answers(registry.CREATE_SCHEDULE, SCHEDULE)
    made = await client.post("/schedules", json=examples.NEW_SCHEDULE, headers={"Idempotency-Key": "k"})
    assert (made.status_code, made.json()) == (201, SCHEDULE)
    assert (made.headers["location"], made.headers["etag"]) == (PATH, '"7"')
    asked = store.asked[-1][1]
    assert asked.pop("idempotency")["key"] == "k"
    assert asked == {**examples.NEW_SCHEDULE, "id": str(NEW_TASK_ID)}
    store.answers(registry.CREATE_SCHEDULE, RemoteError(TooManySchedulesError(5).problem()))
    refused = await client.post("/schedules", json=examples.NEW_SCHEDULE)
    assert_problem(refused, 422, "too_many_schedules")


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"cron": None}, ""),
        ({"interval_seconds": 60}, ""),
        ({"cron": "every day"}, "/cron"),
        ({"cron": f"0 3 * * {'1,' * 60}1"}, "/cron"),
        ({"time_zone": "../etc"}, "/time_zone"),
        ({"overlap": "wait"}, "/overlap"),
        ({"catch_up_seconds": 9}, "/catch_up_seconds"),
        ({"template": {"title": "T", "process": True}}, "/template/process"),
        ({"starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"}, ""),
        ({"next_fire_at": "2026-01-02T00:00:00Z"}, "/next_fire_at"),
    ],
)
async def test_what_is_refused(
    client: httpx.AsyncClient, store: RememberingStore, wrong: dict[str, object], pointer: str
) -> None:
    """Nobody is asked."""
    refused = await client.post("/schedules", json={**examples.NEW_SCHEDULE, **wrong})
    problem = assert_problem(refused, 422, "invalid_request")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert store.asked == []


async def test_a_schedule_is_sent_back(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """As it was read: what only Taskmill sets is passed over, but for another id."""
    store.answers(registry.GET_SCHEDULE, SCHEDULE)
    store.answers(registry.UPDATE_SCHEDULE, SCHEDULE)
    read = await client.get(PATH)
    assert (read.json(), read.headers["etag"]) == (SCHEDULE, '"7"')
    assert (await client.get(PATH, headers={"If-None-Match": '"7"'})).status_code == 304
    sent = await client.put(PATH, json={**read.json(), "name": "Other"}, headers={"If-Match": '"7"'})
    assert (sent.status_code, sent.headers["etag"]) == (200, '"7"')
    asked = store.asked[-1][1]
    assert (asked["is_replacement"], asked["expected_revision"]) == (True, 7)
    assert {name: asked["changes"][name] for name in ("name", "template")} == {
        "name": "Other",
        "template": SCHEDULE["template"],
    }
    assert asked["changes"].keys().isdisjoint({"id", "timing", "next_fire_at", "revision", "created_at"})
    other = await client.put(PATH, json={**read.json(), "id": str(NEW_TASK_ID)})
    assert_problem(other, 422, "field_not_editable")


async def test_a_schedule_is_changed_run_and_deleted(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """Each by its own request to the store."""
    for command in (registry.GET_SCHEDULE, registry.UPDATE_SCHEDULE):
        store.answers(command, SCHEDULE)
    store.answers(registry.DELETE_SCHEDULE, {"id": SCHEDULE["id"]})
    store.answers(registry.RUN_SCHEDULE, TASK)
    store.answers(registry.BACKFILL_SCHEDULE, examples.BACKFILL)
    store.answers(registry.GET_NEXT_TIMES, examples.NEXT_TIMES)
    store.answers(registry.LIST_FIRES, {**examples.FIRE_PAGE, "next_cursor": "abc"})
    patched = await client.patch(PATH, json=examples.SCHEDULE_PATCH)
    assert patched.status_code == 200
    assert store.asked[-1][1] == {"id": SCHEDULE["id"], "changes": examples.SCHEDULE_PATCH, "expected_revision": None}
    ran = await client.post(f"{PATH}/run")
    assert (ran.status_code, ran.headers["location"]) == (201, f"/tasks/{NEW_TASK_ID}")
    assert store.asked[-1][1] == {"id": SCHEDULE["id"], "task_id": str(NEW_TASK_ID)}
    filled = await client.post(f"{PATH}/backfill", json=examples.NEW_BACKFILL)
    assert (filled.status_code, filled.json()) == (200, examples.BACKFILL)
    assert store.asked[-1][1] == {"id": SCHEDULE["id"], **examples.NEW_BACKFILL}
    assert (await client.get(f"{PATH}/next-times?count=3")).json() == examples.NEXT_TIMES
    assert store.asked[-1][1] == {"id": SCHEDULE["id"], "count": 3}
    assert_problem(await client.get(f"{PATH}/next-times?count=101"), 422, "invalid_request")
    fires = await client.get(f"{PATH}/fires?limit=1")
    assert fires.headers["link"] == f'<{PATH}/fires?limit=1&cursor=abc>; rel="next"'
    deleted = await client.delete(PATH, headers={"If-Match": '"7"'})
    assert deleted.status_code == 204
    store.answers(registry.GET_SCHEDULE, RemoteError(ScheduleNotFoundError().problem()))
    assert_problem(await client.get(PATH), 404, "schedule_not_found")
    assert_problem(await client.get("/schedules/nothing"), 404, "schedule_not_found")


async def test_tasks_of_a_schedule_are_listed(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """By its id."""
    store.answers(registry.LIST, examples.TASK_PAGE)
    assert (await client.get(f"/tasks?schedule_id={SCHEDULE['id']}")).status_code == 200
    assert store.asked[-1][1]["filter"]["schedule_id"] == SCHEDULE["id"]
