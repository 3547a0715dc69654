"""`taskmill submit`."""

import sys
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from pydantic_core import from_json

from taskmill.cli import options
from taskmill.cli.command import one_of
from taskmill.cli.connecting import client_of
from taskmill.cli.event_lines import follow_task
from taskmill.cli.output import OutputFormat, end_with_reader, print_one, refuse_array, say
from taskmill.cli.registry import new_app
from taskmill.cli.task_columns import TASK
from taskmill.cli.waiting import raise_if_not_completed, wait_for_end
from taskmill.contracts.limits import MAX_ATTEMPTS, MAX_DEBOUNCE_SECONDS, MAX_KEY_HELD_SECONDS, MAX_TIMEOUT_SECONDS
from taskmill.contracts.patterns import CHOSEN_KEY_PATTERN
from taskmill.contracts.status import Priority
from taskmill.contracts.tasks import DependencyFailure
from taskmill.contracts.unique import OnConflict

app = new_app()


@app.command()
def submit(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="Names the handler, such as echo.", callback=options.a_name)
    ],
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", metavar="JSON|@FILE|-", help="The payload: JSON, a file of it, or stdin."),
    ] = None,
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What it is, for people; if not given: KIND.")
    ] = None,
    description: Annotated[str | None, typer.Option(metavar="TEXT", help="More about it, for people.")] = None,
    queue: Annotated[
        str | None,
        typer.Option("--queue", "-q", metavar="QUEUE", help="The queue that it waits in.", callback=options.a_name),
    ] = None,
    priority: Annotated[
        Priority | None, typer.Option("--priority", "-p", metavar=one_of(Priority), help="Which go first.")
    ] = None,
    concurrency_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Whose work it is, such as a tenant's.", callback=options.a_chosen_key),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", "-l", metavar="KEY=VALUE", help="To find it by. May be repeated.")
    ] = None,
    run_at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When to start: 2030-12-24T18:00:00Z, or from now: +90s, +5m, +2h, +1d."),
    ] = None,
    after: Annotated[
        list[UUID] | None,
        typer.Option(metavar="ID", help="A task that it comes after: it waits for its completion. May be repeated."),
    ] = None,
    on_dependency_failure: Annotated[
        DependencyFailure | None,
        typer.Option(
            metavar=one_of(DependencyFailure), help="With --after: what becomes of it when one is not completed."
        ),
    ] = None,
    max_attempts: Annotated[
        int | None, typer.Option(min=1, max=MAX_ATTEMPTS, metavar="N", help="How often it is tried at most.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(min=0, max=MAX_TIMEOUT_SECONDS, metavar="SECONDS", help="How long an attempt may take."),
    ] = None,
    unique_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="The only one of this key, until it has ended.",
            callback=options.is_of(CHOSEN_KEY_PATTERN),
        ),
    ] = None,
    on_conflict: Annotated[
        OnConflict | None,
        typer.Option(metavar=one_of(OnConflict), help="What happens while another task holds the unique key."),
    ] = None,
    debounce: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            callback=options.at_most(MAX_DEBOUNCE_SECONDS),
            help="Wait so long after this was submitted last; implies --on-conflict debounce.",
        ),
    ] = None,
    debounce_max: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            callback=options.at_most(MAX_DEBOUNCE_SECONDS),
            help="Put it off by so much at most.",
        ),
    ] = None,
    held_for: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            callback=options.at_most(MAX_KEY_HELD_SECONDS),
            help="Hold the unique key no longer than this.",
        ),
    ] = None,
    key: options.IdempotencyKey = None,
    no_process: Annotated[bool, typer.Option("--no-process", help="Leave it pending, until `process`.")] = False,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for its end, and show what came out.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print what happens to it, until its end.")] = False,
    within: options.Within = 300,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Create a task, and have it processed; show it, or with --wait what came of it, or with --follow what happens.

    With --wait or --follow the exit code says how it ended: 0 completed, 7 failed, 8 cancelled, 6 it goes on.
    """
    if wait + follow + no_process > 1:
        raise typer.BadParameter("--wait, --follow and --no-process exclude one another.")
    if follow:
        refuse_array(output)
    task_options: Any = options.chosen(
        title=title,
        description=description,
        queue=queue,
        priority=priority,
        concurrency_key=concurrency_key,
        labels=options.labels_given(label),
        run_at=options.instant(run_at, "--run-at"),
        after=after,
        on_dependency_failure=on_dependency_failure,
        max_attempts=max_attempts,
        timeout_seconds=timeout,
        unique=_unique(
            unique_key,
            on_conflict=OnConflict.DEBOUNCE if on_conflict is None and debounce is not None else on_conflict,
            debounce_seconds=debounce,
            debounce_max_seconds=debounce_max,
            held_for_seconds=held_for,
        ),
    )
    payload = read_payload(data)
    with client_of(context) as client:
        task = client.submit(kind, payload, process=not no_process, idempotency_key=key, **task_options)
        if follow:
            end_with_reader()
            follow_task(client, task.id, output, within_seconds=within)
            raise_if_not_completed(client.get(task.id))
            return
        if wait:
            say(f"submitted {task.id}")
            task = wait_for_end(client, task, within)
        print_one(task, TASK, output)
        if wait:
            raise_if_not_completed(task)


def _unique(key: str | None, **more: Any) -> dict[str, object] | None:
    given = options.chosen(**more)
    if key is not None:
        return {"key": key, **given}
    if given:
        raise typer.BadParameter("--on-conflict, --debounce, --debounce-max and --held-for go with --unique-key.")
    return None


def read_payload(data: str | None) -> Any:
    """What `--data` says: JSON, a file of it, or stdin; None: nothing.

    Raises:
        typer.BadParameter: It cannot be read, or is no JSON.
    """
    if data is None:
        return None
    try:
        if data == "-":
            return from_json(sys.stdin.buffer.read())
        return from_json(Path(data[1:]).read_bytes() if data.startswith("@") else data)
    except OSError as error:
        raise typer.BadParameter(f"{data[1:]}: {error.strerror}", param_hint="--data") from error
    except ValueError as error:
        raise typer.BadParameter(
            f"it is no JSON ({error}). Text stands in double quotes: -d '\"hello\"'", param_hint="--data"
        ) from error
