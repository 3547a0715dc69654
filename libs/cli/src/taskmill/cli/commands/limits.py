"""`taskmill limit …`."""

import re
from typing import Annotated

import typer

from taskmill.cli import options
from taskmill.cli.connecting import client_of
from taskmill.cli.output import Column, OutputFormat, print_list, print_one
from taskmill.cli.registry import new_app
from taskmill.cli.wording import instant
from taskmill.contracts.limits import MAX_LIMITED_TASKS
from taskmill.contracts.turns import Limit, Rate

app = new_app("Limit what is processed at once, or in some time. docs/limits.md is the guide.")

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The limit's name.", callback=options.a_name)]
_RATE = re.compile(r"([0-9]{1,7})/([0-9]{1,5}(?:\.[0-9]{1,3})?)", re.ASCII)


def _rate(limit: Limit) -> str | None:
    return None if limit.rate is None else f"{limit.rate.tasks}/{limit.rate.seconds:g}"


LIMITS: list[Column[Limit]] = [
    Column("NAME", lambda limit: limit.name),
    Column("KIND", lambda limit: limit.kind),
    Column("KEY", lambda limit: limit.concurrency_key, may_be_cut=True),
    Column("AT ONCE", lambda limit: limit.max_in_progress),
    Column("RATE", _rate),
]
LIMIT: list[Column[Limit]] = [
    Column("name", lambda limit: limit.name),
    Column("kind", lambda limit: limit.kind),
    Column("concurrency key", lambda limit: limit.concurrency_key),
    Column("at once", lambda limit: limit.max_in_progress),
    Column("tasks/seconds", _rate),
    Column("created", lambda limit: instant(limit.created_at)),
    Column("changed", lambda limit: instant(limit.updated_at)),
]


@app.command("set")
def set_limit(
    name: _Name,
    kind: options.OfKind = None,
    concurrency_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Of tasks of this concurrency key; '*': of each key by itself. Not given: of all tasks together.",
            callback=options.a_chosen_key,
        ),
    ] = None,
    most: Annotated[
        int | None,
        typer.Option(
            "--max-in-progress", min=0, max=MAX_LIMITED_TASKS, metavar="N", help="So many at once, at most; 0: none."
        ),
    ] = None,
    rate: Annotated[
        str | None, typer.Option(metavar="TASKS/SECONDS", help="So many in some time, at most, such as 100/60.")
    ] = None,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Make a limit, or have it say something else: whatever it said before is gone.

    It holds within 2 seconds; what is queued or in progress by then goes on, and counts.
    """
    if most is None and rate is None:
        raise typer.BadParameter("--max-in-progress, --rate, or both", param_hint="--max-in-progress")
    with client_of(context) as client:
        limit = client.put_limit(
            name, kind=kind, concurrency_key=concurrency_key, max_in_progress=most, rate=_rate_given(rate)
        )
        print_one(limit, LIMIT, output)


@app.command("ls")
def list_limits(output: options.Output = OutputFormat.TABLE, context: options.InContext = None) -> None:
    """List the limits, by name."""
    with client_of(context) as client:
        print_list(client.limits(), LIMITS, output)


@app.command()
def show(name: _Name, output: options.Output = OutputFormat.TABLE, context: options.InContext = None) -> None:
    """Show a limit."""
    with client_of(context) as client:
        print_one(client.limit(name), LIMIT, output)


@app.command()
def delete(name: _Name, context: options.InContext = None) -> None:
    """Delete a limit: what it held has its turn within 2 seconds."""
    with client_of(context) as client:
        client.delete_limit(name)


def _rate_given(text: str | None) -> Rate | None:
    if text is None:
        return None
    found = _RATE.fullmatch(text)
    try:
        if found is not None:
            return Rate(tasks=int(found[1]), seconds=float(found[2]))
    except ValueError:
        pass
    raise typer.BadParameter(
        f"{text!r}: 1 to 1000000 tasks, a slash, and 0.1 to 86400 seconds, as in 100/60", param_hint="--rate"
    )
