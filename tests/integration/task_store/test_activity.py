"""What stores write down of what they did."""

from datetime import UTC, datetime

from taskmill.contracts import registry
from tests.support.task_store import StoreClient, report, store_with_client


async def test_stores_add_up(database_url: str, nats_url: str) -> None:
    """Two stores write into the same minute; a store that ends writes before it does."""
    async with store_with_client(database_url, nats_url) as first:
        tasks = [await first.create(process=True) for _ in range(3)]
        await first.report(report("started", tasks[0]["id"]))
        await first.report(report("completed", tasks[0]["id"]))
        await first.report(report("failed", tasks[1]["id"], error={"code": "handler_error", "message": "x"}))
    async with store_with_client(database_url, nats_url) as second:
        await second.create()
        told = await read(second)
        assert (told["created"], told["completed"], told["failed"]) == (3, 1, 1)
        assert told["oldest_queued_seconds"] > 0
    async with store_with_client(database_url, nats_url) as third:
        assert (await read(third))["created"] == 4


async def read(store: StoreClient) -> dict[str, float]:
    """All minutes together, of which there are two if one ended meanwhile."""
    minutes = (await store.ask(registry.READ_ACTIVITY, minutes=5))["items"]
    assert all(datetime.fromisoformat(minute["at"]) <= datetime.now(UTC) for minute in minutes)
    told: dict[str, float] = {}
    for minute in minutes:
        for name in ("created", "completed", "failed", "oldest_queued_seconds"):
            told[name] = told.get(name, 0) + (minute[name] or 0)
    return told
