"""`taskmill top`."""

import time
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from taskmill.cli import options
from taskmill.cli.connecting import client_of, find_target
from taskmill.cli.fleet_columns import PROCESSORS, QUEUES, depth
from taskmill.cli.output import OutputFormat, console, new_table, print_json_line, print_line, print_list, print_one
from taskmill.cli.registry import new_app
from taskmill.contracts.fleet import ProcessorInfo, QueueInfo
from taskmill.contracts.health import Health
from taskmill.sdk.client import Client

if TYPE_CHECKING:
    from rich.console import Group

app = new_app()


class _Picture(NamedTuple):
    """Everything at one moment."""

    health: Health
    queues: list[QueueInfo]
    processors: list[ProcessorInfo]


@app.command()
def top(
    interval: Annotated[
        float, typer.Option("--interval", "-i", min=0.2, metavar="SECONDS", help="How often to look.")
    ] = 2,
    once: Annotated[bool, typer.Option("--once", help="Look once, print it, and end: for pipes.")] = False,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Show queues, processors and rates, live until Ctrl-C; without a terminal, or for JSON, once."""
    picture_of = console()
    with client_of(context) as client:
        if once or output is not OutputFormat.TABLE or not picture_of.is_terminal:
            _print(_look(client), output)
            return
        from rich.live import Live  # noqa: PLC0415 -- only here

        where = find_target(context).url
        with Live(console=picture_of, screen=True, auto_refresh=False) as live:
            while True:
                live.update(_drawn(_look(client), where), refresh=True)
                time.sleep(interval)


def _look(client: Client) -> _Picture:
    return _Picture(client.health(), list(client.queues()), list(client.processors()))


def _summary(picture: _Picture) -> str:
    components = picture.health.components
    rate = sum(queue.finished_per_second or 0 for queue in picture.queues)
    waiting, running = sum(map(depth, picture.queues)), sum(queue.in_progress for queue in picture.queues)
    return (
        f"{picture.health.status}: NATS {components.nats}, store {components.store}, "
        f"PostgreSQL {components.postgresql}. {waiting} queued, {running} running, {rate:.1f} done/s"
    )


def _drawn(picture: _Picture, where: str) -> "Group":
    from rich.console import Group  # noqa: PLC0415 -- only here

    return Group(
        f"taskmill {where}",
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
