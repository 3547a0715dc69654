"""Where a page ended, as clients carry it: opaque, so that it may change."""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import orjson

from taskmill.contracts.errors import FieldProblem, InvalidRequestError
from taskmill.contracts.instants import EARLIEST_INSTANT, LATEST_INSTANT

FIRST_ID, LAST_ID = UUID(int=0), UUID(int=2**128 - 1)
"""What comes before and behind all ids: nothing has them."""


class ListPosition(NamedTuple):
    """The last task of a page, by what lists are sorted by."""

    created_at: datetime
    id: UUID


def number_cursor(number: int) -> str:
    """The cursor behind the attempt, version or line of this number."""
    return _encode([number])


def parse_number_cursor(cursor: str | None, *, below: int = 2**31) -> int:
    """The number that a page starts behind; 0 without a cursor.

    Args:
        cursor: What the client has; None: it wants the first page.
        below: What the column cannot hold.

    Raises:
        InvalidRequestError: No page ended with this cursor.
    """
    if cursor is None:
        return 0
    match _decode(cursor):
        case [int(number)] if not isinstance(number, bool) and 0 <= number < below:
            return number
    raise _invalid_cursor()


def name_cursor(name: str) -> str:
    """The cursor behind what has this name."""
    return _encode([name])


def parse_name_cursor(cursor: str | None) -> str:
    """The name that a page starts behind; empty without a cursor.

    Raises:
        InvalidRequestError: No page ended with this cursor.
    """
    if cursor is None:
        return ""
    match _decode(cursor):
        case [str(name)] if "\0" not in name:
            return name
    raise _invalid_cursor()


def id_cursor(of: UUID) -> str:
    """The cursor behind what has this id."""
    return str(of)


def parse_id_cursor(cursor: str | None, *, start: UUID = FIRST_ID) -> UUID:
    """The id that a page starts behind.

    Args:
        cursor: What the client has; None: it wants the first page.
        start: What that starts behind: `FIRST_ID`, or, where the newest come first, `LAST_ID`.

    Raises:
        InvalidRequestError: No page ended with this cursor.
    """
    try:
        return start if cursor is None else UUID(cursor)
    except ValueError:
        raise _invalid_cursor() from None


def list_cursor(position: ListPosition) -> str:
    """The cursor behind a task."""
    return _encode([position.created_at.isoformat(), str(position.id)])


def parse_list_cursor(cursor: str) -> ListPosition:
    """The task that a page starts behind.

    Raises:
        InvalidRequestError: No page ended with this cursor.
    """
    match _decode(cursor):
        case [str(created_at), str(task_id)]:
            try:
                position = ListPosition(datetime.fromisoformat(created_at), UUID(task_id))
            except ValueError:
                raise _invalid_cursor() from None
            instant = position.created_at
            if instant.tzinfo is not None and EARLIEST_INSTANT <= instant < LATEST_INSTANT:
                return position
    raise _invalid_cursor()


def _encode(parts: Sequence[int | str]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def _decode(cursor: str) -> object:
    try:
        parts: object = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        return None
    return parts


def _invalid_cursor() -> InvalidRequestError:
    problem = FieldProblem(pointer="/cursor", detail="No page ended with this cursor.", code="invalid_cursor")
    return InvalidRequestError(errors=[problem])
