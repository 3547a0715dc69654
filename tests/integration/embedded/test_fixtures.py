"""The fixtures that every other test stands on."""

import asyncpg
import nats


async def test_each_test_gets_an_empty_database(database_url: str) -> None:
    """A database takes writes; `test_another_database_has_none_of_them` looks for what this one left."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("CREATE TABLE left_behind (id int)")
    assert await connection.fetchval("SELECT count(*) FROM left_behind") == 0
    await connection.close()


async def test_another_database_has_none_of_them(database_url: str) -> None:
    """The next test's database is a new copy of the template."""
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT to_regclass('left_behind')") is None
    await connection.close()


async def test_each_test_gets_a_nats_without_streams(nats_url: str) -> None:
    """JetStream works, and nothing is there yet."""
    connection = await nats.connect(nats_url)
    jetstream = connection.jetstream()
    assert await jetstream.streams_info() == []
    await jetstream.add_stream(name="LEFT_BEHIND", subjects=["left.behind"])
    await connection.close()


async def test_another_nats_has_none_of_them(nats_url: str) -> None:
    """The next test sees no stream of the one before."""
    connection = await nats.connect(nats_url)
    assert await connection.jetstream().streams_info() == []
    await connection.close()
