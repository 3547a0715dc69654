"""The process: `python -m taskmill.task_store` serves, with `migrate` it updates the schema.

With `restored` it says that the database was set back to a backup, where that cannot be noticed.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence

import asyncpg

from taskmill.contracts.errors import DatabaseUnavailableError
from taskmill.runtime.errors import SettingsError
from taskmill.runtime.service import EXIT_BAD_SETTINGS, EXIT_DRAINED, EXIT_START_FAILED, run_service
from taskmill.runtime.settings import load
from taskmill.task_store.adapters.database_url import database_place
from taskmill.task_store.adapters.log_epochs import say_restored
from taskmill.task_store.bootstrap import build
from taskmill.task_store.errors import MigrationOrderError
from taskmill.task_store.migrations import Steps, migrate
from taskmill.task_store.settings import DatabaseSettings, TaskStoreSettings

_NOT_LET_IN = (
    asyncpg.CannotConnectNowError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
"""PostgreSQL answers, but is starting or stopping, or does not know the user, the password or the database."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until drained, or migrate.

    Args:
        arguments: The command line without the program; None: this process's.

    Returns:
        The exit code; see `run_service`.
    """
    parser = argparse.ArgumentParser(prog="python -m taskmill.task_store", description="Taskmill's task store.")
    parser.add_argument(
        "action",
        nargs="?",
        choices=("serve", "migrate", "restored"),
        default="serve",
        help="serve (the default); or bring the schema of the database up to date and exit; or say that the database "
        "was restored from a backup, which task stores notice by themselves unless NATS lost its data, too",
    )
    parser.add_argument(
        "--steps",
        choices=list(Steps),
        default=Steps.PRE,
        help="with migrate: pre (the default), what only adds, before the new task stores start; post, what takes "
        "away, when the last old one is gone; or all, where no task store runs",
    )
    options = parser.parse_args(arguments)
    if options.action == "migrate":
        return _with_database(lambda url: migrate(url, Steps(options.steps)))
    if options.action == "restored":
        return _with_database(lambda url: asyncio.run(say_restored(url)))
    return run_service("task-store", TaskStoreSettings, build)


def _with_database(act: Callable[[str], object]) -> int:
    try:
        settings = load(DatabaseSettings)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_BAD_SETTINGS
    url = settings.database_url.get_secret_value()
    try:
        act(url)
    except (MigrationOrderError, DatabaseUnavailableError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_START_FAILED
    except (OSError, *_NOT_LET_IN) as error:
        place = f"PostgreSQL at {database_place(url)} (TASKMILL_DATABASE_URL)"
        sys.stderr.write(f"{place} cannot be reached: {type(error).__name__}\n")
        return EXIT_START_FAILED
    return EXIT_DRAINED


if __name__ == "__main__":
    sys.exit(main())
