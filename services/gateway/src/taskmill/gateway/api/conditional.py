"""Conditional requests (RFC 9110 §13): a task's ETag is its revision."""

import re
from collections.abc import Awaitable, Callable

from taskmill.contracts.errors import RevisionMismatchError

_TAGS = re.compile(r'(?P<weak>W/)?"(?P<opaque>[^"]*)"')
_ANY = "*"


def etag(revision: int) -> str:
    """The strong entity tag of a task with this revision."""
    return f'"{revision}"'


def is_unmodified(if_none_match: str | None, revision: int) -> bool:
    """Whether a client has what it asks for already. Weak tags count too (RFC 9110 §13.1.2)."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == _ANY or str(revision) in {
        match["opaque"] for match in _TAGS.finditer(if_none_match)
    }


async def expected_revision(if_match: str | None, read_revision: Callable[[], Awaitable[int]]) -> int | None:
    """The one revision that a change is made for.

    Args:
        if_match: The header. Weak tags and tags that are no revision match nothing (RFC 9110 §13.1.1).
        read_revision: Reads the task's revision: needed when the client would accept several.

    Returns:
        The revision that the store shall compare, or None when any will do.

    Raises:
        RevisionMismatchError: No revision can ever match.
    """
    if if_match is None or if_match.strip() == _ANY:
        return None
    strong = {match["opaque"] for match in _TAGS.finditer(if_match) if not match["weak"]}
    revisions = {int(tag) for tag in strong if re.fullmatch(r"[1-9][0-9]{0,17}", tag)}
    if len(revisions) > 1:
        present = await read_revision()
        # If none matches, the store says so; but first it looks whether the request is one that is made again.
        return present if present in revisions else max(revisions)
    if not revisions:
        raise RevisionMismatchError
    return revisions.pop()
