"""The `taskmill` command."""

import asyncio

import typer

from taskmill.cli.drill.commands import app as drill_app
from taskmill.cli.errors import StackError
from taskmill.cli.processor_commands import app as processor_app
from taskmill.cli.settings import StackSettings
from taskmill.cli.up import up as run_stack
from taskmill.runtime.errors import SettingsError
from taskmill.runtime.settings import load

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Taskmill on one machine."
)
app.add_typer(drill_app, name="drill")
app.add_typer(processor_app, name="processor")


@app.command()
def up() -> None:
    """Run NATS, PostgreSQL and the three services here, until Ctrl-C or SIGTERM.

    Settings come from the environment or a .env file: TASKMILL_HOST (127.0.0.1), TASKMILL_PORT (8000), TASKMILL_DATA
    (./.data, keeps everything) and TASKMILL_PROCESSORS (1).
    """
    try:
        asyncio.run(run_stack(load(StackSettings)))
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except (StackError, OSError) as error:
        typer.echo(f"taskmill: {error}", err=True)
        raise typer.Exit(1) from None
