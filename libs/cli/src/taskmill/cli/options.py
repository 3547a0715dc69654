"""Arguments and options that several commands have."""

from typing import Annotated
from uuid import UUID

import typer

from taskmill.cli.contexts import contexts_file, read_contexts
from taskmill.cli.output import OutputFormat
from taskmill.contracts.events import EventType
from taskmill.contracts.status import Priority

TaskIdArgument = Annotated[UUID, typer.Argument(metavar="ID", help="The task's id.")]
TaskIdsArgument = Annotated[list[UUID], typer.Argument(metavar="ID...", help="Ids of tasks.")]
QueueArgument = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.")]

Output = Annotated[
    OutputFormat,
    typer.Option("--output", "-o", help="How data is printed: a table, JSON, or JSON in a line for each."),
]
InContext = Annotated[
    str | None,
    typer.Option(
        "--context",
        metavar="NAME",
        help="The context whose gateway is asked; beats TASKMILL_URL.",
        autocompletion=lambda: sorted(read_contexts(contexts_file()).contexts),
    ),
]
InQueue = Annotated[str | None, typer.Option("--queue", "-q", metavar="QUEUE", help="Of this queue.")]
OfKind = Annotated[str | None, typer.Option("--kind", "-k", metavar="KIND", help="Of this kind.")]
WithLabels = Annotated[
    list[str] | None,
    typer.Option(
        "--label", "-l", metavar="KEY[=VALUE]", help="With this label, of any value if none is given. Several: all."
    ),
]
OfPriority = Annotated[Priority | None, typer.Option("--priority", "-p", help="Of this priority.")]
OfTypes = Annotated[
    list[EventType] | None, typer.Option("--type", "-t", help="Only what is of this type. Several: any.")
]
Within = Annotated[
    float, typer.Option("--within", min=0, metavar="SECONDS", help="How long to wait for the end of the task at most.")
]


def labels_wanted(given: list[str] | None) -> dict[str, str | None]:
    """What `--label` chooses; None: any value."""
    pairs = (text.partition("=") for text in given or [])
    return {key: value if has_value else None for key, has_value, value in pairs}


def chosen(**conditions: object) -> dict[str, object]:
    """The conditions that were given, for the client."""
    return {name: value for name, value in conditions.items() if value not in (None, [], {}, ())}
