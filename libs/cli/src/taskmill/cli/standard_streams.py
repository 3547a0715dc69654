"""The three standard streams, where one of them is closed, or whoever reads it has gone."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from taskmill.cli.exit_codes import ExitCode

_MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}


def open_closed_streams() -> None:
    """Have closed ones (`>&-`) lead nowhere: nothing is read from them, and what is printed there is not missed.

    Otherwise the next file or connection that is opened might stand in their place.
    """
    for name, mode in _MODES.items():
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 -- open to the end


@contextmanager
def readers_may_leave() -> Iterator[None]:
    """Have the command end quietly when whoever reads its output has had enough.

    Raises:
        typer.Exit: They have.
    """
    try:
        yield
    except BrokenPipeError:
        give_up_output()
        raise typer.Exit(ExitCode.BROKEN_PIPE) from None


def give_up_output() -> None:
    """Drop what is still to be printed, or the interpreter would complain when it flushes that."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def end_of_output(code: int) -> int:
    """Print what is still to be printed; returns what the process ends with, if it would have ended with `code`."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        give_up_output()
        return ExitCode.BROKEN_PIPE
    except OSError as error:
        give_up_output()
        if code == ExitCode.OK:
            typer.echo(f"taskmill: the output could not be written: {error.strerror}", err=True)
            return ExitCode.FAILED
    return code
