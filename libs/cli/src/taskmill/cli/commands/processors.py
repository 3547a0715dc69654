"""`taskmill processor …`."""

from taskmill.cli import options
from taskmill.cli.connecting import client_of
from taskmill.cli.fleet_columns import PROCESSORS
from taskmill.cli.output import OutputFormat, print_list
from taskmill.cli.registry import new_app

app = new_app("processor", "See who works.")


@app.callback()
def processor() -> None:
    """Keep `ls` a command with a name of its own while it is the only one."""


@app.command("ls")
def list_processors(output: options.Output = OutputFormat.TABLE, context: options.InContext = None) -> None:
    """List the processors that were heard of within the last 30 s, by id."""
    with client_of(context) as client:
        print_list(client.processors(), PROCESSORS, output)
