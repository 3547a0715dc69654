"""The pgqueuer worker: `python -m tasks` runs it."""

import asyncio
import os
import signal

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job

MANAGERS = 5
BATCH_SIZE = 100


async def main() -> None:
    """Work with several queue managers, each on a connection of its own, until SIGTERM."""
    managers = [await _manager() for _ in range(MANAGERS)]

    def stop() -> None:
        for manager in managers:
            manager.shutdown.set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    await asyncio.gather(*(manager.run(batch_size=BATCH_SIZE) for manager in managers))


async def _manager() -> PgQueuer:
    manager = PgQueuer(AsyncpgDriver(await asyncpg.connect(os.environ["DATABASE_URL"])))

    @manager.entrypoint("echo")
    async def echo(_job: Job) -> None:
        pass

    return manager


if __name__ == "__main__":
    uvloop.run(main())
