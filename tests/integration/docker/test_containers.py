"""The servers in containers that tests can ask for with TASKMILL_TEST_SERVERS=docker."""

import asyncpg
import nats
import pytest

from tests.support.containers import nats_container, postgres_container

pytestmark = pytest.mark.docker


async def test_postgres_in_a_container_sorts_text_as_the_embedded_one() -> None:
    """It is PostgreSQL 18 or newer, in UTF-8, and sorts by code point on every system."""
    with postgres_container() as url:
        connection = await asyncpg.connect(url)
        try:
            assert connection.get_server_version().major >= 18
            row = await connection.fetchrow(
                "SELECT pg_encoding_to_char(encoding) AS encoding, datlocprovider::text AS provider,"
                " datlocale AS locale FROM pg_database WHERE datname = current_database()"
            )
            assert row is not None
            assert dict(row) == {"encoding": "UTF8", "provider": "b", "locale": "C.UTF-8"}
        finally:
            await connection.close()


async def test_nats_in_a_container_has_jetstream() -> None:
    """It is new enough for fast-ingest (2.14), and has JetStream without any stream."""
    with nats_container() as url:
        connection = await nats.connect(url)
        try:
            assert connection.connected_server_version.minor >= 14
            assert await connection.jetstream().streams_info() == []
        finally:
            await connection.close()
