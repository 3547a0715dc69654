"""`taskmill replay …`: a span of the log once more."""

from typing import Annotated, Any
from uuid import UUID

import typer

from taskmill.cli import options
from taskmill.cli.connecting import client_of
from taskmill.cli.output import OutputFormat
from taskmill.cli.registry import new_app
from taskmill.cli.replaying import show_replay

app = new_app(
    "Have a span of the log told again on NATS, and see how far a replay is.\n\n"
    "To a webhook it is told by: taskmill webhook replay."
)


@app.command()
def subject(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Published to tasks.v1.replay.NAME: subscribe first.", callback=options.a_name
        ),
    ],
    after: options.ReplayAfter,
    until: options.ReplayUntil = None,
    types: options.OfTypes = None,
    kind: options.OfKind = None,
    queue: options.InQueue = None,
    label: options.WithLabels = None,
    key: options.IdempotencyKey = None,
    wait: options.WaitForReplay = False,
    within: options.WithinSeconds = 300,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Publish what happened behind a position to a subject of NATS, in the order of the log."""
    conditions: Any = options.chosen(types=types, kind=kind, queue=queue, labels=options.labels_wanted(label))
    with client_of(context) as client:
        begun = client.replay_to_subject(name, after=after, until=until, idempotency_key=key, **conditions)
        show_replay(client, begun, within if wait else None, output)


@app.command()
def show(
    replay_id: Annotated[UUID, typer.Argument(metavar="REPLAY", help="The replay's id.")],
    wait: options.WaitForReplay = False,
    within: options.WithinSeconds = 300,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Show how far a replay is. One that was completed is kept for 7 days."""
    with client_of(context) as client:
        show_replay(client, client.replay(replay_id), within if wait else None, output)
