"""Which commands there are, and what is loaded for them."""

import json
import subprocess
import sys

import pytest
from typer.core import TyperGroup

from taskmill.cli import reference, registry

HEAVY = {"httpx", "rich", "asyncpg", "alembic", "fastapi", "nats"}


@pytest.mark.parametrize("name", registry.ENTRIES)
def test_a_summary_is_true(name: str) -> None:
    """What the list of all commands says of one is how its own help begins."""
    command = registry.load(name)
    assert command is not None
    assert command.name == name
    help_text = " ".join((command.help or "").split())
    begin = registry.ENTRIES[name].summary
    assert help_text.startswith(begin), help_text


def test_there_is_no_other_command() -> None:
    """A name that is none has no command; each command of each module is in the list."""
    assert registry.load("nope") is None
    modules = {entry.module for entry in registry.ENTRIES.values()}
    for module in modules:
        app = sys.modules[module].app if module in sys.modules else __import__(module, fromlist=["app"]).app
        if not any(entry.is_group for entry in registry.ENTRIES.values() if entry.module == module):
            names = {info.name or info.callback.__name__ for info in app.registered_commands}
            assert names <= registry.ENTRIES.keys(), module


def test_every_parameter_is_explained() -> None:
    """Nobody has to guess what an argument or an option is for."""
    for words, command in reference.commands():
        for written, meaning in reference.parameters(command):
            assert meaning, f"{words} {written}"
        assert isinstance(command.help, str), words
        assert not isinstance(command, TyperGroup)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_the_start_is_light(arguments: list[str]) -> None:
    """To be told which commands there are, nothing is loaded that a command needs."""
    program = (
        "import sys, json\n"
        "from taskmill.cli.main import app\n"
        "try:\n    app()\n"
        "except SystemExit:\n    print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    ran = subprocess.run(  # noqa: S603 -- our own
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True, timeout=30
    )
    loaded = set(json.loads(ran.stdout.splitlines()[-1]))
    assert not loaded & HEAVY
