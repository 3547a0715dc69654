"""Waiting for the end of a task, or of something else in the background, with a bar on a terminal."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

from taskmill.cli.output import console, say, visible
from taskmill.contracts.status import ENDED, TaskStatus
from taskmill.contracts.tasks import Task
from taskmill.sdk.client import (
    Client,
    NoAnswerError,
    RunCancelledError,
    RunFailedError,
    UnavailableError,
    WaitTimeoutError,
)
from taskmill.sdk.client.held_up import held_up_because

_LONGEST_WAIT_SECONDS = 60
_LOOK_SECONDS = 1
"""With a bar: so that it moves."""
_HELD_UP_SECONDS = 3
"""A task that does not move for longer is explained."""
_LOOK_AGAIN_SECONDS = 0.5
"""At what cannot be waited for in a request."""

T = TypeVar("T")

ShowProgress: TypeAlias = Callable[[float | None, str], None]
"""Shows how far something is, 0 to 1 or None for unknown, and what is being done."""


@contextmanager
def progress_bar(text: str) -> Iterator[ShowProgress]:
    """A bar on stderr; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _fraction, _text: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415 -- only here

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    # What is printed on the same terminal meanwhile stands above the bar.
    has_one_terminal = sys.stdout.isatty()
    with Progress(
        *columns, console=console(is_error=True), transient=True, redirect_stdout=has_one_terminal
    ) as progress:
        bar = progress.add_task(visible(text), total=None)

        def show(fraction: float | None, message: str) -> None:
            progress.update(bar, total=None if fraction is None else 1, completed=fraction or 0)
            progress.update(bar, description=visible(message))

        yield show


def wait_for_end(client: Client, task: Task, within_seconds: float) -> Task:
    """Wait until a task has ended, also while nobody answers. It is looked at once at least.

    After some seconds it is said what holds the task up, if somebody has to do something about it.

    Raises:
        WaitTimeoutError: It has not in time; the error has the task.
        NoAnswerError, UnavailableError: Nobody answers when time is over.
    """
    began_at = time.monotonic()
    ends_at = began_at + within_seconds
    look = _LOOK_SECONDS if sys.stderr.isatty() else _HELD_UP_SECONDS
    told: str | None = None
    with progress_bar(str(task.status)) as show:
        while not has_ended(task):
            remaining = max(ends_at - time.monotonic(), 0)
            try:
                task = client.get(task.id, wait=min(math.ceil(remaining), look))
            except (NoAnswerError, UnavailableError):
                # The client has tried for seconds; the task does not mind.
                if time.monotonic() >= ends_at:
                    raise
            else:
                if time.monotonic() >= ends_at and not has_ended(task):
                    raise WaitTimeoutError(within_seconds, task)
            show(task.progress.fraction if task.progress else None, progress_text(task.status, task))
            if time.monotonic() - began_at < _HELD_UP_SECONDS:
                continue
            reason = held_up_because(task)
            if reason is not None and reason != told:
                say(f"It waits: {reason}.")
            told = reason
            look = _LOOK_SECONDS if sys.stderr.isatty() else _LONGEST_WAIT_SECONDS
    return task


def wait_until_completed(
    operation: T,
    look: Callable[[], T],
    *,
    is_completed: Callable[[T], bool],
    told: Callable[[T], tuple[float | None, str]],
    within_seconds: float,
) -> T:
    """Wait for the end of what the store carries out in the background, also while nobody answers.

    Args:
        operation: As it was read last.
        look: Reads it again.
        is_completed: Whether it has ended.
        told: What a bar shows of it: see `ShowProgress`.
        within_seconds: How long to wait.

    Returns:
        The operation: completed; or, if time was over before, as it was then.

    Raises:
        NoAnswerError, UnavailableError: Nobody answers when time is over.
    """
    ends_at = time.monotonic() + within_seconds
    with progress_bar("waiting") as show:
        while not is_completed(operation) and (remaining := ends_at - time.monotonic()) > 0:
            show(*told(operation))
            time.sleep(min(_LOOK_AGAIN_SECONDS, remaining))
            try:
                operation = look()
            except (NoAnswerError, UnavailableError):
                # The client has tried for seconds; what is done in the background does not mind.
                if time.monotonic() >= ends_at:
                    raise
    return operation


def progress_text(status: str, task: Task) -> str:
    """What a task does, in a few words."""
    return (task.progress and task.progress.message) or status


def has_ended(task: Task) -> bool:
    """Whether nothing more happens to a task by itself."""
    return task.status in ENDED


def raise_if_not_completed(task: Task) -> None:
    """Say how a task has ended, unless it was completed.

    Raises:
        RunFailedError: It has failed.
        RunCancelledError: It was cancelled.
    """
    if task.status is TaskStatus.FAILED:
        raise RunFailedError(task)
    if task.status is TaskStatus.CANCELLED:
        raise RunCancelledError(task)
