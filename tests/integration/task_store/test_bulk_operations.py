from typing import Any

from taskmill.contracts import registry
from tests.support.eventually import eventually
from tests.support.task_store import Document, StoreClient, new_id, run_sql


async def start(store: StoreClient, **fields: Any) -> str:
    """Begin a bulk operation; return its id."""
    begun = await store.ask(registry.START_BULK, **{"id": new_id(), **fields})
    assert (begun["status"], begun["counts"]) == ("running", {"matched": 0, "done": 0, "refused": 0})
    return str(begun["id"])


async def completed(store: StoreClient, operation_id: str) -> Document:
    """Return a bulk operation once it is completed."""

    async def operation() -> Document:
        found = await store.ask(registry.GET_BULK, id=operation_id)
        assert found["status"] == "completed", found
        return found

    return await eventually(operation, within_seconds=20)


async def create_many(store: StoreClient, count: int, **fields: Any) -> list[str]:
    """Create pending tasks; return their ids."""
    ids = [new_id() for _ in range(count)]
    for first in range(0, count, 1000):
        tasks = [{"id": task_id, "title": "bulk", **fields} for task_id in ids[first : first + 1000]]
        await store.ask(registry.CREATE_MANY, tasks=tasks)
    return ids


async def test_tasks_that_meet_a_filter_are_processed(store: StoreClient, database_url: str) -> None:
    """Over several chunks each is processed once, and others are left alone."""
    await create_many(store, 1_200, labels={"team": "web"})
    await create_many(store, 3)
    operation = await completed(
        store, await start(store, action="process", filter={"status": ["pending"], "labels": {"team": None}})
    )
    assert operation["counts"] == {"matched": 1_200, "done": 1_200, "refused": 0}
    runs = await run_sql(database_url, "SELECT run, status, count(*) FROM tasks GROUP BY run, status ORDER BY run")
    assert [tuple(row) for row in runs] == [(0, "pending", 3), (1, "queued", 1_200)]
