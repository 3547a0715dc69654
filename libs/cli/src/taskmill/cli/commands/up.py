"""`taskmill up`."""

import asyncio

from taskmill.cli.registry import new_app
from taskmill.cli.settings import StackSettings
from taskmill.cli.up import up as run_stack
from taskmill.runtime.settings import load

app = new_app()


@app.command()
def up() -> None:
    """Run NATS, PostgreSQL and the three services here, until Ctrl-C.

    Settings come from the environment or a .env file: TASKMILL_HOST (127.0.0.1), TASKMILL_PORT (8000), TASKMILL_DATA
    (./.data, keeps everything) and TASKMILL_PROCESSORS (1).
    """
    asyncio.run(run_stack(load(StackSettings)))
