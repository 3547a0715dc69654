"""Task stores as operators run them: processes."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.eventually import holds
from tests.support.task_store import run_sql


async def connected_stores(url: str) -> list[str]:
    """Of each store that is connected, the name of the session that holds its lease."""
    rows = await run_sql(
        url,
        "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name LIKE 'taskmill lease%' ORDER BY application_name",
    )
    return [row["application_name"] for row in rows]


@asynccontextmanager
async def serving_store(
    environment: Mapping[str, str], url: str, nats_url: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a task store in an environment, and yield it once it serves.

    Unless it was killed, it must drain by itself or at the end.
    """
    known = len(await connected_stores(url))
    with TemporaryDirectory() as directory:
        # It is there when requests are served, which is some time after the store has connected.
        health_file = Path(directory) / "healthy"
        variables = {
            "TASKMILL_DATABASE_URL": url,
            "TASKMILL_NATS_URL": nats_url,
            "TASKMILL_HEALTH_FILE": str(health_file),
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "taskmill.task_store"), env={**environment, **variables}
        )
        try:

            async def check_serves() -> None:
                assert process.returncode is None
                assert health_file.exists()
                assert len(await connected_stores(url)) == known + 1

            await holds(check_serves, within_seconds=60)
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGTERM)
            assert await process.wait() in {0, -signal.SIGKILL}
