"""`taskmill migrate …`."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NamedTuple

import typer
from alembic.util.exc import CommandError

from taskmill.cli import options
from taskmill.cli.command import one_of
from taskmill.cli.database import driver_errors_told, look_at_database
from taskmill.cli.database_errors import (
    DatabaseAwayError,
    DatabaseUnknownError,
    MigrationRefusedError,
    NoSuchRevisionError,
)
from taskmill.cli.exit_codes import ExitCode
from taskmill.cli.output import Column, OutputFormat, print_one, say
from taskmill.cli.registry import new_app
from taskmill.contracts.errors import DatabaseUnavailableError
from taskmill.runtime.settings import load
from taskmill.task_store.adapters.log_epochs import say_restored
from taskmill.task_store.errors import MigrationOrderError
from taskmill.task_store.migrations import Steps, needed_revision, newest_revision
from taskmill.task_store.migrations.steps import downgrade, migrate, upgrade
from taskmill.task_store.settings import DatabaseSettings

app = new_app("Change the schema of the task store's database, which TASKMILL_DATABASE_URL names.")


class _Status(NamedTuple):
    revision: str | None
    newest: str
    is_current: bool

    @property
    def to_do(self) -> str:
        """The command that comes next."""
        if self.is_current:
            return "nothing"
        is_expanded = self.revision is not None and self.revision >= needed_revision()
        return (
            "taskmill migrate up --steps post, when the old stores are gone" if is_expanded else "taskmill migrate up"
        )


_STATUS: list[Column[_Status]] = [
    Column("revision", lambda status: status.revision or "(none: it is empty)"),
    Column("newest", lambda status: status.newest),
    Column("to do", lambda status: status.to_do),
]


@app.command()
def up(
    steps: Annotated[
        Steps,
        typer.Option(
            "--steps",
            metavar=one_of(Steps),
            help="pre: what only adds, before the new task stores start; post: what takes away, when the last old one "
            "is gone; all: where no task store runs.",
        ),
    ] = Steps.PRE,
    to: Annotated[
        str | None, typer.Option("--to", metavar="REVISION", help="Up to here, whatever steps that takes.")
    ] = None,
) -> None:
    """Bring the schema up to date, in the steps of an update. An empty database gets everything.

    What is up to date already stays as it is; two at once wait for each other. A step that must wait is refused, with
    what comes first.
    """
    url = _database_url()
    with _errors_told(to):
        if to is None:
            migrate(url, steps)
        else:
            upgrade(url, to)
    say(f"The schema is at {_revision(url)}.")


@app.command()
def down(
    to: Annotated[
        str, typer.Option("--to", metavar="REVISION", help="Where to stop, such as 0005; base: drop everything.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take the schema back to an older revision. What only a newer one can hold is lost; stop the task stores first."""
    url = _database_url()
    found = _revision(url)
    if not yes:
        what = "ALL TASKS AND EVENTS ARE DELETED" if to == "base" else "what only newer revisions hold is deleted"
        typer.confirm(f"From {found} down to {to}: {what}. Go on?", abort=True, err=True)
    with _errors_told(to):
        downgrade(url, to)
    say(f"The schema is at {_revision(url) or 'base'}.")


@app.command()
def restored(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Say that the database was restored from a backup: the log goes on in a new epoch.

    Task stores notice that by themselves, by what NATS still has of what was lost. This is for when NATS has lost its
    data, too, and for before they start. Those that run end, and have to be started again.
    """
    url = _database_url()
    if not yes:
        typer.confirm("All that is being processed is dispatched anew. Go on?", abort=True, err=True)
    with driver_errors_told():
        try:
            epoch = asyncio.run(say_restored(url))
        except DatabaseUnavailableError as error:
            raise DatabaseAwayError(str(error)) from error
    say(f"The log goes on behind position {epoch.begin}.")


@app.command()
def status(output: options.Output = OutputFormat.TABLE) -> None:
    """Show at which revision the schema is, and the newest; ends with 1 if they differ."""
    url, newest = _database_url(), newest_revision()
    revision = _revision(url)
    found = _Status(revision, newest, revision == newest)
    print_one(found, _STATUS, output, document=found._asdict())
    if not found.is_current:
        raise typer.Exit(ExitCode.FAILED)


def _database_url() -> str:
    settings = load(DatabaseSettings)
    if "database_url" not in settings.model_fields_set:
        raise DatabaseUnknownError
    return settings.database_url.get_secret_value()


def _revision(url: str) -> str | None:
    return look_at_database(url).revision


@contextmanager
def _errors_told(revision: str | None) -> Iterator[None]:
    with driver_errors_told():
        try:
            yield
        except MigrationOrderError as error:
            raise MigrationRefusedError(str(error)) from error
        except CommandError as error:
            if revision is None:
                raise
            raise NoSuchRevisionError(revision) from error
