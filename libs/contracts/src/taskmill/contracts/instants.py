"""Instants as strangers write them: only what every reader takes for the same point in time."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field
from pydantic_core import PydanticCustomError

_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def _read(given: object) -> datetime:
    # Left alone, pydantic would also take a number of seconds, bare or as text.
    if isinstance(given, datetime):
        return given
    try:
        if isinstance(given, str) and _RFC3339.fullmatch(given):
            return datetime.fromisoformat(given.upper())
    except ValueError:
        pass  # a month 13, say: told below, with everything else
    raise PydanticCustomError("datetime_parsing", "Input should be an instant such as 2026-11-24T12:00:00Z")


def _to_utc(instant: datetime) -> datetime:
    return instant.astimezone(UTC)


EARLIEST_INSTANT = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_INSTANT = datetime(9999, 1, 1, tzinfo=UTC)

BoundedInstant = Annotated[AwareDatetime, Field(ge=EARLIEST_INSTANT, lt=LATEST_INSTANT)]
"""An instant that every time zone, PostgreSQL and Python can tell."""

GivenInstant = Annotated[BoundedInstant, BeforeValidator(_read), AfterValidator(_to_utc)]
"""RFC 3339 with an offset; seconds may be left out. Read as UTC, to the microsecond."""
