"""Tasks that come after others, on a real PostgreSQL: none starts early, and none is forgotten."""

import pytest

from taskmill.contracts import registry
from tests.support.eventually import holds
from tests.support.task_store import (
    Document,
    StoreClient,
    new_id,
    report,
    run_sql,
)

ERROR = {"code": "handler_error", "type": None, "message": "no such page"}
CHAIN = 300
"""More than is decided in one batch."""


async def made(store: StoreClient, **fields: object) -> str:
    """A task; return its id."""
    return str((await store.create(**{"process": True, **fields}))["id"])


async def end(store: StoreClient, *task_ids: str, status: str = "completed") -> None:
    """Have first attempts end."""
    error: Document = {"error": ERROR} if status == "failed" else {}
    await store.report(*(report(status, task_id, **error) for task_id in task_ids))


async def status_becomes(store: StoreClient, wanted: str, *task_ids: str) -> None:
    """Return once tasks stand there."""

    async def check() -> None:
        assert [(await store.get(task_id))["status"] for task_id in task_ids] == [wanted] * len(task_ids)

    await holds(check)


async def nothing_waits(database_url: str) -> None:
    """Return once no dependency is left."""

    async def check() -> None:
        assert await run_sql(database_url, "SELECT * FROM task_dependencies LIMIT 5") == []

    await holds(check, within_seconds=20)


async def test_a_task_goes_on_when_all_that_it_comes_after_are_completed(store: StoreClient, database_url: str) -> None:
    """Until then it waits, and says for which; for a client its creation is one change."""
    first, second, done = [await made(store) for _ in range(3)]
    await end(store, done)
    task = await store.create(after=[first, second, done])
    assert (task["status"], task["revision"], task["waiting_for"]["reason"]) == ("scheduled", 1, "dependencies")
    assert set((await store.get(task["id"]))["waiting_for"]["after"]) == {first, second}
    assert await store.refusal(registry.PROCESS, id=task["id"]) == "run_active"
    await end(store, second)

    async def check_waits_for_first() -> None:
        assert (await store.get(task["id"]))["waiting_for"] == {
            "reason": "dependencies",
            "until": None,
            "after": [first],
        }

    await holds(check_waits_for_first)
    await end(store, first)
    await status_becomes(store, "queued", task["id"])
    assert await store.event_types(task["id"]) == ["created", "scheduled", "queued"]
    assert [event["data"].get("reason") for event in await store.events(task["id"])] == [None, "dependencies", "due"]
    assert (await store.create(after=[first, second]))["status"] == "queued"
    await nothing_waits(database_url)


async def test_a_task_waits_for_its_time_as_well(store: StoreClient) -> None:
    """Whichever comes last."""
    first = await made(store)
    later = "2100-01-01T00:00:00Z"
    task_id = await made(store, after=[first], run_at=later, process=False)
    await end(store, first)

    async def check_scheduled() -> None:
        assert (await store.get(task_id))["waiting_for"] == {"reason": "due_time", "until": "2100-01-01T00:00:00Z"}

    await holds(check_scheduled)
    at_once = await store.create(after=[first], run_at=later)
    assert (at_once["status"], at_once["run_at"]) == ("scheduled", later)


@pytest.mark.parametrize("ending", ["failed", "cancelled", "deleted", "failed before"])
async def test_what_is_not_completed_cancels_what_comes_after_it(
    store: StoreClient, database_url: str, ending: str
) -> None:
    """And what comes after that; unless a task says that it is processed all the same."""
    first, second = await made(store), await made(store)
    if ending == "failed before":
        await end(store, first, status="failed")
    one = await made(store, after=[first, second])
    all_the_same = await made(store, after=[first], on_dependency_failure="process")
    next_one = await made(store, after=[one])
    match ending:
        case "failed":
            await end(store, first, status="failed")
        case "cancelled":
            await store.ask(registry.CANCEL, id=first)
        case "deleted":
            await store.ask(registry.DELETE, id=first, force=True)
    await status_becomes(store, "cancelled", one, next_one)
    await status_becomes(store, "queued", all_the_same)
    assert (await store.events(one))[-1]["data"]["cancellation"] == "dependency"
    await nothing_waits(database_url)


async def test_it_can_be_cancelled_and_deleted_while_it_waits(store: StoreClient, database_url: str) -> None:
    """What it waited for does not bring it back."""
    first = await made(store)
    cancelled, deleted, again = [await made(store, after=[first]) for _ in range(3)]
    await store.ask(registry.CANCEL, id=cancelled)
    await store.ask(registry.DELETE, id=deleted, force=True)
    await store.ask(registry.CANCEL, id=again)
    await store.ask(registry.PROCESS, id=again)
    await end(store, first)
    await nothing_waits(database_url)
    assert (await store.get(cancelled))["status"] == "cancelled"
    assert await store.event_types(again) == ["created", "scheduled", "cancelled", "queued"]


async def test_what_does_not_exist_is_refused(store: StoreClient, database_url: str) -> None:
    """Each is named, and nothing is stored; also when a handler's task comes after it, which is cancelled then."""
    first = await made(store)
    tasks = [{"id": new_id(), "title": "t", "after": after} for after in ([first], [new_id(), first], [new_id()])]
    refused = await store.problem(registry.CREATE_MANY, tasks=tasks)
    assert [(error.pointer, error.code) for error in refused.errors] == [
        ("/tasks/1/after/0", "task_not_found"),
        ("/tasks/2/after/0", "task_not_found"),
    ]
    refused = await store.problem(registry.CREATE, **tasks[2])
    assert [error.pointer for error in refused.errors] == ["/after/0"]
    assert len(await run_sql(database_url, "SELECT id FROM tasks")) == 1
    one, two, three = new_id(), new_id(), new_id()
    submitted = [
        {"id": one, "title": "one", "process": True},
        {"id": two, "title": "two", "after": [one]},
        {"id": three, "title": "three", "after": [new_id()]},
    ]
    await store.report(
        report("started", first),
        *(report("submitted", first, number=number, task=task) for number, task in enumerate(submitted, start=1)),
    )
    assert [(await store.get(task_id))["status"] for task_id in (one, two, three)] == [
        "queued",
        "scheduled",
        "cancelled",
    ]
    await end(store, one)
    await status_becomes(store, "queued", two)


async def test_an_end_travels_down_a_long_chain(store: StoreClient, database_url: str) -> None:
    """Of some hundred tasks, each of which comes after the one before."""
    chain = [await made(store)]
    for _ in range(CHAIN):
        chain.append(await made(store, after=chain[-1:], process=False))
    await store.ask(registry.CANCEL, id=chain[0])
    await nothing_waits(database_url)
    rows = await run_sql(database_url, "SELECT status, count(*) FROM tasks GROUP BY status")
    assert [tuple(row) for row in rows] == [("cancelled", CHAIN + 1)]
