"""The pgqueuer worker: `python -m tasks` runs it."""

import asyncio
import os
import signal

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job

BATCH_SIZE = 500


async def main() -> None:
    """Work with one queue manager, on a connection of its own, until SIGTERM."""
    manager = PgQueuer(AsyncpgDriver(await asyncpg.connect(os.environ["DATABASE_URL"])))

    @manager.entrypoint("echo")
    async def echo(_job: Job) -> None:
        pass

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, manager.shutdown.set)
    await manager.run(batch_size=BATCH_SIZE)


if __name__ == "__main__":
    uvloop.run(main())
