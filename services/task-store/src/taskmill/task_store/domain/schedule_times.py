"""When schedules fire: a function of what clients say, so that each time has one name, whoever works it out.

A cron line is read by cronsim, and daylight saving is as it has it (docs/schedules.md). cronsim, and the zones that are
used, take memory: a store without schedules loads neither.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from taskmill.contracts.errors import FieldProblem, InvalidRequestError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

# In the folders of zones, but no zones: they depend on the machine, or count leap seconds.
_NO_ZONES = ("localtime", "posixrules", "Factory", "posix/", "right/")


_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
"""Longer than any change of clocks since 1970 that sets them back."""


class Timing(NamedTuple):
    """All that decides when a schedule fires."""

    cron: str | None
    time_zone: str
    interval_seconds: int | None
    anchor: datetime
    """An interval's times are this one, and all that lie a number of intervals before or behind it."""
    starts_at: datetime | None
    ends_at: datetime | None

    def first_behind(self, instant: datetime) -> datetime | None:
        """The first time behind an instant; None: there is none."""
        if self.starts_at is not None and instant < self.starts_at:
            instant = self.starts_at - timedelta(microseconds=1)
        time = self._next(instant)
        return None if time is None or (self.ends_at is not None and time >= self.ends_at) else time

    def behind(self, instant: datetime) -> Iterator[datetime]:
        """All times behind an instant, in their order: perhaps without end."""
        time = self.first_behind(instant)
        while time is not None:
            yield time
            time = self.first_behind(time)

    def within(self, since: datetime, until: datetime, limit: int) -> list[datetime]:
        """The times from `since` on and before `until`, the first `limit` of them."""
        bounded = self._replace(ends_at=until if self.ends_at is None else min(until, self.ends_at))
        return list(islice(bounded.behind(since - timedelta(microseconds=1)), limit))

    def in_words(self) -> str:
        """The times as people say them."""
        if self.cron is not None:
            from cronsim.explain import explain  # noqa: PLC0415 (it takes memory)

            return f"{explain(self.cron)}, {self.time_zone}"
        return f"Every {_duration(self.interval_seconds or 0)}"

    def check(self, now: datetime) -> None:
        """Refuse what can never fire.

        Raises:
            InvalidRequestError: There is no such zone; the cron line is none; or it never comes true.
        """
        from cronsim import CronSimError  # noqa: PLC0415 (it takes memory)

        if _zone(self.time_zone) is None:
            raise _invalid("/time_zone", "There is no time zone of this name.", "time_zone")
        if self.cron is None:
            return
        try:
            is_ever = self._replace(starts_at=None, ends_at=None).first_behind(now) is not None
        except CronSimError as error:
            # It names the field, and nothing that the client sent.
            raise _invalid("/cron", f"It is no cron line: {str(error).lower()}.", "cron") from None
        if not is_ever:
            raise _invalid("/cron", "It does not come true within 50 years.", "cron")

    def _next(self, instant: datetime) -> datetime | None:
        try:
            if self.cron is None:
                interval = timedelta(seconds=self.interval_seconds or 1)
                return self.anchor + ((instant - self.anchor) // interval + 1) * interval
            zone = _zone(self.time_zone)
            assert zone is not None  # noqa: S101  (`check` refuses it)
            if any(field.startswith("*") for field in self.cron.split()[:2]):  # minute and hour
                return _next_as_time_passes(self.cron, zone, instant)
            return _next_on_the_wall(self.cron, zone, instant)
        except OverflowError:
            return None  # the end of the calendar


def _next_on_the_wall(cron: str, zone: "ZoneInfo", instant: datetime) -> datetime | None:
    """The next time of a line that goes by the clock on the wall."""
    from cronsim import CronSim  # noqa: PLC0415 (it takes memory)

    for time in CronSim(cron, instant.astimezone(zone)):
        in_utc = time.astimezone(UTC)
        # In an hour that the clocks go through twice, the times of the first come once more.
        if in_utc > instant:
            return in_utc
    return None


def _next_as_time_passes(cron: str, zone: "ZoneInfo", instant: datetime) -> datetime | None:
    """The next time of a line that goes by the time that passes: whenever a clock in the zone shows what it says.

    cronsim is asked from one change of the clocks to the next only, in which a clock is like any other. Where one falls
    back over midnight it would search without end, and where it does so by half an hour, leave out times.
    """
    from cronsim import CronSim  # noqa: PLC0415 (it takes memory)

    instant = instant.replace(microsecond=0)
    while True:
        offset, change = _offset(zone, instant + _SECOND), _next_change(zone, instant)
        shown = next(CronSim(cron, (instant + offset).replace(tzinfo=None)), None)
        found = None if shown is None else shown.replace(tzinfo=UTC) - offset
        if change is not None:
            if found is not None and found < change:
                return found
            instant = change - _SECOND
        elif found is None or found <= instant + _DAY:
            return found
        else:
            # Up to there no clock shows it, however often it is changed.
            instant = found - _DAY


def _offset(zone: "ZoneInfo", instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()


def _next_change(zone: "ZoneInfo", instant: datetime) -> datetime | None:
    """When clocks are changed within a day behind an instant; None: they are not."""
    before, after = instant + _SECOND, instant + _DAY
    offset = _offset(zone, before)
    if _offset(zone, after) == offset:
        return None
    while after - before > _SECOND:
        middle = before + (after - before) // (2 * _SECOND) * _SECOND
        if _offset(zone, middle) == offset:
            before = middle
        else:
            after = middle
    return after


def _zone(name: str) -> "ZoneInfo | None":
    from zoneinfo import ZoneInfo  # noqa: PLC0415 (it takes memory)

    if name.startswith(_NO_ZONES):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        # Also of folders, and of files that describe no zone.
        return None


def _invalid(pointer: str, detail: str, code: str) -> InvalidRequestError:
    return InvalidRequestError(errors=[FieldProblem(pointer=pointer, detail=detail, code=code)])


_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def _duration(seconds: int) -> str:
    parts = []
    for unit, length in _UNITS:
        number, seconds = divmod(seconds, length)
        if number:
            parts.append(f"{number} {unit}{'s' if number > 1 else ''}")
    return " ".join(parts)
