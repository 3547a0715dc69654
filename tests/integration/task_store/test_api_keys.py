"""API keys as a running store keeps them."""

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from taskmill.contracts import registry
from taskmill.contracts.key_text import new_key, read_key
from tests.support.task_store import Document, StoreClient, run_sql, store_with_client


async def create_key(store: StoreClient, **fields: Any) -> Document:
    """Have a new key kept."""
    parts = read_key(new_key(datetime.now(UTC)))
    assert parts is not None
    given = {"name": "billing", "scopes": ["tasks:read"], "created_by": "local-dev", **fields}
    return await store.ask(registry.CREATE_KEY, id=parts.id, digest=parts.digest, **given)


async def found(store: StoreClient, *key_ids: str) -> set[str]:
    """Which of some keys can be used."""
    answer = await store.ask(registry.FIND_KEYS, ids=list(key_ids))
    return {key["id"] for key in answer["keys"]}


def soon(seconds: float) -> str:
    """An instant ahead, or behind."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def test_keys_are_kept_listed_and_revoked(store: StoreClient) -> None:
    """A key is found until it is revoked, for good; what is told of it never has its digest."""
    first = await create_key(store)
    second = await create_key(store, name="reports", scopes=["events:read", "tasks:read", "events:read"])
    expired = await create_key(store, expires_at=soon(-1))
    assert second["scopes"] == ["events:read", "tasks:read"]
    assert "digest" not in second
    assert await found(store, first["id"], second["id"], expired["id"], "0" * 16) == {first["id"], second["id"]}

    revoked = await store.ask(registry.REVOKE_KEY, id=first["id"])
    assert revoked["revoked_at"] is not None
    assert await store.ask(registry.REVOKE_KEY, id=first["id"]) == revoked
    assert await store.ask(registry.GET_KEY, id=first["id"]) == revoked
    assert await found(store, first["id"], second["id"]) == {second["id"]}

    page = await store.ask(registry.LIST_KEYS, limit=2)
    assert [key["id"] for key in page["items"]] == [first["id"], second["id"]]
    rest = await store.ask(registry.LIST_KEYS, limit=2, cursor=page["next_cursor"])
    assert [key["id"] for key in rest["items"]] == [expired["id"]]
    assert rest["next_cursor"] is None
    usable = await store.ask(registry.LIST_KEYS, is_usable=True)
    assert [key["id"] for key in usable["items"]] == [second["id"]]


async def test_the_use_of_a_key_is_written_down_coarsely(store: StoreClient) -> None:
    """Once a minute at most, so that a key in use costs no write for each look."""
    key = await create_key(store)
    assert key["last_used_at"] is None
    await store.ask(registry.FIND_KEYS, ids=[], used=[key["id"]])
    first = (await store.ask(registry.GET_KEY, id=key["id"]))["last_used_at"]
    assert first is not None
    await store.ask(registry.FIND_KEYS, ids=[], used=[key["id"]])
    assert (await store.ask(registry.GET_KEY, id=key["id"]))["last_used_at"] == first


async def test_an_unknown_key_is_an_error(store: StoreClient) -> None:
    """For whoever reads or revokes it."""
    for command in (registry.GET_KEY, registry.REVOKE_KEY):
        assert await store.refusal(command, id="0" * 16) == "api_key_not_found"


async def test_no_more_keys_can_be_used_than_may(database_url: str, nats_url: str) -> None:
    """Those that were revoked or have expired do not count."""
    async with store_with_client(database_url, nats_url, max_api_keys=1) as store:
        await create_key(store, expires_at=soon(-1))
        key = await create_key(store)
        parts = read_key(new_key(datetime.now(UTC)))
        assert parts is not None
        one_more = {**parts._asdict(), "name": "more", "scopes": ["tasks:read"], "created_by": "local-dev"}
        assert await store.refusal(registry.CREATE_KEY, **one_more) == "too_many_api_keys"
        await store.ask(registry.REVOKE_KEY, id=key["id"])
        await store.ask(registry.CREATE_KEY, **one_more)


async def test_an_operator_makes_the_first_key_without_a_gateway(database_url: str) -> None:
    """`create-key` prints the key, once and alone on stdout; the database has its digest only."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "taskmill.task_store", "create-key", "admin"),
        env={**os.environ, "DATABASE_URL": database_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await process.communicate()
    assert process.returncode == 0, stderr
    key = stdout.decode().removesuffix("\n")
    parts = read_key(key)
    assert parts is not None
    [row] = await run_sql(database_url, "SELECT * FROM api_keys")
    assert (row["id"], row["digest"], row["created_by"]) == (parts.id, parts.digest, "operator")
    assert len(row["scopes"]) == 7
    assert key.split("_")[2] not in str(dict(row))
