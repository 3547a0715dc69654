"""Servers in Docker containers, for the tests that ask for them. They are published on 127.0.0.1 only."""

from collections.abc import Iterator
from contextlib import contextmanager

from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

POSTGRES_IMAGE = "postgres:18"
NATS_IMAGE = "nats:2.15-alpine"
_POSTGRES_PORT = 5432
_NATS_PORT = 4222


@contextmanager
def postgres_container() -> Iterator[str]:
    """Yield the URL of a PostgreSQL that sorts text as docker-compose.yml has it."""
    postgres = PostgresContainer(POSTGRES_IMAGE, driver=None)
    postgres.with_env("POSTGRES_INITDB_ARGS", "--locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C")
    # In memory, as the embedded one's: a database consists of 300 files.
    postgres.with_tmpfs_mount("/var/lib/postgresql")
    _publish_on_loopback(postgres, _POSTGRES_PORT)
    with postgres:
        yield postgres.get_connection_url(host="127.0.0.1")


@contextmanager
def nats_container() -> Iterator[str]:
    """Yield the URL of a NATS with JetStream."""
    # Not NatsContainer: importing it warns of its own deprecated code, which is an error here.
    nats = DockerContainer(NATS_IMAGE).with_command("--jetstream")
    nats.waiting_for(LogMessageWaitStrategy("Server is ready"))
    _publish_on_loopback(nats, _NATS_PORT)
    with nats:
        yield f"nats://127.0.0.1:{nats.get_exposed_port(_NATS_PORT)}"


def _publish_on_loopback(container: DockerContainer, port: int) -> None:
    # testcontainers has no way to say so; docker-py, which gets the mapping, takes an address for a port of its choice.
    container.ports[str(port)] = ("127.0.0.1",)  # type: ignore[assignment]
