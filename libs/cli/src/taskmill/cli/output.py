"""Everything that is printed: tables for people, JSON for programs; and what is only said, on stderr."""

import os
import select
import stat
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import typer
from pydantic_core import to_json

from taskmill.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")

_WIDTH_OF_PIPES = 10_000
"""Nothing is cut for a program."""
_SHORTEST_CUT = 8
"""What is left at least of a column that may be cut, where there is room for that."""

_DECEIVING = (
    *(0x061C, 0x180E, 0x200B, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2060, 0x2065)),
    *(*range(0x2066, 0x206A), 0xFEFF),
)
"""Characters that have text shown in another order than it stands in, that end lines, or that are not seen at all."""

_TAGS = range(0xE0000, 0xE0080)
"""Letters that nobody sees."""

_UNSEEN_IN_JSON = {
    **{code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), *_DECEIVING)},
    **{code: f"\\udb40\\u{0xDC00 + code - 0xE0000:04x}" for code in _TAGS},
}
"""JSON says the same of them so; what is below U+0020 it escapes by itself."""

_UNSEEN = {
    **{code: f"\\x{code:02x}" for code in range(0x20)},
    **{code: f"\\x{code:02x}" for code in range(0x7F, 0xA0)},
    **{code: f"\\u{code:04x}" for code in _DECEIVING},
    **{code: f"\\U{code:08x}" for code in _TAGS},
    **dict.fromkeys(map(ord, "\n\t\r"), " "),
}


class OutputFormat(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


class Column(NamedTuple, Generic[T]):
    """A column of a table, or a line about one thing."""

    title: str
    of: Callable[[T], object]
    """What stands there: None is a dash."""
    may_be_cut: bool = False
    """Whether it gives way when a terminal is too narrow."""


def print_list(
    items: Iterable[T], columns: Sequence[Column[T]], output: OutputFormat, document: Callable[[T], Any] = lambda it: it
) -> None:
    """Print things: a table, an array of JSON, or a line of JSON for each.

    Args:
        items: The things. Lines and arrays are printed as they come.
        columns: Of the table.
        output: How.
        document: What is printed of a thing as JSON.
    """
    match output:
        case OutputFormat.TABLE:
            _print_table(items, columns)
        case OutputFormat.JSON:
            print_array(items, document)
        case OutputFormat.JSONL:
            for item in items:
                print_json_line(document(item))


def print_one(item: T, columns: Sequence[Column[T]], output: OutputFormat, document: Any = None) -> None:
    """Print one thing: a line for each column, or JSON.

    Args:
        item: The thing.
        columns: What is told of it.
        output: How.
        document: What is printed as JSON; None: the thing.
    """
    value = item if document is None else document
    match output:
        case OutputFormat.TABLE:
            width = max(len(column.title) for column in columns) + 2
            for column in columns:
                sys.stdout.write(f"{column.title:<{width}}{_cell(column.of(item))}\n")
        case OutputFormat.JSON:
            sys.stdout.write(json_text(value, indent=2) + "\n")
        case OutputFormat.JSONL:
            print_json_line(value)


def print_array(items: Iterable[T], document: Callable[[T], Any] = lambda it: it) -> None:
    """Print an array of JSON, each thing as it comes."""
    separator = "[\n"
    for item in items:
        sys.stdout.write(separator + json_text(document(item), indent=2))
        separator = ",\n"
    sys.stdout.write("[]\n" if separator == "[\n" else "\n]\n")


def print_json_line(value: Any) -> None:
    """Print JSON in a line of its own, at once: somebody may follow."""
    sys.stdout.write(json_text(value) + "\n")
    sys.stdout.flush()


def json_text(value: Any, *, indent: int | None = None) -> str:
    """A value as JSON, without characters that could command a terminal, or deceive who reads it there.

    Args:
        value: Whatever pydantic can write.
        indent: By how much each level is indented; None: all in one line.
    """
    # Such characters stand within strings only.
    return to_json(value, indent=indent).decode().translate(_UNSEEN_IN_JSON)


def print_line(text: str) -> None:
    """Print a line for people, at once, without what could command a terminal."""
    sys.stdout.write(visible(text) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Tell the person at the terminal something that is no data, without what could command the terminal."""
    typer.echo("\n".join(map(visible, text.splitlines())), err=True)


def visible(text: str) -> str:
    """A text in one line, without characters that could command a terminal, or deceive: tasks come from anybody."""
    return text.translate(_UNSEEN)


def end_with_reader() -> None:
    """Have this process end when whoever reads its output does, though nothing may be printed for long.

    That is for what has no end by itself. Where stdout is no pipe there is nothing to do.
    """
    descriptor = sys.stdout.fileno()
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        threading.Thread(target=_await_end_of_reader, args=(descriptor,), daemon=True).start()


def _await_end_of_reader(descriptor: int) -> None:
    poll = select.poll()
    # Errors alone, which always count: nobody reads any more.
    poll.register(descriptor, 0)
    poll.poll()
    os._exit(ExitCode.BROKEN_PIPE)


def refuse_array(output: OutputFormat) -> None:
    """Refuse to print an array of what has no end.

    Raises:
        typer.BadParameter: It is wanted.
    """
    if output is OutputFormat.JSON:
        raise typer.BadParameter("What is followed makes no array: use -o jsonl.", param_hint="--output")


def console(*, is_error: bool = False) -> "Console":
    """Where tables, bars and live pictures appear; without colours if it is no terminal, or NO_COLOR is set."""
    # Here, because commands that print JSON do without.
    from rich.console import Console  # noqa: PLC0415

    stream = sys.stderr if is_error else sys.stdout
    width = None if stream.isatty() else _WIDTH_OF_PIPES
    return Console(stderr=is_error, width=width, markup=False, highlight=False, emoji=False)


def new_table(columns: Sequence[Column[Any]], items: Iterable[Any]) -> Any:
    """A table for rich to show."""
    from rich.table import Table  # noqa: PLC0415 -- as above
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        shortest = _SHORTEST_CUT if column.may_be_cut else 3
        # For rich, a column that may wrap gives way before the others do; its texts do not wrap, so that they are cut.
        title = Text(column.title, no_wrap=True)
        table.add_column(title, no_wrap=not column.may_be_cut, overflow="ellipsis", min_width=shortest)
    for item in items:
        cells = [_cell(column.of(item)) for column in columns]
        table.add_row(*(Text(cell, style=_STYLES.get(cell, ""), no_wrap=True) for cell in cells))
    return table


def _print_table(items: Iterable[T], columns: Sequence[Column[T]]) -> None:
    rows = list(items)
    if not rows:
        say("(none)")
        return
    terminal = console()
    with terminal.capture() as captured:
        terminal.print(new_table(columns, rows))
    # Not by rich itself, which would end the process when nobody reads.
    sys.stdout.writelines(line.rstrip() + "\n" for line in captured.get().splitlines())


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    return visible(str(value))


_STYLES = {
    **dict.fromkeys(("completed", "ok", "up"), "green"),
    **dict.fromkeys(("failed", "fail", "down", "critical"), "red"),
    **dict.fromkeys(("in_progress", "high"), "cyan"),
    **dict.fromkeys(("cancelled", "warn", "paused", "draining"), "yellow"),
}
