"""Arguments and options that several commands have."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar
from uuid import UUID

import typer

from taskmill.cli.command import one_of
from taskmill.cli.contexts import contexts_file, read_contexts
from taskmill.cli.output import OutputFormat
from taskmill.cli.wording import parse_instant
from taskmill.contracts.events import EventType
from taskmill.contracts.limits import MAX_INTEGER, MAX_LABEL_CONDITIONS
from taskmill.contracts.patterns import (
    CHOSEN_KEY_PATTERN,
    IN_WORDS,
    LABEL_KEY_PATTERN,
    NAME_PATTERN,
    VISIBLE_ASCII_PATTERN,
)
from taskmill.contracts.status import Priority, TaskStatus

T = TypeVar("T")

MAX_ITEMS = 1_000_000_000
"""The largest number of things that can be asked for; 0 is all of them."""

MAX_SECONDS = 366 * 24 * 3600
"""The longest time that can be waited for."""


def is_of(pattern: str) -> Callable[[T], T]:
    """A check of what was given, before anybody is asked: it is told what a text of this pattern looks like.

    Args:
        pattern: One of those that `taskmill.contracts.patterns` puts in words.
    """

    def check(given: T) -> T:
        for text in given if isinstance(given, list) else [given]:
            if isinstance(text, str) and not re.fullmatch(pattern, text):
                raise typer.BadParameter(f"{text!r}: {IN_WORDS[pattern]}")
        return given

    return check


a_name = is_of(NAME_PATTERN)
"""Checks the name of a kind, a queue or a processor."""


a_chosen_key = is_of(CHOSEN_KEY_PATTERN)
"""Checks a concurrency key."""


def at_most(largest: int) -> Callable[[T], T]:
    """A check of a number: without it the largest ones would be told in each help, or not be numbers to others."""

    def check(given: T) -> T:
        if isinstance(given, int | float) and given > largest:
            raise typer.BadParameter(f"at most {largest}")
        return given

    return check


TaskIdArgument = Annotated[UUID, typer.Argument(metavar="ID", help="The task's id.")]
TaskIdsArgument = Annotated[list[UUID], typer.Argument(metavar="ID...", help="Ids of tasks.")]
QueueArgument = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.", callback=a_name)]

Output = Annotated[
    OutputFormat,
    typer.Option(
        "--output",
        "-o",
        metavar=one_of(OutputFormat),
        help="How data is printed: a table, JSON, or JSON in a line for each.",
    ),
]
InContext = Annotated[
    str | None,
    typer.Option(
        "--context",
        metavar="NAME",
        help="The context whose gateway is asked; beats TASKMILL_URL.",
        autocompletion=lambda: sorted(read_contexts(contexts_file()).contexts),
    ),
]
InQueue = Annotated[str | None, typer.Option("--queue", "-q", metavar="QUEUE", help="Of this queue.", callback=a_name)]
OfKey = Annotated[
    str | None, typer.Option("--concurrency-key", metavar="KEY", help="Of this concurrency key.", callback=a_chosen_key)
]
OfKind = Annotated[str | None, typer.Option("--kind", "-k", metavar="KIND", help="Of this kind.", callback=a_name)]
OfStatus = Annotated[
    list[TaskStatus] | None,
    typer.Option("--status", "-s", metavar=one_of(TaskStatus), help="Of this status. Several: any."),
]
WithLabels = Annotated[
    list[str] | None,
    typer.Option(
        "--label", "-l", metavar="KEY[=VALUE]", help="With this label, of any value if none is given. Several: all."
    ),
]
OfPriority = Annotated[
    Priority | None, typer.Option("--priority", "-p", metavar=one_of(Priority), help="Of this priority.")
]
OfSchedule = Annotated[
    UUID | None, typer.Option("--schedule", metavar="SCHEDULE", help="Made by the schedule of this id.")
]
OfGroup = Annotated[UUID | None, typer.Option("--group", metavar="GROUP", help="Of this group, by its id.")]
InTitle = Annotated[str | None, typer.Option("--title", metavar="TEXT", help="With this in its title, in any case.")]
OfUniqueKey = Annotated[
    str | None,
    typer.Option("--unique-key", metavar="KEY", help="Of this unique key.", callback=is_of(CHOSEN_KEY_PATTERN)),
]
OfTypes = Annotated[
    list[EventType] | None,
    typer.Option("--type", "-t", metavar=one_of(EventType), help="Only what is of this type. Several: any."),
]
AfterPosition = Annotated[
    int | None,
    typer.Option(
        "--after", min=0, metavar="POSITION", callback=at_most(MAX_INTEGER), help="Begin behind this position."
    ),
]
Within = Annotated[
    float,
    typer.Option(
        "--within",
        min=0,
        metavar="SECONDS",
        callback=at_most(MAX_SECONDS),
        help="How long to wait for the end of the task at most.",
    ),
]
WithinSeconds = Annotated[
    float,
    typer.Option("--within", min=0, metavar="SECONDS", callback=at_most(MAX_SECONDS), help="How long to wait at most."),
]
Limit = Annotated[
    int,
    typer.Option("--limit", "-n", min=0, metavar="N", callback=at_most(MAX_ITEMS), help="How many at most; 0: all."),
]
ReplayAfter = Annotated[
    int,
    typer.Option(
        "--after",
        min=0,
        metavar="POSITION",
        callback=at_most(MAX_INTEGER),
        help="Begin behind this position; 0: with the oldest.",
    ),
]
ReplayUntil = Annotated[
    int | None,
    typer.Option(
        "--until",
        min=0,
        metavar="POSITION",
        callback=at_most(MAX_INTEGER),
        help="The last one; if not given: the newest.",
    ),
]
WaitForReplay = Annotated[bool, typer.Option("--wait", "-w", help="Wait until everything was told.")]
IdempotencyKey = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="KEY",
        help="Idempotency key: the same command under the same key is carried out once.",
        callback=is_of(VISIBLE_ASCII_PATTERN),
    ),
]


def labels_wanted(given: list[str] | None) -> dict[str, str | None]:
    """What `--label` chooses; None: any value.

    Raises:
        typer.BadParameter: It is no label, or chosen twice, or there are too many.
    """
    if len(given or []) > MAX_LABEL_CONDITIONS:
        raise typer.BadParameter(f"{MAX_LABEL_CONDITIONS} at most", param_hint="--label")
    return {key: value if has_value else None for key, has_value, value in _labels(given, "KEY=VALUE, or KEY alone")}


def labels_given(given: list[str] | None) -> dict[str, str]:
    """What `--label` says of something new.

    Raises:
        typer.BadParameter: It is no label, or given twice.
    """
    pairs = _labels(given, "KEY=VALUE")
    for key, has_value, _ in pairs:
        if not has_value:
            raise typer.BadParameter(f"{key!r} has no value: KEY=VALUE", param_hint="--label")
    return {key: value for key, _, value in pairs}


def label_conditions(given: list[str] | None) -> list[str]:
    """What `--label` chooses, as webhooks and replays take it: `key:value`, or `key` for any value.

    Raises:
        typer.BadParameter: As of `labels_wanted`.
    """
    return [key if value is None else f"{key}:{value}" for key, value in labels_wanted(given).items()]


def _labels(given: list[str] | None, form: str) -> list[tuple[str, str, str]]:
    pairs = [text.partition("=") for text in given or []]
    for key, _, _ in pairs:
        if not re.fullmatch(LABEL_KEY_PATTERN, key):
            raise typer.BadParameter(f"{key!r}: {form}. {IN_WORDS[LABEL_KEY_PATTERN]}", param_hint="--label")
    if len({key for key, _, _ in pairs}) < len(pairs):
        raise typer.BadParameter("each key is given once", param_hint="--label")
    return pairs


def instant(text: str | None, option: str) -> datetime | None:
    """What an option says of a time: an instant, or a time from now; None: it was not given.

    Raises:
        typer.BadParameter: It is neither.
    """
    if text is None:
        return None
    try:
        return parse_instant(text, datetime.now(UTC))
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            "give an instant with its offset, as 2030-12-24T18:00:00Z, or a time from now, as +5m or -1d",
            param_hint=option,
        ) from error


def chosen(**conditions: object) -> dict[str, object]:
    """The conditions that were given, for the client."""
    return {name: value for name, value in conditions.items() if value not in (None, [], {}, ())}
