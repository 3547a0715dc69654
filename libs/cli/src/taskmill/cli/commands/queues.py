"""`taskmill queue …`."""

import typer

from taskmill.cli import options
from taskmill.cli.connecting import client_of
from taskmill.cli.exit_codes import ExitCode
from taskmill.cli.fleet_columns import QUEUE, QUEUES
from taskmill.cli.output import OutputFormat, print_list, print_one, say
from taskmill.cli.registry import NAME, new_app

app = new_app("See what waits, and pause it.")


@app.command("ls")
def list_queues(output: options.Output = OutputFormat.TABLE, context: options.InContext = None) -> None:
    """List the queues, by name, each with what waits in it and who serves it."""
    with client_of(context) as client:
        print_list(client.queues(), QUEUES, output)


@app.command()
def show(
    name: options.QueueArgument, output: options.Output = OutputFormat.TABLE, context: options.InContext = None
) -> None:
    """Show a queue."""
    with client_of(context) as client:
        queue = next((queue for queue in client.queues() if queue.name == name), None)
    if queue is None:
        say(f"{NAME}: there is no queue {name!r}: taskmill queue ls shows all.")
        raise typer.Exit(ExitCode.NOT_FOUND)
    print_one(queue, QUEUE, output)


@app.command()
def pause(
    name: options.QueueArgument, output: options.Output = OutputFormat.TABLE, context: options.InContext = None
) -> None:
    """Begin no more tasks of a queue, until it is resumed: what runs goes on to its end, and new tasks wait.

    A queue that does not exist yet comes to exist, paused.
    """
    with client_of(context) as client:
        print_one(client.pause_queue(name), QUEUE, output)


@app.command()
def resume(
    name: options.QueueArgument, output: options.Output = OutputFormat.TABLE, context: options.InContext = None
) -> None:
    """Begin tasks of a queue again."""
    with client_of(context) as client:
        print_one(client.resume_queue(name), QUEUE, output)
