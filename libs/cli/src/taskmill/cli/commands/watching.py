"""`taskmill watch` and `events`."""

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any
from uuid import UUID

import typer

from taskmill.cli import options
from taskmill.cli.connecting import client_of
from taskmill.cli.event_lines import document, follow_task, print_events
from taskmill.cli.output import OutputFormat, end_with_reader, print_array, refuse_array
from taskmill.cli.registry import new_app
from taskmill.cli.waiting import raise_if_not_completed
from taskmill.sdk.client import Client, Event, TaskNotFoundError
from taskmill.sdk.client.following import RECONNECT_WITHIN_SECONDS

app = new_app()

_LARGEST_END = 100_000
"""Events that `--last` takes at most: they are held in memory."""

_Patience = Annotated[
    float,
    typer.Option(
        "--reconnect-within",
        min=0.1,
        metavar="SECONDS",
        callback=options.at_most(options.MAX_SECONDS),
        help="How long nobody may answer, at the beginning, too.",
    ),
]


@app.command()
def watch(
    task_id: Annotated[UUID | None, typer.Argument(metavar="[ID]", help="The task to follow.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Follow all tasks, from now on, until Ctrl-C.")
    ] = False,
    after: options.AfterPosition = None,
    types: options.OfTypes = None,
    kind: options.OfKind = None,
    queue: options.InQueue = None,
    label: options.WithLabels = None,
    within: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            callback=options.at_most(options.MAX_SECONDS),
            help="How long to follow at most; if not given: no end.",
        ),
    ] = None,
    patience: _Patience = RECONNECT_WITHIN_SECONDS,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Follow a task to its end, or all that happens: nothing is missed, over restarts of the gateway, too.

    Of a task its history comes first, and the exit code says how it ended: 0 completed, 7 failed, 8 cancelled.
    """
    refuse_array(output)
    conditions: Any = options.chosen(types=types, kind=kind, queue=queue, labels=options.labels_wanted(label))
    if (task_id is None) is not everything:
        raise typer.BadParameter("say which task, or --all")
    if task_id is not None and conditions.keys() - {"types"}:
        raise typer.BadParameter("--kind, --queue and --label go with --all")
    end_with_reader()
    with client_of(context) as client:
        if task_id is None:
            found = client.watch(after=after, within_seconds=within, reconnect_within_seconds=patience, **conditions)
            print_events(found, output, has_ids=True)
            return
        follow_task(
            client,
            task_id,
            output,
            within_seconds=within,
            reconnect_within_seconds=patience,
            after=after,
            **conditions,
        )
        try:
            task = client.get(task_id)
        except TaskNotFoundError:
            return
        raise_if_not_completed(task)


@app.command()
def events(
    task_id: Annotated[
        UUID | None, typer.Option("--task", metavar="ID", help="Only of this task, also of one that is deleted.")
    ] = None,
    after: options.AfterPosition = None,
    last: Annotated[
        int | None,
        typer.Option("--last", min=1, max=_LARGEST_END, metavar="N", help="Begin with the newest N that are wanted."),
    ] = None,
    types: options.OfTypes = None,
    kind: options.OfKind = None,
    queue: options.InQueue = None,
    label: options.WithLabels = None,
    limit: options.Limit = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens, until Ctrl-C.")] = False,
    patience: _Patience = RECONNECT_WITHIN_SECONDS,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Show what happened, oldest first: from the oldest event that is kept, from behind a position, or the newest."""
    if last is not None and after is not None:
        raise typer.BadParameter("--last and --after exclude one another.")
    if follow:
        refuse_array(output)
        if task_id is not None:
            raise typer.BadParameter("a task is followed by: taskmill watch ID")
    conditions: Any = options.chosen(types=types, kind=kind, queue=queue, labels=options.labels_wanted(label))
    if follow:
        end_with_reader()
    with client_of(context) as client:
        found = _behind(client, task_id, after or 0, conditions, patience if follow else None)
        if last is not None:
            found = _from_end(client, task_id, last, conditions, patience if follow else None)
        some = islice(found, limit) if limit else found
        if output is OutputFormat.JSON:
            print_array(some, document)
        else:
            print_events(some, output, has_ids=task_id is None)


def _behind(
    client: Client, task_id: UUID | None, after: int, conditions: Any, patience: float | None
) -> Iterator[Event]:
    """What happened behind a position; with patience also what happens."""
    if patience is None:
        return client.events(task_id, after=after, **conditions)
    return client.watch(after=after, reconnect_within_seconds=patience, **conditions)


def _from_end(
    client: Client, task_id: UUID | None, count: int, conditions: Any, patience: float | None
) -> Iterator[Event]:
    """The newest events; with patience also what happens."""
    end = client.last_events(count, task_id, **conditions)
    yield from end.events
    if patience is not None:
        yield from client.watch(after=end.position, reconnect_within_seconds=patience, **conditions)
