"""`taskmill doctor`."""

import platform
from collections.abc import Iterator
from importlib.metadata import version
from typing import Annotated

import typer

from taskmill.cli import options
from taskmill.cli.connecting import find_target
from taskmill.cli.diagnosis.addresses import Addresses, find_addresses, is_elsewhere, judge_address
from taskmill.cli.diagnosis.bus import look_at_nats
from taskmill.cli.diagnosis.gateway import look_at_gateway
from taskmill.cli.diagnosis.machine import look_at_machine
from taskmill.cli.diagnosis.remark import Level, Remark, ok, skip
from taskmill.cli.exit_codes import ExitCode
from taskmill.cli.output import Column, OutputFormat, print_list
from taskmill.cli.registry import new_app
from taskmill.cli.waiting import progress_bar
from taskmill.cli.wording import sentences

app = new_app()

_REMARKS: list[Column[Remark]] = [
    Column("", lambda remark: remark.level),
    Column("WHAT", lambda remark: remark.what),
    Column("FOUND", lambda remark: sentences(remark.found, remark.advice)),
]


@app.command()
def doctor(
    prod: Annotated[
        bool,
        typer.Option(
            "--prod",
            help="Look for what may not be open in production, too: who is let in, default passwords, what is sent "
            "in the open, files that others may read.",
        ),
    ] = False,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Look for what is wrong, and say what to do; ends with 1 if something does not work.

    Looks at the gateway, and through it at the fleet; at NATS and PostgreSQL where TASKMILL_NATS_URL and
    TASKMILL_DATABASE_URL say, or a stack of `taskmill up` on TASKMILL_DATA (./.data) does; and at this machine. Where
    NATS asks who is there, it comes as the operator: TASKMILL_NATS_NKEY_FILE.
    """
    with progress_bar("looking") as show:
        remarks = []
        for remark in _look(context, is_production=prod):
            remarks.append(remark)
            show(None, remark.what)
    print_list(remarks, _REMARKS, output, document=lambda remark: remark._asdict())
    if any(remark.level is Level.FAIL for remark in remarks):
        raise typer.Exit(ExitCode.FAILED)


def _look(context: str | None, *, is_production: bool) -> Iterator[Remark]:
    yield ok("taskmill", f"{version('taskmill-cli')} on Python {platform.python_version()}")
    target = find_target(context)
    addresses = find_addresses()
    yield judge_address(target.url, target.origin, addresses)
    queues: list[str] = []
    has_answered = False
    for remark in look_at_gateway(context, queues):
        has_answered = has_answered or (remark.what == "gateway" and remark.level is Level.OK)
        yield remark
    if is_elsewhere(target.url, addresses):
        queues.clear()  # they are not on the NATS that is looked at
    yield from look_at_nats(addresses.nats_url, queues, seed=addresses.nats_seed)
    yield from _database(addresses)
    yield from look_at_machine(addresses, target.url if has_answered else None)
    if is_production:
        # Here, because few ask for it.
        from taskmill.cli.diagnosis.production import look_at_production  # noqa: PLC0415

        yield from look_at_production(target.url, addresses)


def _database(addresses: Addresses) -> Iterator[Remark]:
    try:
        # Here, because clients are installed without what it needs.
        from taskmill.cli.diagnosis.database import look_at_postgresql  # noqa: PLC0415
    except ModuleNotFoundError:
        yield skip("database", "what looks at it is not installed", "pip install 'taskmill[server]'")
        return
    yield from look_at_postgresql(addresses.database_url)
