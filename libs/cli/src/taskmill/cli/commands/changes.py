"""`taskmill process`, `cancel` and `delete`: what is done to tasks that exist."""

from collections.abc import Callable
from typing import Annotated, NamedTuple
from uuid import UUID

import typer

from taskmill.cli import options
from taskmill.cli.connecting import client_of
from taskmill.cli.exit_codes import ExitCode
from taskmill.cli.failures import explain
from taskmill.cli.output import Column, OutputFormat, print_list, say
from taskmill.cli.registry import NAME, new_app
from taskmill.contracts.tasks import TaskSummary
from taskmill.sdk.client import ApiError, UnavailableError

app = new_app()


class _Done(NamedTuple):
    id: UUID
    done: str


_DONE: list[Column[_Done]] = [Column("ID", lambda one: one.id), Column("DONE", lambda one: one.done)]


@app.command()
def process(
    task_ids: options.TaskIdsArgument,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Have tasks processed that exist: those that are pending, or have ended."""
    with client_of(context) as client:
        _each(task_ids, lambda task_id: _status(client.process(task_id)), output)


@app.command()
def cancel(
    task_ids: options.TaskIdsArgument,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Cancel tasks: at once if they have not been started, otherwise their handlers are asked to stop."""
    with client_of(context) as client:
        _each(task_ids, lambda task_id: _status(client.cancel(task_id)), output)


@app.command()
def delete(
    task_ids: options.TaskIdsArgument,
    force: Annotated[bool, typer.Option("--force", help="Cancel what is being processed first.")] = False,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Delete tasks; their events stay."""
    with client_of(context) as client:

        def delete_one(task_id: UUID) -> str:
            client.delete(task_id, force=force)
            return "deleted"

        _each(task_ids, delete_one, output)


def _status(task: TaskSummary) -> str:
    return "cancel requested" if task.cancel_requested_at else str(task.status)


def _each(task_ids: list[UUID], do: Callable[[UUID], str], output: OutputFormat) -> None:
    """Do something to each task, and print what was done. What is refused is said, and does not keep the others.

    Raises:
        typer.Exit: Something was refused; with its code, or 1 when there are several different ones.
    """
    done: list[_Done] = []
    codes: set[ExitCode] = set()
    for task_id in task_ids:
        try:
            done.append(_Done(task_id, do(task_id)))
        except UnavailableError:
            _print(done, output)
            raise
        except ApiError as error:
            failure = explain(error)
            assert failure is not None  # noqa: S101 -- every ApiError has a code
            codes.add(failure.code)
            say(f"{NAME}: {task_id}: {failure.text}")
    _print(done, output)
    if codes:
        raise typer.Exit(codes.pop() if len(codes) == 1 else ExitCode.FAILED)


def _print(done: list[_Done], output: OutputFormat) -> None:
    if done or output is not OutputFormat.TABLE:
        print_list(done, _DONE, output, document=lambda one: one._asdict())
