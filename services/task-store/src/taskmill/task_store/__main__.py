"""The process: `python -m taskmill.task_store` serves; `migrate` updates the schema, `create-key` makes an API key.

`restored` says that the database was set back to a backup, where that cannot be noticed.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence

import asyncpg

import taskmill.runtime.light_structlog  # noqa: F401 (before anything else loads structlog)
from taskmill.contracts.api_keys import ALL_SCOPES, Scope
from taskmill.contracts.errors import DatabaseUnavailableError, TaskmillError
from taskmill.contracts.limits import MAX_KEY_NAME_CHARS
from taskmill.runtime.clock import utc_now
from taskmill.runtime.errors import SettingsError, StartError
from taskmill.runtime.service import EXIT_BAD_SETTINGS, EXIT_DRAINED, EXIT_START_FAILED, run_service
from taskmill.runtime.settings import load
from taskmill.task_store.adapters.database_url import database_place
from taskmill.task_store.adapters.log_epochs import say_restored
from taskmill.task_store.bootstrap import build
from taskmill.task_store.errors import MigrationOrderError
from taskmill.task_store.migrations import Steps
from taskmill.task_store.operator_keys import create_operator_key
from taskmill.task_store.settings import DatabaseSettings, TaskStoreSettings

_NOT_LET_IN = (
    asyncpg.CannotConnectNowError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
"""PostgreSQL answers, but is starting or stopping, or does not know the user, the password or the database."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until drained, migrate, or make an API key.

    Args:
        arguments: The command line without the program; None: this process's.

    Returns:
        The exit code; see `run_service`.
    """
    parser = argparse.ArgumentParser(prog="python -m taskmill.task_store", description="Taskmill's task store.")
    actions = parser.add_subparsers(dest="action", title="actions", metavar="ACTION")
    actions.add_parser("serve", help="serve, as without an action")
    steps = actions.add_parser("migrate", help="bring the schema of the database up to date and exit")
    steps.add_argument(
        "--steps",
        choices=list(Steps),
        default=Steps.PRE,
        help="pre (the default), what only adds, before the new task stores start; post, what takes away, when the "
        "last old one is gone; or all, where no task store runs",
    )
    actions.add_parser(
        "restored",
        help="say that the database was restored from a backup, which task stores notice by themselves unless NATS "
        "lost its data, too",
    )
    create_key = actions.add_parser("create-key", help="make an API key, print it, and exit")
    create_key.add_argument("name", type=_key_name, help="what it is for, for people")
    create_key.add_argument(
        "--scope",
        dest="scopes",
        action="append",
        type=Scope,
        metavar="SCOPE",
        help=f"what who has it may do; may be repeated; by default everything: {', '.join(ALL_SCOPES)}",
    )
    given = parser.parse_args(arguments)
    if given.action == "migrate":
        from taskmill.task_store.migrations.steps import migrate  # noqa: PLC0415 (Alembic takes memory)

        return _with_database(lambda url: migrate(url, Steps(given.steps)))
    if given.action == "restored":
        return _with_database(lambda url: asyncio.run(say_restored(url)))
    if given.action == "create-key":
        return _create_key(given.name, given.scopes or ALL_SCOPES)
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


def _key_name(text: str) -> str:
    if not 1 <= len(text) <= MAX_KEY_NAME_CHARS or "\0" in text:
        raise argparse.ArgumentTypeError(f"1 to {MAX_KEY_NAME_CHARS} characters")
    return text


def _create_key(name: str, scopes: Sequence[Scope]) -> int:
    try:
        settings = load(TaskStoreSettings)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_BAD_SETTINGS
    url = settings.database_url.get_secret_value()
    making = create_operator_key(url, name, scopes, now=utc_now(), max_keys=settings.max_api_keys)
    try:
        key = asyncio.run(making)
    except (StartError, TaskmillError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_START_FAILED
    sys.stderr.write("This is the only time that the key is shown:\n")
    sys.stdout.write(f"{key}\n")
    return EXIT_DRAINED


if __name__ == "__main__":
    sys.exit(main())
