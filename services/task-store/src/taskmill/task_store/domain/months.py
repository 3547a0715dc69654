"""Months, by which the log is kept in parts."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

CLOCK_TOLERANCE = timedelta(minutes=1)
"""By so much at most the clocks of gateways, stores and PostgreSQL are thought to differ."""

_VERSION_WITH_TIME = 7
_VERSION_SHIFT = 76
_MILLISECONDS_SHIFT = 80


class Month(NamedTuple):
    """A month in UTC."""

    year: int
    number: int
    """1 to 12."""

    @property
    def start(self) -> datetime:
        """Its first instant."""
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first instant of the next one."""
        return self.following.start

    @property
    def following(self) -> "Month":
        """The next one."""
        return Month(self.year + self.number // 12, self.number % 12 + 1)


def month_of(instant: datetime) -> Month:
    """The month of an instant."""
    in_utc = instant.astimezone(UTC)
    return Month(in_utc.year, in_utc.month)


class NewIds:
    """The ids that were made in the month that the log is written in, for certain.

    None of them can be that of a task of an earlier month: whether that was in use before, the key of this month's part
    of the log does not know. Ids of gateways say when they were made (RFC 9562 §5.7). Any other id is not among these,
    and none is near the turn of the month.

    Args:
        now: The time.
    """

    def __init__(self, now: datetime) -> None:
        month = month_of(now)
        first, last = month.start + CLOCK_TOLERANCE, month.end - CLOCK_TOLERANCE
        self._range = range(_least(first), _least(last)) if first <= now < last else range(0)

    def __contains__(self, task_id: UUID) -> bool:
        number = task_id.int
        return number in self._range and number >> _VERSION_SHIFT & 0xF == _VERSION_WITH_TIME


def _least(instant: datetime) -> int:
    """The least number that an id of an instant may be."""
    return int(instant.timestamp() * 1000) << _MILLISECONDS_SHIFT
