"""`taskmill processor …`."""

from taskmill.cli import options, processor_commands
from taskmill.cli.connecting import client_of
from taskmill.cli.fleet_columns import PROCESSORS
from taskmill.cli.output import OutputFormat, print_list
from taskmill.cli.registry import new_app

app = new_app(
    "Run a processor, and see which there are.\n\n"
    "One that is run finds NATS by NATS_URL (nats://127.0.0.1:4222), and obeys the same settings as any other."
)
app.registered_commands += processor_commands.app.registered_commands


@app.command("ls")
def list_processors(output: options.Output = OutputFormat.TABLE, context: options.InContext = None) -> None:
    """List the processors that were heard of within the last 30 s, by id."""
    with client_of(context) as client:
        print_list(client.processors(), PROCESSORS, output)
