"""`taskmill get`, `list`, `attempts` and `logs`."""

from itertools import islice
from typing import Annotated, Any

import typer

from taskmill.cli import options
from taskmill.cli.connecting import client_of
from taskmill.cli.output import Column, OutputFormat, print_line, print_list, print_one, say
from taskmill.cli.registry import new_app
from taskmill.cli.task_columns import ATTEMPTS, TASK, TASKS
from taskmill.cli.wording import instant
from taskmill.contracts.limits import MAX_PAGE_ITEMS
from taskmill.contracts.tasks import TaskLine

app = new_app()

_LINES: list[Column[TaskLine]] = [
    Column("AT", lambda line: instant(line.at)),
    Column("ATTEMPT", lambda line: line.attempt),
    Column("LEVEL", lambda line: line.level),
    Column("TEXT", lambda line: line.text, may_be_cut=True),
]


@app.command()
def get(
    task_id: options.TaskIdArgument,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Show a task, with its payload, result and error."""
    with client_of(context) as client:
        print_one(client.get(task_id), TASK, output)


@app.command("list")
def list_tasks(
    status: options.OfStatus = None,
    kind: options.OfKind = None,
    queue: options.InQueue = None,
    priority: options.OfPriority = None,
    concurrency_key: options.OfKey = None,
    label: options.WithLabels = None,
    title: options.InTitle = None,
    schedule: options.OfSchedule = None,
    unique_key: options.OfUniqueKey = None,
    group: options.OfGroup = None,
    oldest_first: Annotated[bool, typer.Option("--oldest-first", help="Begin with the oldest.")] = False,
    limit: options.Limit = 50,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """List tasks, newest first, without payload and result."""
    conditions: Any = options.chosen(
        status=status,
        kind=kind,
        queue=queue,
        priority=priority,
        concurrency_key=concurrency_key,
        labels=options.labels_wanted(label),
        title=title,
        schedule_id=schedule,
        unique_key=unique_key,
        group_id=group,
        sort="created_at" if oldest_first else None,
        page_size=min(limit + 1, MAX_PAGE_ITEMS) if limit else None,
    )
    with client_of(context) as client:
        found = client.list(**conditions)
        print_list(islice(found, limit) if limit else found, TASKS, output)
        if limit and output is OutputFormat.TABLE and next(found, None) is not None:
            say(f"There are more than {limit}: --limit 0 shows all.")


@app.command()
def attempts(
    task_id: options.TaskIdArgument,
    traceback: Annotated[bool, typer.Option("--traceback", help="Print the tracebacks below the table.")] = False,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Show the attempts at a task, oldest first, each with its error; JSON has the tracebacks."""
    with client_of(context) as client:
        found = list(client.attempts(task_id))
    print_list(found, ATTEMPTS, output)
    if output is not OutputFormat.TABLE:
        return
    with_traceback = [attempt for attempt in found if attempt.traceback is not None]
    if not traceback:
        if with_traceback:
            say("--traceback shows where it failed.")
        return
    for attempt in with_traceback:
        print_line("")
        print_line(f"attempt {attempt.attempt}")
        for line in (attempt.traceback or "").splitlines():
            print_line(line)


@app.command()
def logs(
    task_id: options.TaskIdArgument,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Show what the handler of a task wrote, oldest first: the newest 1,000 lines."""
    with client_of(context) as client:
        print_list(client.logs(task_id), _LINES, output)
