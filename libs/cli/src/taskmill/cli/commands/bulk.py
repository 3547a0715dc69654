"""`taskmill bulk …`: many tasks at once."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from taskmill.cli import options
from taskmill.cli.connecting import client_of
from taskmill.cli.exit_codes import ExitCode
from taskmill.cli.output import Column, OutputFormat, print_one, say
from taskmill.cli.registry import NAME, new_app
from taskmill.cli.waiting import wait_until_completed
from taskmill.cli.wording import instant
from taskmill.contracts.bulk_operations import BulkAction, BulkOperation, BulkStatus
from taskmill.contracts.limits import MAX_BULK_IDS
from taskmill.contracts.requests import TaskFilter
from taskmill.contracts.status import Priority, TaskStatus
from taskmill.sdk.client import Client

app = new_app(
    "Process, cancel or delete many tasks: those that are named, or those that meet every condition.\n\n"
    "It is carried out in the background, a task after another as by the command for one."
)

_Ids = Annotated[
    list[UUID] | None,
    typer.Argument(metavar="[ID...]", help=f"Ids of tasks, {MAX_BULK_IDS:,} at most; without: say which by options."),
]
_CreatedAfter = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Created at or after it: 2030-12-24T18:00:00Z, or from now: -2h, -7d."),
]
_CreatedBefore = Annotated[str | None, typer.Option(metavar="TIME", help="Created before it, as --created-after.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count them, and change none.")]
_Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait until every task was asked.")]


def _which(operation: BulkOperation) -> str:
    if operation.filter is None:
        return f"{operation.id_count} ids"
    return _conditions(operation.filter)


def _conditions(chosen: TaskFilter) -> str:
    given = chosen.model_dump(mode="json", exclude_defaults=True)
    given["labels"] = [key if value is None else f"{key}={value}" for key, value in chosen.labels.items()]
    return " ".join(
        f"{name}={','.join(value) if isinstance(value, list) else value}" for name, value in given.items() if value
    )


def _refusals(operation: BulkOperation) -> str:
    return ", ".join(f"{count} {code}" for code, count in sorted(operation.refusals.items()))


_OPERATION: list[Column[BulkOperation]] = [
    Column("id", lambda operation: operation.id),
    Column("action", lambda operation: f"{operation.action}{' (dry run)' if operation.dry_run else ''}"),
    Column("which", _which),
    Column("status", lambda operation: operation.status),
    Column("waits for", lambda operation: operation.waiting_for),
    Column("matched", lambda operation: operation.counts.matched),
    Column("done", lambda operation: operation.counts.done),
    Column("refused", lambda operation: operation.counts.refused),
    Column("because", _refusals),
    Column("created", lambda operation: instant(operation.created_at)),
    Column("finished", lambda operation: instant(operation.finished_at)),
]


@app.command()
def process(
    ids: _Ids = None,
    status: options.OfStatus = None,
    kind: options.OfKind = None,
    queue: options.InQueue = None,
    priority: options.OfPriority = None,
    concurrency_key: options.OfKey = None,
    label: options.WithLabels = None,
    title: options.InTitle = None,
    schedule: options.OfSchedule = None,
    created_after: _CreatedAfter = None,
    created_before: _CreatedBefore = None,
    dry_run: _DryRun = False,
    key: options.IdempotencyKey = None,
    wait: _Wait = False,
    within: options.WithinSeconds = 300,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Have many tasks processed."""
    conditions = _conditions_given(
        status, kind, queue, priority, label, title, schedule, created_after, created_before, concurrency_key
    )
    _require_choice(ids, conditions)
    with client_of(context) as client:
        begun = client.bulk(BulkAction.PROCESS, ids, dry_run=dry_run, idempotency_key=key, **conditions)
        show_operation(client, begun, within if wait else None, output)


@app.command()
def cancel(
    ids: _Ids = None,
    status: options.OfStatus = None,
    kind: options.OfKind = None,
    queue: options.InQueue = None,
    priority: options.OfPriority = None,
    concurrency_key: options.OfKey = None,
    label: options.WithLabels = None,
    title: options.InTitle = None,
    schedule: options.OfSchedule = None,
    created_after: _CreatedAfter = None,
    created_before: _CreatedBefore = None,
    dry_run: _DryRun = False,
    key: options.IdempotencyKey = None,
    wait: _Wait = False,
    within: options.WithinSeconds = 300,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Cancel many tasks."""
    conditions = _conditions_given(
        status, kind, queue, priority, label, title, schedule, created_after, created_before, concurrency_key
    )
    _require_choice(ids, conditions)
    with client_of(context) as client:
        begun = client.bulk(BulkAction.CANCEL, ids, dry_run=dry_run, idempotency_key=key, **conditions)
        show_operation(client, begun, within if wait else None, output)


@app.command()
def delete(
    ids: _Ids = None,
    status: options.OfStatus = None,
    kind: options.OfKind = None,
    queue: options.InQueue = None,
    priority: options.OfPriority = None,
    concurrency_key: options.OfKey = None,
    label: options.WithLabels = None,
    title: options.InTitle = None,
    schedule: options.OfSchedule = None,
    created_after: _CreatedAfter = None,
    created_before: _CreatedBefore = None,
    force: Annotated[bool, typer.Option("--force", help="Cancel what is being processed first.")] = False,
    dry_run: _DryRun = False,
    key: options.IdempotencyKey = None,
    wait: _Wait = False,
    within: options.WithinSeconds = 300,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Delete many tasks; their events stay."""
    conditions = _conditions_given(
        status, kind, queue, priority, label, title, schedule, created_after, created_before, concurrency_key
    )
    _require_choice(ids, conditions)
    with client_of(context) as client:
        begun = client.bulk(BulkAction.DELETE, ids, dry_run=dry_run, force=force, idempotency_key=key, **conditions)
        show_operation(client, begun, within if wait else None, output)


@app.command()
def show(
    operation_id: Annotated[UUID, typer.Argument(metavar="OPERATION", help="The bulk operation's id.")],
    wait: _Wait = False,
    within: options.WithinSeconds = 300,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Show how far a bulk operation is. One that was completed is kept for 7 days."""
    with client_of(context) as client:
        show_operation(client, client.bulk_operation(operation_id), within if wait else None, output)


def _conditions_given(
    status: list[TaskStatus] | None,
    kind: str | None,
    queue: str | None,
    priority: Priority | None,
    label: list[str] | None,
    title: str | None,
    schedule: UUID | None,
    created_after: str | None,
    created_before: str | None,
    concurrency_key: str | None,
) -> Any:
    after: datetime | None = options.instant(created_after, "--created-after")
    before: datetime | None = options.instant(created_before, "--created-before")
    return options.chosen(
        status=status,
        kind=kind,
        queue=queue,
        priority=priority,
        labels=options.labels_wanted(label),
        title=title,
        schedule_id=schedule,
        created_after=after,
        created_before=before,
        concurrency_key=concurrency_key,
    )


def _require_choice(ids: list[UUID] | None, conditions: Any) -> None:
    """Refuse what says nothing of which tasks, or says it twice.

    Raises:
        typer.BadParameter: It does.
    """
    if bool(ids) is bool(conditions):
        raise typer.BadParameter("say which tasks: by their ids, or by conditions such as --status failed")
    if ids and (len(ids) > MAX_BULK_IDS or len(set(ids)) < len(ids)):
        raise typer.BadParameter(f"{MAX_BULK_IDS:,} ids at most, each once")


def show_operation(
    client: Client, operation: BulkOperation, within_seconds: float | None, output: OutputFormat
) -> None:
    """Print an operation; with a time, once it is completed.

    Raises:
        typer.Exit: Time is over; or tasks refused what they were asked.
    """
    if within_seconds is not None:
        operation = wait_until_completed(
            operation,
            lambda: client.bulk_operation(operation.id),
            is_completed=lambda found: found.status is BulkStatus.COMPLETED,
            told=lambda found: (None, f"{found.counts.matched} matched, {found.counts.done} done"),
            within_seconds=within_seconds,
        )
    print_one(operation, _OPERATION, output)
    if within_seconds is None:
        if output is OutputFormat.TABLE and operation.status is BulkStatus.RUNNING:
            say(f"It goes on: taskmill bulk show {operation.id} --wait")
        return
    if operation.status is BulkStatus.RUNNING:
        say(f"{NAME}: it was not completed within {within_seconds:g} s; it goes on.")
        raise typer.Exit(ExitCode.NOT_ENDED)
    if operation.counts.refused:
        raise typer.Exit(ExitCode.FAILED)
