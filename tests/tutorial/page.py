"""What docs/tutorial.md has its reader do, step by step."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# (\S+\.py)\n")
_TERMINAL = re.compile(r"# terminal (\d+)")


@dataclass(frozen=True, slots=True)
class Save:
    """Write a file, in the folder of the project."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Type:
    """Type a command, and go on when it has printed what the page says, or else when it has ended.

    Attributes:
        terminal: In which terminal.
        command: What is typed; empty: nothing, but what is printed is waited for.
        printed: The lines that it prints, among others, in this order; `…` is anything.
    """

    terminal: int
    command: str
    printed: tuple[str, ...] = ()


Step = Save | Type


def steps(page: str) -> list[Step]:
    """The steps of a page: all of its blocks.

    Raises:
        ValueError: A block is no step.
    """
    return [step for language, text in _BLOCK.findall(page) for step in _steps_of(language, text)]


def _steps_of(language: str, text: str) -> Iterator[Step]:
    name = _FILE.match(text)
    if language == "python" and name:
        yield Save(name[1], text)
    elif language == "console" and _TERMINAL.match(text):
        yield from _session(text)
    else:
        raise ValueError(f"a block says not where it belongs:\n{text}")


def _session(text: str) -> Iterator[Type]:
    terminal, command, printed = 0, "", list[str]()
    for line in [*text.splitlines(), "# terminal 0"]:
        begins = _TERMINAL.fullmatch(line)
        if not begins and not line.startswith("$ "):
            printed.append(line)
            continue
        if command or printed:
            yield Type(terminal, command, tuple(printed))
        terminal = int(begins[1]) if begins else terminal
        command, printed = ("" if begins else line[2:]), []
