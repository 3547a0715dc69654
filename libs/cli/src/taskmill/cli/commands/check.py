"""`taskmill check`."""

from typing import Annotated

import typer

from taskmill.cli import options
from taskmill.cli.connecting import GatewayUnreachableError, client_of
from taskmill.cli.findings import Limits, Report, Severity, judge
from taskmill.cli.output import OutputFormat, print_line, print_one
from taskmill.cli.registry import new_app
from taskmill.sdk.client import ApiError, Client, UnreadableAnswerError

_RETRY_WITHIN_SECONDS = 1.0

app = new_app()


@app.command()
def check(
    queue: Annotated[
        list[str] | None,
        typer.Option(
            "--queue",
            "-q",
            metavar="QUEUE",
            help="Only these, each of which must be served; if not given: all.",
            callback=options.a_name,
        ),
    ] = None,
    max_age: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            callback=options.at_most(options.MAX_SECONDS),
            help="Critical: a task is queued for longer.",
        ),
    ] = None,
    max_depth: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            callback=options.at_most(options.MAX_ITEMS),
            help="Critical: more tasks are queued in a queue.",
        ),
    ] = None,
    warn_age: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            callback=options.at_most(options.MAX_SECONDS),
            help="Warning: a task is queued for longer.",
        ),
    ] = None,
    warn_depth: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            callback=options.at_most(options.MAX_ITEMS),
            help="Warning: more tasks are queued in a queue.",
        ),
    ] = None,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Say in one line whether all is well, for a monitor such as Nagios; ends with 0 ok, 1 warning, 2 critical.

    Critical: a part is down, nobody answers, tasks wait in a queue that nobody serves, or a limit is exceeded. Warning:
    tasks wait in a queue that is paused, or are of a kind that no processor of their queue knows; or processors declare
    different things for a kind.
    """
    limits = Limits(warn_age, max_age, warn_depth, max_depth)
    try:
        with client_of(context, retry_within_seconds=_RETRY_WITHIN_SECONDS) as client:
            report = _look(client, limits, queue or [])
    except (ApiError, GatewayUnreachableError, UnreadableAnswerError) as error:
        report = Report(Severity.CRITICAL, [str(error).splitlines()[0]], {})
    if output is OutputFormat.TABLE:
        print_line(report.line())
    else:
        print_one(report, [], output, document=report.document())
    raise typer.Exit(report.severity)


def _look(client: Client, limits: Limits, wanted: list[str]) -> Report:
    health = client.health()
    if health.status != "ok":
        return judge(health, [], [], limits, wanted)
    return judge(health, list(client.queues()), list(client.processors()), limits, wanted)
