"""`taskmill processor …`."""

import time
from typing import Annotated

import typer

from taskmill.cli import options, processor_commands
from taskmill.cli.connecting import client_of
from taskmill.cli.exit_codes import ExitCode
from taskmill.cli.fleet_columns import PROCESSORS
from taskmill.cli.output import OutputFormat, print_list, say
from taskmill.cli.registry import NAME, new_app
from taskmill.cli.waiting import progress_bar
from taskmill.contracts.fleet import ProcessorInfo
from taskmill.sdk.client import Client

app = new_app(
    "Run a processor, and see which there are.\n\n"
    "One that is run joins the NATS that TASKMILL_NATS_URL names, or else that of the stack of `taskmill up` on "
    "TASKMILL_DATA (./.data), or of the one whose gateway commands go to, or else nats://127.0.0.1:4222; "
    "and obeys the same settings as any other."
)
_LOOK_SECONDS = 0.5

app.registered_commands += processor_commands.app.registered_commands


@app.command("ls")
def list_processors(output: options.Output = OutputFormat.TABLE, context: options.InContext = None) -> None:
    """List the processors that were heard of within the last 30 s, by id."""
    with client_of(context) as client:
        print_list(client.processors(), PROCESSORS, output)


@app.command()
def drain(
    processor_id: Annotated[
        str, typer.Argument(metavar="PROCESSOR", help="The processor's id.", callback=options.a_name)
    ],
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait until it has nothing left.")] = False,
    within: options.WithinSeconds = 60,
    context: options.InContext = None,
) -> None:
    """Have a processor take no more work, finish or give back what it has, and end.

    It has answered that it begins when this ends. Whoever started it may start it again, as `taskmill up` does.
    """
    with client_of(context) as client:
        before = _found(client, processor_id)
        client.drain_processor(processor_id)
        say(f"{processor_id} drains.")
        if wait and not _has_drained(client, processor_id, before, within):
            say(f"{NAME}: {processor_id} has not ended its work within {within:g} s; it goes on.")
            raise typer.Exit(ExitCode.NOT_ENDED)


def _found(client: Client, processor_id: str) -> ProcessorInfo | None:
    return next((one for one in client.processors() if one.id == processor_id), None)


def _has_drained(client: Client, processor_id: str, before: ProcessorInfo | None, within_seconds: float) -> bool:
    ends_at = time.monotonic() + within_seconds
    with progress_bar("draining") as show:
        while time.monotonic() < ends_at:
            found = _found(client, processor_id)
            if found is None or (found.is_draining and found.running == 0):
                return True
            if before is not None and found.started_at != before.started_at:
                # It has ended, and was started again.
                return True
            show(None, f"running: {found.running}")
            time.sleep(_LOOK_SECONDS)
    return False
