"""What is printed for people and for programs."""

import io
import json
from typing import Any, NamedTuple

import pytest
import typer
from rich.console import Console

from taskmill.cli.output import (
    Column,
    OutputFormat,
    new_table,
    print_array,
    print_list,
    print_one,
    refuse_array,
    say,
    visible,
)


class Thing(NamedTuple):
    """Something to print."""

    name: str
    amount: int | None


COLUMNS: list[Column[Thing]] = [
    Column("NAME", lambda thing: thing.name),
    Column("COUNT", lambda thing: thing.amount),
]
THINGS = [Thing("a", 1), Thing("longer \x1b[31mred\nnew", None)]


def document(thing: Thing) -> Any:
    """A thing for JSON."""
    return thing._asdict()


def test_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns stand below each other, without colours, and nothing in them commands the terminal."""
    print_list(THINGS, COLUMNS, OutputFormat.TABLE, document)
    assert capsys.readouterr().out.splitlines() == [
        "NAME                    COUNT",
        "a                       1",
        "longer \\x1b[31mred new  -",
    ]


def test_a_wide_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is cut where no terminal is."""
    print_list([Thing("x" * 500, 1)], COLUMNS, OutputFormat.TABLE)
    assert "x" * 500 in capsys.readouterr().out


def test_a_table_in_a_narrow_terminal() -> None:
    """What may be cut gives way first, in one line; ids stay whole, to be copied."""
    columns = [Column[str]("ID", lambda text: text), Column[str]("KINDS", lambda text: f"{text} " * 9, may_be_cut=True)]
    terminal = Console(file=io.StringIO(), width=40)
    with terminal.capture() as captured:
        terminal.print(new_table(columns, ["0123456789-abcdef"]))
    lines = [line.strip() for line in captured.get().splitlines()]
    assert lines == ["ID                 KINDS", "0123456789-abcdef  0123456789-abcdef 01…"]


def test_a_table_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A program reads nothing; a person is told so."""
    print_list([], COLUMNS, OutputFormat.TABLE)
    assert capsys.readouterr() == ("", "(none)\n")


@pytest.mark.parametrize("things", [[], THINGS[:1], THINGS])
def test_json(things: list[Thing], capsys: pytest.CaptureFixture[str]) -> None:
    """A list is one array, whatever it holds; or a line for each thing."""
    wanted = [document(thing) for thing in things]
    print_list(things, COLUMNS, OutputFormat.JSON, document)
    assert json.loads(capsys.readouterr().out) == wanted
    print_array(wanted)
    assert json.loads(capsys.readouterr().out) == wanted
    print_list(things, COLUMNS, OutputFormat.JSONL, document)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == wanted


def test_one_thing(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each of its properties; or one document."""
    print_one(THINGS[0], COLUMNS, OutputFormat.TABLE)
    assert capsys.readouterr().out == "NAME   a\nCOUNT  1\n"
    for output in (OutputFormat.JSON, OutputFormat.JSONL):
        print_one(THINGS[0], COLUMNS, output, document=document(THINGS[0]))
        assert json.loads(capsys.readouterr().out) == {"name": "a", "amount": 1}


def test_what_has_no_end_is_no_array() -> None:
    """It is refused, with what to use instead."""
    refuse_array(OutputFormat.JSONL)
    with pytest.raises(typer.BadParameter, match="jsonl"):
        refuse_array(OutputFormat.JSON)


def test_what_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """It goes to stderr, in its lines, and commands no terminal."""
    say("a\nb\x1b[2J")
    assert capsys.readouterr() == ("", "a\nb\\x1b[2J\n")


def test_what_cannot_be_seen_is_shown() -> None:
    """No control character stays one, of either set, and nothing turns the order of others round."""
    assert visible("a\x00\x1b\x7f\x9b\r\n\tü") == "a\\x00\\x1b\\x7f\\x9b   ü"
    assert visible("a\u202eb\u2066c\u2028d\u200f") == "a\\u202eb\\u2066c\\u2028d\\u200f"
    assert visible("a\u200b\u2060b\U000e0041") == "a\\u200b\\u2060b\\U000e0041"


@pytest.mark.parametrize("output", [OutputFormat.JSON, OutputFormat.JSONL])
def test_json_commands_no_terminal(output: OutputFormat, capsys: pytest.CaptureFixture[str]) -> None:
    """What could command it, or deceive who reads there, is escaped, also in keys; what is read is the same."""
    text = "\x00\x1b\x7f\x80\x9b31m\x9f \u061c\u200e\u202a\u202e\u2066\u2069\u2028\ufeff\u200b\U000e0041 ü€😀"
    things = [{text: [text]}]
    print_list(things, [], output)
    print_one(things[0], [], output)
    printed = capsys.readouterr().out
    assert set(printed) <= {chr(code) for code in range(0x20, 0x7F)} | set("\nü€😀")
    assert "\\u009b31m" in printed
    list_text, one_text = printed.split("]\n{", 1) if output is OutputFormat.JSON else printed.splitlines()
    whole = (f"{list_text}]", "{" + one_text) if output is OutputFormat.JSON else (f"[{list_text}]", one_text)
    assert [json.loads(whole[0]), json.loads(whole[1])] == [things, things[0]]
