"""`taskmill top`."""

import time
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from taskmill.cli import options
from taskmill.cli.connecting import client_of, find_target
from taskmill.cli.fleet_columns import PROCESSORS, QUEUES, depth
from taskmill.cli.output import (
    OutputFormat,
    console,
    new_table,
    print_json_line,
    print_line,
    print_list,
    print_one,
    visible,
)
from taskmill.cli.registry import new_app
from taskmill.contracts.fleet import ProcessorInfo, QueueInfo
from taskmill.contracts.health import Health, HealthStatus
from taskmill.sdk.client import Client, NoAnswerError, UnavailableError

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

_RETRY_WITHIN_SECONDS = 1.0

app = new_app()


class _Picture(NamedTuple):
    """Everything at one moment."""

    health: Health
    queues: list[QueueInfo]
    processors: list[ProcessorInfo]


@app.command()
def top(
    interval: Annotated[
        float,
        typer.Option(
            "--interval",
            "-i",
            min=0.2,
            metavar="SECONDS",
            callback=options.at_most(options.MAX_SECONDS),
            help="How often to look.",
        ),
    ] = 2,
    once: Annotated[bool, typer.Option("--once", help="Look once, print it, and end: for pipes.")] = False,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Show queues, processors and rates, live until Ctrl-C; without a terminal, or for JSON, once."""
    picture_of = console()
    with client_of(context, retry_within_seconds=_RETRY_WITHIN_SECONDS) as client:
        if once or output is not OutputFormat.TABLE or not picture_of.is_terminal:
            _print(_look(client), output)
            return
        from rich.live import Live  # noqa: PLC0415 -- only here

        title = f"taskmill {find_target(context).url}"
        picture = _drawn(_look(client), title)
        with Live(picture, console=picture_of, screen=True, auto_refresh=False) as live:
            while True:
                live.refresh()
                time.sleep(interval)
                live.update(_look_again(client, title))


def _look(client: Client) -> _Picture:
    health = client.health()
    if health.status is not HealthStatus.OK:
        return _Picture(health, [], [])
    return _Picture(health, list(client.queues()), list(client.processors()))


def _look_again(client: Client, title: str) -> "Group | Text":
    """What there is now; while nobody answers, that."""
    from rich.text import Text  # noqa: PLC0415 -- only here

    try:
        return _drawn(_look(client), title)
    except (NoAnswerError, UnavailableError) as error:
        return Text("\n".join([title, visible(str(error)), "Looking again; Ctrl-C ends it."]))


def _summary(picture: _Picture) -> str:
    components = picture.health.components
    rate = sum(queue.finished_per_second or 0 for queue in picture.queues)
    waiting, running = sum(map(depth, picture.queues)), sum(queue.in_progress for queue in picture.queues)
    return (
        f"{picture.health.status}: NATS {components.nats}, store {components.store}, "
        f"PostgreSQL {components.postgresql}. {waiting} queued, {running} running, {rate:.1f} done/s"
        f"{_unknown_kinds(picture.health)}"
    )


def _unknown_kinds(health: Health) -> str:
    unknown = [] if health.fleet is None else health.fleet.unknown_kinds
    names = ", ".join(f"{one.kind} in {one.queue}" for one in unknown)
    return f"\nNo processor knows, and tasks wait: {names}" if names else ""


def _drawn(picture: _Picture, title: str) -> "Group":
    from rich.console import Group  # noqa: PLC0415 -- only here

    return Group(
        title,
        _summary(picture),
        "",
        new_table(QUEUES, picture.queues),
        "",
        new_table(PROCESSORS, picture.processors),
    )


def _print(picture: _Picture, output: OutputFormat) -> None:
    document: Any = picture._asdict()
    if output is OutputFormat.JSONL:
        print_json_line(document)
    elif output is OutputFormat.JSON:
        print_one(picture, [], output, document=document)
    else:
        print_line(_summary(picture))
        print_list(picture.queues, QUEUES, output)
        print_list(picture.processors, PROCESSORS, output)
