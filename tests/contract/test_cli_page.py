"""docs/cli.md has every command, every option and every exit code."""

import re

from taskmill.cli import reference
from taskmill.cli.exit_codes import ExitCode
from tests.support.paths import ROOT

PAGE = (ROOT / reference.PAGE).read_text(encoding="utf-8")


def test_it_is_up_to_date() -> None:
    """To generate it anew changes nothing."""
    assert reference.page(PAGE) == PAGE


def test_every_command_is_there() -> None:
    """With a heading of its own, and its arguments and options below."""
    sections = re.split(r"^#### `taskmill ", PAGE, flags=re.MULTILINE)[1:]
    by_words = {re.split(r" (?=[A-Z\[])|`", section)[0]: section for section in sections}
    commands = dict(reference.commands())
    assert by_words.keys() == commands.keys()
    for words, command in commands.items():
        for written, _ in reference.parameters(command):
            assert f"| `{written.replace('|', chr(92) + '|')}` |" in by_words[words], f"{words} {written}"


def test_every_exit_code_is_there() -> None:
    """With what it means."""
    for code in ExitCode:
        assert f"\n| {code.value} | {code.description} |\n" in PAGE
