"""Kinds as processors tell of them, on a real PostgreSQL."""

from typing import Any

from taskmill.contracts import registry
from tests.support.eventually import holds
from tests.support.task_store import Document, StoreClient, hello, run_sql

SCHEMA = {"type": "object", "required": ["width"]}
OTHER = {"type": "object"}


def serving(*kinds: str, digest: str | None = None, **fields: Any) -> Document:
    """A hello of a processor with handlers for these kinds."""
    return {**hello("default"), "kinds": kinds, "payload_schemas_digest": digest and digest * 64, **fields}


async def schemas_become(store: StoreClient, expected: Document) -> None:
    """Wait until the kinds have these schemas."""

    async def check() -> None:
        page = await store.ask(registry.LIST_KINDS)
        assert {kind["kind"]: kind["payload_schema"] for kind in page["items"] if kind["is_served"]} == expected

    await holds(check)


async def test_a_schema_holds_until_another_is_told(store: StoreClient) -> None:
    """A hello that refers to it by its digest leaves it; one with another digest, or none, does not."""
    await store.report(serving("media", "echo", digest="a", payload_schemas={"media": SCHEMA}))
    await schemas_become(store, {"media": SCHEMA, "echo": None})
    await store.report(serving("media", "extra", digest="a"))
    await schemas_become(store, {"media": SCHEMA, "extra": None})
    await store.report(serving("media", digest="b", payload_schemas={"media": OTHER}))
    await schemas_become(store, {"media": OTHER})
    await store.report(serving("media", digest="c"))
    await schemas_become(store, {"media": None})
    await store.report(serving("media", digest="c", payload_schemas={"media": SCHEMA}))
    await schemas_become(store, {"media": SCHEMA})
    await store.report(serving("media"))
    await schemas_become(store, {"media": None})


async def test_processors_that_differ_leave_a_kind_without_a_schema(store: StoreClient, database_url: str) -> None:
    """Until those that said otherwise have not been heard of for a while."""
    await store.report(serving("media", digest="a", payload_schemas={"media": SCHEMA}))
    await store.report(serving("media", digest="b", payload_schemas={"media": OTHER}), processor_id="processor-2")
    await schemas_become(store, {"media": None})
    assert (await store.ask(registry.HEALTH))["fleet"]["differing_kinds"] == ["media"]
    await run_sql(database_url, "UPDATE processors SET seen_at = now() - interval '31 s' WHERE id = 'processor-1'")
    await schemas_become(store, {"media": OTHER})


async def test_kinds_come_in_pages(store: StoreClient) -> None:
    """By name, with what they declare, also when nobody serves them any more."""
    await store.report(serving("b", "a", kind_defaults={"a": {"max_attempts": 3, "queue": "slow"}}))
    await store.report(serving("c"))
    await schemas_become(store, {"c": None})
    first = await store.ask(registry.LIST_KINDS, limit=1)
    assert [(one["kind"], one["is_served"]) for one in first["items"]] == [("a", False)]
    assert first["items"][0]["defaults"] == {
        "max_attempts": 3,
        "backoff": None,
        "timeout_seconds": None,
        "queue": "slow",
    }
    second = await store.ask(registry.LIST_KINDS, limit=1, cursor=first["next_cursor"])
    assert ([one["kind"] for one in second["items"]], second["next_cursor"]) == (["c"], None)
    assert await store.refusal(registry.LIST_KINDS, cursor="bm9uZQ") == "invalid_request"


async def test_the_processor_that_was_started_last_says_what_holds(store: StoreClient, database_url: str) -> None:
    """However often the older one repeats what it says, until the newer is gone; all that is said is told."""

    async def check(queue: str) -> None:
        [kind] = [one for one in (await store.ask(registry.LIST_KINDS))["items"] if one["kind"] == "media"]
        assert kind["defaults"]["queue"] == queue

    def declaring(queue: str, day: int) -> Document:
        fields: Document = {"started_at": f"2026-11-0{day}T00:00:00Z", "kind_defaults": {"media": {"queue": queue}}}
        return serving("media", **fields)

    for _ in range(2):
        await store.report(declaring("new", 2), processor_id="new")
        await store.report(declaring("old", 1), processor_id="old")
        await check("new")

    async def check_told() -> None:
        [kind] = (await store.ask(registry.LIST_KINDS))["items"]
        assert kind["declaration_count"] == 2

    await holds(check_told)
    [kind] = (await store.ask(registry.LIST_KINDS))["items"]
    told = [(one["processors"], one["defaults"]["queue"]) for one in kind["declarations"]]
    assert (kind["declaration_count"], told) == (2, [(["new"], "new"), (["old"], "old")])
    await run_sql(database_url, "UPDATE processors SET seen_at = now() - interval '31 s' WHERE id = 'new'")

    async def check_taken_over() -> None:
        await store.report(declaring("old", 1), processor_id="old")
        await check("old")

    await holds(check_taken_over)
