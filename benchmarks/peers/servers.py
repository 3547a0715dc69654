"""The servers that peers stand on: NATS and PostgreSQL as Taskmill's own, and Redis."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from benchmarks.errors import LeftOutError
from benchmarks.waiting import eventually
from taskmill.cli.child_process import ChildProcess
from taskmill.cli.embedded.nats import NatsServer
from taskmill.cli.embedded.ports import LOOPBACK, free_port, is_port_free
from taskmill.cli.embedded.postgres import PostgresServer

NATS, POSTGRES, REDIS = "NATS_URL", "DATABASE_URL", "REDIS_URL"
"""A server is named by the environment variable in which its URL is handed on."""

_APT_INSTALL = ("apt-get", "install", "-y", "redis-server")
_APT_WITHIN_SECONDS = 300


@asynccontextmanager
async def running_servers(names: Collection[str], directory: Path) -> AsyncIterator[dict[str, str]]:
    """Start servers on free ports, yield their URLs by name, and stop them.

    Raises:
        LeftOutError: One cannot be had.
    """
    urls = {}
    async with AsyncExitStack() as cleanup:
        if NATS in names:
            nats = NatsServer(directory / "nats")
            cleanup.push_async_callback(nats.stop)
            await nats.start()
            urls[NATS] = nats.url
        if POSTGRES in names:
            postgres = PostgresServer(directory / "postgres")
            cleanup.push_async_callback(postgres.stop)
            await postgres.start()
            urls[POSTGRES] = postgres.url
        if REDIS in names:
            urls[REDIS] = await cleanup.enter_async_context(_running_redis(directory))
        yield urls


@asynccontextmanager
async def _running_redis(directory: Path) -> AsyncIterator[str]:
    program = redis_program()
    port = free_port()
    server = ChildProcess("redis", pid_file=directory / "redis.pid", log_file=directory / "redis.log")
    # Everything else is Redis' default: a snapshot now and then, and no append-only file.
    await server.spawn([program, "--port", str(port), "--bind", LOOPBACK, "--dir", str(directory)])
    try:
        await eventually(lambda: not is_port_free(port), within_seconds=30)
        yield f"redis://{LOOPBACK}:{port}/0"
    finally:
        await server.stop()


def redis_program() -> str:
    """Return the path of redis-server; root gets it installed where apt-get is.

    Raises:
        LeftOutError: There is none.
    """
    if shutil.which("redis-server") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(_APT_INSTALL, capture_output=True, check=False, timeout=_APT_WITHIN_SECONDS)  # noqa: S603
    program = shutil.which("redis-server")
    if program is None:
        raise LeftOutError("redis-server is not installed (Debian: apt-get install redis-server)")
    return program
