"""Checkpoints on a real PostgreSQL: the next work item has the newest, and so has who asks."""

from typing import Any

import orjson
import pytest

from taskmill.contracts import registry
from tests.support.eventually import holds
from tests.support.task_store import Document, StoreClient, report

PAGE = {"page": 3, "text": "ä\U0001f600"}


def left(task_id: str, checkpoint: Any, *, number: int = 1, **fence: int) -> Document:
    """A report of a checkpoint."""
    return report("checkpointed", task_id, checkpoint=checkpoint, number=number, **fence)


async def running(store: StoreClient, **fields: Any) -> str:
    """A task in progress."""
    task = await store.create(process=True, **fields)
    await store.report(report("started", task["id"]))
    return str(task["id"])


async def work_item(store: StoreClient, task_id: str, dispatch: int) -> Document:
    """The one work item of a task, once it is that of a dispatch."""

    async def newest() -> Document:
        items = [item for item in await store.work_items() if item["task_id"] == task_id]
        assert [item["dispatch"] for item in items] == [dispatch], items
        return items[0]

    return await holds(newest)


@pytest.mark.parametrize(
    "end",
    [
        ("failed", {"error": {"code": "a", "message": "b"}, "retry_after_seconds": 0}),
        ("given_back", {"reason": "draining"}),
        ("given_back", {"reason": "not_now"}),
    ],
)
async def test_the_next_work_item_has_the_newest_checkpoint(store: StoreClient, end: tuple[str, Document]) -> None:
    """After a failed attempt, and after one that was given back; the first one has none."""
    task_id = await running(store, max_attempts=2, payload="p")
    assert (await work_item(store, task_id, 1))["checkpoint"] is None
    await store.report(left(task_id, {"page": 2}), left(task_id, PAGE, number=2), report(end[0], task_id, **end[1]))
    item = await work_item(store, task_id, 2)
    assert (item["checkpoint"], item["payload"]) == (PAGE, "p")


@pytest.mark.parametrize(
    "end",
    [
        report("failed", "", error={"code": "a", "message": "b"}, retry_after_seconds=0),
        report("given_back", "", reason="draining"),
    ],
    ids=lambda end: end["type"],
)
async def test_an_end_does_not_overtake_the_last_checkpoint(store: StoreClient, end: Document) -> None:
    """As when another store has the bundle before in hand: the next attempt would go on from an earlier one."""
    task_id = await running(store, max_attempts=2)
    await store.report(left(task_id, {"page": 2}))
    late = {**end, "task_id": task_id, "checkpointed": 2}
    await store.publish_report(orjson.dumps({"processor_id": "processor-1", "reports": [late]}))
    await store.reports_looked_at()
    await store.report(left(task_id, PAGE, number=2))
    assert (await work_item(store, task_id, 2))["checkpoint"] == PAGE


async def test_a_checkpoint_can_be_asked_for_during_the_run(store: StoreClient) -> None:
    """By the processor that gets the same work item again; of another run there is none."""
    task_id = await running(store)
    await store.report(left(task_id, PAGE))
    assert await store.ask(registry.GET_CHECKPOINT, id=task_id, run=1) == {"checkpoint": PAGE}
    assert await store.refusal(registry.GET_CHECKPOINT, id=task_id, run=2) == "task_not_found"


async def test_a_run_that_is_over_has_none(store: StoreClient) -> None:
    """So that a processor which gets its work item again has nothing to do. And no event ever told of it."""
    task_id = await running(store)
    await store.report(left(task_id, PAGE), report("completed", task_id))
    assert await store.refusal(registry.GET_CHECKPOINT, id=task_id, run=1) == "task_not_found"
    assert await store.event_types(task_id) == ["created", "queued", "started", "completed"]


async def test_a_checkpoint_survives_what_else_happens_to_the_row(store: StoreClient) -> None:
    """It is not read with every report, and stays as it is."""
    task_id = await running(store)
    await store.report(left(task_id, PAGE))
    await store.report(report("heartbeat", task_id), report("progressed", task_id, progress={"fraction": 0.5}))
    await store.ask(registry.UPDATE, id=task_id, changes={"title": "new"})
    assert await store.ask(registry.GET_CHECKPOINT, id=task_id, run=1) == {"checkpoint": PAGE}
