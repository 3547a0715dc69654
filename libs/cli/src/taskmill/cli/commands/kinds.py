"""`taskmill kinds`."""

from taskmill.cli import options
from taskmill.cli.connecting import client_of
from taskmill.cli.fleet_columns import KINDS
from taskmill.cli.output import OutputFormat, print_list
from taskmill.cli.registry import new_app

app = new_app()


@app.command()
def kinds(output: options.Output = OutputFormat.TABLE, context: options.InContext = None) -> None:
    """List the kinds that processors have handlers for, by name, with what those declare; JSON has the payload schemas.

    A kind that declared something stays when nobody serves it any more.
    """
    with client_of(context) as client:
        print_list(client.kinds(), KINDS, output)
