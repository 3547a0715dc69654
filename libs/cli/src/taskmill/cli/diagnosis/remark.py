"""What a look has found."""

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"
    """Nobody could look."""


class Remark(NamedTuple):
    """One thing that was looked at."""

    level: Level
    what: str
    found: str
    advice: str | None = None
    """What to do; None: nothing."""


def ok(what: str, found: str) -> Remark:
    """It is well."""
    return Remark(Level.OK, what, found)


def warn(what: str, found: str, advice: str) -> Remark:
    """It works, but should not stay so."""
    return Remark(Level.WARN, what, found, advice)


def fail(what: str, found: str, advice: str) -> Remark:
    """It does not work."""
    return Remark(Level.FAIL, what, found, advice)


def skip(what: str, found: str, advice: str) -> Remark:
    """Nobody could look."""
    return Remark(Level.SKIP, what, found, advice)
