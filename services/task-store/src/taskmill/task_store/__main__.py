"""The process: `python -m taskmill.task_store` serves, `python -m taskmill.task_store migrate` updates the schema."""

import argparse
import sys
from collections.abc import Sequence

import asyncpg

from taskmill.runtime.errors import SettingsError
from taskmill.runtime.service import EXIT_BAD_SETTINGS, EXIT_DRAINED, EXIT_START_FAILED, run_service
from taskmill.runtime.settings import load
from taskmill.task_store.adapters.database_url import database_place
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
        choices=("serve", "migrate"),
        default="serve",
        help="serve (the default), or bring the schema of the database up to date and exit",
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
        return _migrate(Steps(options.steps))
    return run_service("task-store", TaskStoreSettings, build)


def _migrate(steps: Steps) -> int:
    try:
        settings = load(DatabaseSettings)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_BAD_SETTINGS
    url = settings.database_url.get_secret_value()
    try:
        migrate(url, steps)
    except MigrationOrderError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_START_FAILED
    except (OSError, *_NOT_LET_IN) as error:
        place = f"PostgreSQL at {database_place(url)} (TASKMILL_DATABASE_URL)"
        sys.stderr.write(f"{place} cannot be reached: {type(error).__name__}\n")
        return EXIT_START_FAILED
    return EXIT_DRAINED


if __name__ == "__main__":
    sys.exit(main())
