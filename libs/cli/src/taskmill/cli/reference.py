"""Writes what docs/cli.md says of commands, options and exit codes, from the commands themselves.

Run `python -m taskmill.cli.reference` in the repository's root, or with `--check`, which writes nothing and ends with 1
if the page differs.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from taskmill.cli import registry
from taskmill.cli.command import parameters as described
from taskmill.cli.exit_codes import ExitCode

PAGE = Path("docs/cli.md")


def page(text: str) -> str:
    """The page with everything that is generated written anew.

    Args:
        text: The page as it is. What is generated stands between `<!-- name -->` and `<!-- end -->`.
    """
    for name, lines in (("exit codes", _exit_codes()), ("commands", _sections())):
        block = f"<!-- {name} -->\n" + "\n".join(lines) + "\n<!-- end -->"
        pattern = rf"<!-- {name} -->\n.*?<!-- end -->"
        text = re.sub(pattern, lambda _, block=block: block, text, flags=re.DOTALL)  # type: ignore[misc]
    return text


def commands() -> Iterator[tuple[str, TyperCommand]]:
    """Every command that can be called, by all of its words."""
    for name in registry.ENTRIES:
        yield from _commands_of(name)


def parameters(command: TyperCommand) -> Iterator[tuple[str, str]]:
    """The arguments and options of a command, as `--help` has them, but for `--help` itself."""
    context: Any = typer.Context(command, help_option_names=[])
    for kind in ("argument", "option"):
        yield from described(command, context, kind)


def _commands_of(name: str) -> Iterator[tuple[str, TyperCommand]]:
    loaded = registry.load(name)
    if isinstance(loaded, TyperGroup):
        for word, command in loaded.commands.items():
            assert isinstance(command, TyperCommand)  # noqa: S101 -- groups hold no groups
            yield f"{name} {word}", command
    elif loaded is not None:
        yield name, loaded


def _exit_codes() -> Iterator[str]:
    yield "| code | meaning |"
    yield "|---|---|"
    for code in ExitCode:
        yield f"| {code.value} | {code.description} |"


def _sections() -> Iterator[str]:
    for title, entries in registry.SECTIONS.items():
        yield f"\n### {title}"
        for name in entries:
            for words, command in _commands_of(name):
                yield from _command(words, command)


def _command(words: str, command: TyperCommand) -> Iterator[str]:
    arguments = "".join(f" {one.metavar or one.name}" for one in command.params if one.param_type_name == "argument")
    yield f"\n#### `taskmill {words}{arguments}`"
    yield (command.help or "").strip()
    rows = [_row(written, meaning) for written, meaning in parameters(command)]
    if rows:
        yield "\n| | |"
        yield "|---|---|"
        yield from rows


def _row(*cells: str) -> str:
    written, meaning = (cell.replace("|", r"\|").strip() for cell in cells)
    return f"| `{written}` | {meaning} |"


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or check it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m taskmill.cli.reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if the page would change")
    options = parser.parse_args(arguments)
    old = PAGE.read_text(encoding="utf-8")
    new = page(old)
    if options.check and new != old:
        sys.stderr.write(f"{PAGE} differs from the commands; run `make generate`\n")
        return 1
    if not options.check:
        PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
