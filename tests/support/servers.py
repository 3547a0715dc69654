"""The servers that tests run against: given ones, containers where asked for, else the embedded ones.

`TASKMILL_TEST_DATABASE_URL` and `TASKMILL_TEST_NATS_URL` name servers that run already; they must be for tests only,
for streams are deleted there. `TASKMILL_TEST_SERVERS=docker` asks for containers.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats

from benchmarks.machine import server_directory
from taskmill.cli.embedded.nats import NatsServer
from taskmill.cli.embedded.postgres import PostgresServer
from tests.support.nats_keys import put_keys, violations


@asynccontextmanager
async def running_postgres() -> AsyncIterator[str]:
    """Yield the URL of a PostgreSQL whose user may create databases."""
    if given_url := os.environ.get("TASKMILL_TEST_DATABASE_URL"):
        yield given_url
    elif is_docker_wanted():
        from tests.support.containers import postgres_container

        with postgres_container() as url:
            yield url
    else:
        with server_directory() as directory:
            server = PostgresServer(directory / "postgres")
            await server.start()
            try:
                yield server.url
            finally:
                await server.stop()


@asynccontextmanager
async def shared_nats() -> AsyncIterator[str | None]:
    """Yield the URL of the one NATS that all tests share, or None when each test gets a server of its own."""
    if given_url := os.environ.get("TASKMILL_TEST_NATS_URL"):
        yield given_url
    elif is_docker_wanted():
        from tests.support.containers import nats_container

        with nats_container() as url:
            yield url
    else:
        yield None


@asynccontextmanager
async def running_nats(*, may_violate: bool = False) -> AsyncIterator[NatsServer]:
    """Yield an embedded nats-server that nobody else uses; it may be stopped, killed and started again.

    Args:
        may_violate: Whether somebody may want what the server refuses to its user; else that fails the test.
    """
    with server_directory() as directory:
        put_keys(directory / "nats")
        server = NatsServer(directory / "nats")
        await server.start()
        try:
            yield server
        finally:
            await server.stop()
        assert may_violate or violations(server.log_file) == []


async def delete_streams(nats_url: str) -> None:
    """Delete every stream, and with it every consumer and message, of a NATS that tests share."""
    connection = await nats.connect(nats_url)
    try:
        jetstream = connection.jetstream()
        for stream in await jetstream.streams_info():
            await jetstream.delete_stream(stream.config.name or "")
    finally:
        await connection.close()


def is_docker_wanted() -> bool:
    """Whether tests shall run on servers in containers."""
    return os.environ.get("TASKMILL_TEST_SERVERS") == "docker"
