"""A service that cannot reach what it needs says where it looked, and not with which password."""

import asyncio
import os
import sys

import pytest

from taskmill.cli.embedded.ports import free_port

CANARY = "canary-6b1f"


@pytest.mark.parametrize("service", ["gateway", "task_store", "processor"])
@pytest.mark.parametrize("is_wrong", [False, True], ids=["unreachable", "malformed"])
async def test_no_password_is_logged_when_servers_are_away(service: str, is_wrong: bool) -> None:
    """Neither that of PostgreSQL, of NATS, nor of the receiver of traces, nor is one of them when it is refused."""
    scheme = "oops" if is_wrong else ""
    environment = {
        "TASKMILL_DATABASE_URL": f"{scheme}postgresql://user:{CANARY}-database@127.0.0.1:{free_port()}/taskmill",
        "TASKMILL_NATS_URL": f"{scheme}nats://user:{CANARY}-nats@127.0.0.1:{free_port()}",
        "TASKMILL_OTLP_ENDPOINT": f"{scheme}http://user:{CANARY}-otlp@127.0.0.1:{free_port()}",
        "TASKMILL_PORT": str(free_port()),
        "TASKMILL_LOG_LEVEL": "debug",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"taskmill.{service}"),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            output = await process.stdout.readline()
        if not is_wrong:
            process.terminate()
        async with asyncio.timeout(20):
            output += await process.stdout.read()
            status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode()
    assert CANARY not in text
    assert text.strip()
    assert (status == 2) == is_wrong, text
