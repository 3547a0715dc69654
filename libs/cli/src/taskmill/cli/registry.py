"""Which commands there are, and where: so that only the one that is called is loaded."""

import importlib
from typing import NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from taskmill.cli.command import Commands

NAME = "taskmill"


class Entry(NamedTuple):
    """A command, or a group of commands."""

    module: str
    """Has the `typer.Typer` that it belongs to, or that it is, as `app`."""
    summary: str
    """How its help begins."""
    is_group: bool = False


_COMMANDS = "taskmill.cli.commands"

SECTIONS: dict[str, dict[str, Entry]] = {
    "Tasks": {
        "submit": Entry(f"{_COMMANDS}.submit", "Create a task, and have it processed"),
        "get": Entry(f"{_COMMANDS}.tasks", "Show a task"),
        "list": Entry(f"{_COMMANDS}.tasks", "List tasks, newest first"),
        "attempts": Entry(f"{_COMMANDS}.tasks", "Show the attempts at a task"),
        "logs": Entry(f"{_COMMANDS}.tasks", "Show what the handler of a task wrote"),
        "process": Entry(f"{_COMMANDS}.changes", "Have tasks processed that exist"),
        "cancel": Entry(f"{_COMMANDS}.changes", "Cancel tasks"),
        "delete": Entry(f"{_COMMANDS}.changes", "Delete tasks"),
        "schedule": Entry(f"{_COMMANDS}.schedules", "Have tasks made again and again", is_group=True),
        "bulk": Entry(f"{_COMMANDS}.bulk", "Process, cancel or delete many tasks", is_group=True),
        "group": Entry(f"{_COMMANDS}.groups", "Make tasks that have one outcome together", is_group=True),
    },
    "Events": {
        "watch": Entry(f"{_COMMANDS}.watching", "Follow a task to its end, or all that happens"),
        "events": Entry(f"{_COMMANDS}.watching", "Show what happened"),
        "webhook": Entry(f"{_COMMANDS}.webhooks", "Have events sent to URLs", is_group=True),
        "replay": Entry(f"{_COMMANDS}.replays", "Have a span of the log told again", is_group=True),
    },
    "Fleet": {
        "queue": Entry(f"{_COMMANDS}.queues", "See what waits, and pause it", is_group=True),
        "limit": Entry(f"{_COMMANDS}.limits", "Limit what is processed at once, or in some time", is_group=True),
        "share": Entry(f"{_COMMANDS}.shares", "Say how concurrency keys share their queues", is_group=True),
        "processor": Entry(f"{_COMMANDS}.processors", "Run a processor, and see which there are", is_group=True),
        "kinds": Entry(f"{_COMMANDS}.kinds", "List the kinds"),
        "top": Entry(f"{_COMMANDS}.top", "Show queues, processors and rates, live"),
        "check": Entry(f"{_COMMANDS}.check", "Say in one line whether all is well, for a monitor"),
    },
    "Operation": {
        "up": Entry(f"{_COMMANDS}.up", "Run NATS, PostgreSQL and the three services here, until Ctrl-C"),
        "doctor": Entry(f"{_COMMANDS}.doctor", "Look for what is wrong, and say what to do"),
        "migrate": Entry(f"{_COMMANDS}.migrate", "Change the schema of the task store's database", is_group=True),
        "key": Entry(f"{_COMMANDS}.keys", "Make API keys, and revoke them", is_group=True),
        "nats": Entry(f"{_COMMANDS}.nats", "Say to a NATS server who may do what", is_group=True),
        "drill": Entry(
            "taskmill.cli.drill.commands",
            "Break a part of the running stack on purpose, and see that nothing is lost",
            is_group=True,
        ),
    },
    "Set-up": {
        "context": Entry(f"{_COMMANDS}.contexts", "Name gateways, and choose the one to talk to", is_group=True),
        "spec": Entry(f"{_COMMANDS}.spec", "Print the description of an interface", is_group=True),
    },
}
"""All commands, by name, as the help shows them."""

ENTRIES: dict[str, Entry] = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


def load(name: str) -> TyperCommand | TyperGroup | None:
    """The command, or the group of commands, of a name; None: there is none."""
    entry = ENTRIES.get(name)
    if entry is None:
        return None
    app: typer.Typer = importlib.import_module(entry.module).app
    group = typer.main.get_group(app)
    if entry.is_group:
        group.name = name
        return group
    command = group.commands[name]
    assert isinstance(command, TyperCommand)  # noqa: S101 -- for the type checker
    return command


def new_app(summary: str | None = None) -> typer.Typer:
    """What a module's commands are registered with.

    Args:
        summary: The help of the group that they make; None: they stand for themselves.
    """
    return Commands(help=summary, no_args_is_help=True, add_completion=False, rich_markup_mode=None)
