import asyncio
from typing import Any

import asyncpg
import orjson
from sqlalchemy import create_engine

from taskmill.contracts import registry
from taskmill.contracts.limits import MAX_BODY_BYTES
from taskmill.contracts.requests import ListTasks, TaskFilter
from taskmill.contracts.status import TaskStatus
from taskmill.task_store.adapters.task_lists import task_query
from tests.support.task_store import Document, StoreClient, new_id, report


async def titles(store: StoreClient, *, sort: str = "created_at", **conditions: Any) -> list[str]:
    """The titles of all tasks that meet the conditions, in order, read in pages of two."""
    found: list[str] = []
    cursor = None
    while True:
        page = await store.ask(registry.LIST, filter=conditions, sort=sort, limit=2, cursor=cursor)
        found += [item["title"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def create_all(store: StoreClient, *tasks: Document) -> list[Document]:
    """Create tasks one after another, so that their order is known."""
    return [await store.create(**task) for task in tasks]


async def test_pages_hold_every_task_once_in_either_order(store: StoreClient) -> None:
    """Walking the cursors shows all tasks, newest or oldest first, also when many were created in one moment."""
    names = [f"task {number}" for number in range(7)]
    await store.ask(registry.CREATE_MANY, tasks=[{"id": new_id(), "title": name} for name in names])
    assert await titles(store) == names
    assert await titles(store, sort="-created_at") == names[::-1]


async def test_a_page_holds_summaries(store: StoreClient) -> None:
    """An item is the task as get tells it, without payload and result."""
    task = await store.create(payload={"a": 1}, labels={"b": "c"}, process=True)
    error = {"code": "handler_error", "type": None, "message": "x"}
    await store.report(report("failed", task["id"], error=error))
    page = await store.ask(registry.LIST)
    whole = await store.get(task["id"])
    assert page["items"] == [{name: value for name, value in whole.items() if name not in {"payload", "result"}}]
    assert page["next_cursor"] is None


FILTERS: list[tuple[Document, list[str]]] = [
    ({}, ["a", "b", "c"]),
    ({"status": ["queued"]}, ["b"]),
    ({"status": ["queued", "pending"]}, ["a", "b", "c"]),
    ({"status": ["failed"]}, []),
    ({"kind": "sleep"}, ["a"]),
    ({"queue": "web"}, ["b"]),
    ({"priority": "low"}, ["c"]),
    ({"labels": {"team": "web"}}, ["a"]),
    ({"labels": {"team": None}}, ["a", "c"]),
    ({"labels": {"team": None, "x": "y"}}, ["c"]),
    ({"labels": {"team": "web"}, "kind": "echo"}, []),
]


async def test_filters_select_what_meets_all_conditions(store: StoreClient) -> None:
    """Several statuses mean any of them; several conditions mean all of them."""
    await create_all(
        store,
        {"title": "a", "kind": "sleep", "labels": {"team": "web"}},
        {"title": "b", "queue": "web", "process": True},
        {"title": "c", "priority": "low", "labels": {"team": "db", "x": "y"}},
    )
    assert [await titles(store, **conditions) for conditions, _ in FILTERS] == [expected for _, expected in FILTERS]


async def test_counts_are_those_of_the_lists(store: StoreClient) -> None:
    """Tasks are counted by status, under the conditions of lists; only those statuses that are asked for."""
    await create_all(
        store, {"title": "a"}, {"title": "b", "kind": "sleep"}, {"title": "c", "kind": "sleep", "process": True}
    )
    none = {status.value: 0 for status in TaskStatus}
    assert (await store.ask(registry.COUNT))["counts"] == {**none, "pending": 2, "queued": 1}
    assert (await store.ask(registry.COUNT, filter={"kind": "sleep", "title": "B"}))["counts"] == {**none, "pending": 1}
    found = await store.ask(registry.COUNT, filter={"status": ["queued", "failed"]})
    assert found["counts"] == {"queued": 1, "failed": 0}


async def test_created_between_two_instants(store: StoreClient) -> None:
    """`created_after` includes its instant, `created_before` does not."""
    first, second, third = await create_all(store, {"title": "1"}, {"title": "2"}, {"title": "3"})
    assert await titles(store, created_after=second["created_at"]) == ["2", "3"]
    assert await titles(store, created_before=second["created_at"]) == ["1"]
    between = {"created_after": first["created_at"], "created_before": third["created_at"]}
    assert await titles(store, **between) == ["1", "2"]


SEARCHES = {
    "%": ["100% wool"],
    "_": ["snake_case"],
    "\\": ["back\\slash"],
    "/": ["and/or"],
    "WOOL": ["100% wool"],
    "größe": ["GRÖSSE Größe"],
    "'; drop table tasks; --": [],
    "s": ["snake_case", "back\\slash", "GRÖSSE Größe"],
}


async def test_a_title_is_searched_for_just_what_is_written(store: StoreClient) -> None:
    """What means something to LIKE means only itself here; case does not matter."""
    names = ("100% wool", "snake_case", "back\\slash", "and/or", "GRÖSSE Größe")
    await create_all(store, *({"title": name} for name in names))
    assert {part: await titles(store, title=part) for part in SEARCHES} == SEARCHES


async def test_a_page_ends_before_it_is_too_large(store: StoreClient) -> None:
    """Two hundred long descriptions do not fit a message: the page says where it ended."""
    description = "é" * 10_000
    await store.ask(
        registry.CREATE_MANY,
        tasks=[{"id": new_id(), "title": f"{number}", "description": description} for number in range(36)],
    )
    await store.ask(
        registry.CREATE_MANY,
        tasks=[{"id": new_id(), "title": f"{number}", "description": description} for number in range(36, 60)],
    )
    request: Document = {"sort": "created_at", "limit": 200}
    text = await store.ask_raw(registry.LIST, orjson.dumps(request))
    assert len(text) < MAX_BODY_BYTES + 1_000
    page = orjson.loads(text)
    rest = await store.ask(registry.LIST, **request, cursor=page["next_cursor"])
    found = [item["title"] for item in page["items"] + rest["items"]]
    assert found == [f"{number}" for number in range(60)]
    assert rest["next_cursor"] is None


async def test_attempts_come_in_pages(store: StoreClient) -> None:
    """Oldest first, each page behind the one before."""
    task = await store.create()
    for number in range(1, 6):
        await store.ask(registry.PROCESS, id=task["id"])
        await store.report(report("completed", task["id"], attempt=number, dispatch=number))
    seen: list[int] = []
    cursor = None
    while True:
        page = await store.ask(registry.ATTEMPTS, task_id=task["id"], limit=2, cursor=cursor)
        seen += [attempt["attempt"] for attempt in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [1, 2, 3, 4, 5]


async def test_events_come_in_pages(store: StoreClient) -> None:
    """Behind the last event a page is empty; a cursor stays good while events are added."""
    task = await store.create()
    first = await store.ask(registry.EVENTS, task_id=task["id"], limit=1)
    assert first["next_cursor"] is None
    await asyncio.gather(*(store.ask(registry.UPDATE, id=task["id"], changes={"title": f"{n}"}) for n in range(4)))
    page = await store.ask(registry.EVENTS, task_id=task["id"], limit=2)
    rest = await store.ask(registry.EVENTS, task_id=task["id"], limit=3, cursor=page["next_cursor"])
    assert [event["sequence"] for event in page["items"] + rest["items"]] == [1, 2, 3, 4, 5]
    assert rest["next_cursor"] is None


async def test_labels_are_looked_for_in_their_index(store: StoreClient, database_url: str) -> None:
    """It has only tasks with labels, which PostgreSQL has to be told, for a label with a value and for one with any."""
    await store.create(labels={"team": "web"})
    connection, of_asyncpg = await asyncpg.connect(database_url), create_engine("postgresql+asyncpg://").dialect
    try:
        await connection.execute("SET enable_seqscan = off; SET enable_indexscan = off")
        for labels in ({"team": "web"}, {"team": None}):
            query = task_query(ListTasks(filter=TaskFilter(labels=labels)), None).compile(dialect=of_asyncpg)
            values = [query.params[name] for name in query.positiontup or ()]
            values = [orjson.dumps(value).decode() if isinstance(value, dict) else value for value in values]
            plan = await connection.fetch(f"EXPLAIN {query}", *values)
            assert "ix_tasks_labelled" in "\n".join(row[0] for row in plan)
    finally:
        await connection.close()
