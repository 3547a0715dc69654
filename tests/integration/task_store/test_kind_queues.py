"""The queue of a kind: its handler declares it, and tasks that say nothing wait there."""

from collections.abc import Mapping

from taskmill.contracts import registry
from tests.support.task_store import Document, StoreClient, hello, new_id, report, store_client, store_with_client


def declaring(queues: Mapping[str, str | None], *served: str) -> Document:
    """A hello of a processor whose handlers declare these queues."""
    told = {kind: {"queue": queue} for kind, queue in queues.items()}
    return {**hello(*served), "kinds": list(queues), "kind_defaults": told}


async def test_a_task_without_a_queue_waits_in_that_of_its_kind(store: StoreClient) -> None:
    """Also in a batch, and when a handler submits it; who names a queue gets that."""
    await store.report(declaring({"media": "slow", "echo": None}, "default", "slow"))
    assert (await store.create(kind="media"))["queue"] == "slow"
    assert (await store.create(kind="media", queue="default"))["queue"] == "default"
    assert (await store.create(kind="echo"))["queue"] == "default"
    tasks = [{"id": new_id(), "title": "t", "kind": kind} for kind in ("media", "echo")]
    receipts = await store.ask(registry.CREATE_MANY, tasks=tasks)
    assert [receipt["queue"] for receipt in receipts["items"]] == ["slow", "default"]
    parent, child_id = await store.create(process=True), new_id()
    submitted = report("submitted", parent["id"], task={"id": child_id, "title": "t", "kind": "media"})
    await store.report(report("started", parent["id"]), submitted)
    assert (await store.get(child_id))["queue"] == "slow"


async def test_a_queue_of_a_kind_that_nobody_serves_is_made(store: StoreClient) -> None:
    """The task says that it waits for a processor of it."""
    await store.report(declaring({"media": "unserved"}, "default"))
    task = await store.create(kind="media", process=True)
    assert (task["queue"], task["waiting_for"]["reason"]) == ("unserved", "processor")


async def test_what_a_kind_ceases_to_declare_ceases_to_hold(store: StoreClient) -> None:
    """From the next hello on; what is created stays where it is."""
    await store.report(declaring({"media": "slow"}, "default", "slow"))
    task = await store.create(kind="media")
    await store.report(declaring({"media": None}, "default", "slow"))
    assert (await store.create(kind="media"))["queue"] == "default"
    assert (await store.get(task["id"]))["queue"] == "slow"


async def test_every_store_knows_the_queue_of_a_kind(database_url: str, nats_url: str) -> None:
    """Also one that starts when the processor has been heard of before."""
    async with store_with_client(database_url, nats_url) as store:
        await store.report(declaring({"media": "slow"}, "default"))
    async with store_with_client(database_url, nats_url), store_client(nats_url) as store:
        assert (await store.create(kind="media"))["queue"] == "slow"
