"""`taskmill group …`: tasks that have one outcome together."""

import sys
from itertools import islice
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from pydantic_core import from_json

from taskmill.cli import options
from taskmill.cli.commands.bulk import show_operation
from taskmill.cli.connecting import client_of
from taskmill.cli.exit_codes import ExitCode
from taskmill.cli.output import Column, OutputFormat, print_list, print_one, say
from taskmill.cli.registry import NAME, new_app
from taskmill.cli.waiting import wait_until_completed
from taskmill.cli.wording import age, instant
from taskmill.contracts.bulk_operations import BulkAction
from taskmill.contracts.groups import Group, GroupStatus, NewGroup
from taskmill.contracts.tasks import DEFAULT_KIND
from taskmill.sdk.client import Client

app = new_app("Make tasks that have one outcome together, and see how far they are. docs/groups.md is the guide.")

_Group = Annotated[UUID, typer.Argument(metavar="GROUP", help="The group's id.")]
_Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait until it has its outcome.")]


def _counts(group: Group) -> str:
    return ", ".join(f"{count} {status}" for status, count in group.counts if count)


_GROUPS: list[Column[Group]] = [
    Column("ID", lambda group: group.id),
    Column("STATUS", lambda group: group.status),
    Column("PROGRESS", lambda group: f"{group.progress:.0%} of {group.total}"),
    Column("AGE", lambda group: age(group.created_at)),
    Column("TITLE", lambda group: group.title, may_be_cut=True),
]
_GROUP: list[Column[Group]] = [
    Column("id", lambda group: group.id),
    Column("title", lambda group: group.title),
    Column("status", lambda group: group.status),
    Column("progress", lambda group: f"{group.progress:.0%} of {group.total}"),
    Column("tasks", _counts),
    Column("on completed", lambda group: group.on_completed_id),
    Column("on failed", lambda group: group.on_failed_id),
    Column("created", lambda group: instant(group.created_at)),
    Column("settled", lambda group: instant(group.settled_at)),
]


@app.command()
def create(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="JSON, as POST /groups takes it: title and tasks, and on_completed and on_failed if wanted; -: stdin.",
        ),
    ],
    no_process: Annotated[
        bool, typer.Option("--no-process", help="Leave tasks pending that do not say whether to process them.")
    ] = False,
    key: options.IdempotencyKey = None,
    wait: _Wait = False,
    within: options.WithinSeconds = 300,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Create a group of tasks, and have them processed.

    With --wait the exit code says its outcome: 0 completed, 7 failed, 6 it has none yet.
    """
    group = _read_group(file)
    with client_of(context) as client:
        made = client.create_group(process=not no_process, idempotency_key=key, **group)
        _show(client, made, within if wait else None, output)


@app.command("ls")
def list_groups(
    limit: options.Limit = 50, output: options.Output = OutputFormat.TABLE, context: options.InContext = None
) -> None:
    """List groups, newest first."""
    with client_of(context) as client:
        found = client.groups()
        print_list(islice(found, limit) if limit else found, _GROUPS, output)


@app.command()
def show(
    group_id: _Group,
    wait: _Wait = False,
    within: options.WithinSeconds = 300,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Show how far a group is. Its tasks: taskmill list --group GROUP."""
    with client_of(context) as client:
        _show(client, client.group(group_id), within if wait else None, output)


@app.command()
def cancel(
    group_id: _Group,
    key: options.IdempotencyKey = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait until every task was asked.")] = False,
    within: options.WithinSeconds = 300,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Cancel the tasks of a group that have not ended, by a bulk operation. Its outcome is `failed` then."""
    with client_of(context) as client:
        begun = client.bulk(BulkAction.CANCEL, group_id=group_id, idempotency_key=key)
        show_operation(client, begun, within if wait else None, output)


def _read_group(file: str) -> Any:
    """What a file says of a group, with a kind for each of its tasks.

    Raises:
        typer.BadParameter: It cannot be read, or says something else.
    """
    try:
        given = from_json(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from error
    except ValueError as error:
        raise typer.BadParameter(f"it is no JSON ({error})", param_hint="FILE") from error
    if not isinstance(given, dict) or not {"title", "tasks"} <= given.keys() <= NewGroup.model_fields.keys():
        raise typer.BadParameter(
            "an object with `title` and `tasks`, and `on_completed` and `on_failed` if wanted", param_hint="FILE"
        )
    tasks = given["tasks"]
    follow_ups = [given[name] for name in ("on_completed", "on_failed") if given.get(name) is not None]
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in [*tasks, *follow_ups]):
        raise typer.BadParameter("each task is an object, and `tasks` an array of them", param_hint="FILE")
    for task in [*tasks, *follow_ups]:
        task.setdefault("kind", DEFAULT_KIND)
    return given


def _show(client: Client, group: Group, within_seconds: float | None, output: OutputFormat) -> None:
    """Print a group; with a time, once it has its outcome.

    Raises:
        typer.Exit: Time is over; or its outcome is `failed`.
    """
    if within_seconds is not None:
        group = wait_until_completed(
            group,
            lambda: client.group(group.id),
            is_completed=lambda found: found.status is not GroupStatus.OPEN,
            told=lambda found: (found.progress, _counts(found)),
            within_seconds=within_seconds,
        )
    print_one(group, _GROUP, output)
    if within_seconds is None:
        return
    if group.status is GroupStatus.OPEN:
        say(f"{NAME}: it had no outcome within {within_seconds:g} s; it goes on.")
        raise typer.Exit(ExitCode.NOT_ENDED)
    if group.status is GroupStatus.FAILED:
        raise typer.Exit(ExitCode.FAILED)
