"""When schedules fire: what clocks that are put forward and back do to a cron line, and what can never fire."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmill.contracts.errors import InvalidRequestError
from taskmill.task_store.domain.schedule_times import Timing

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def cron(line: str, time_zone: str = "UTC") -> Timing:
    """The times of a cron line."""
    return Timing(line, time_zone, None, NOW, None, None)


def every(seconds: int, anchor: datetime = NOW) -> Timing:
    """The times of an interval."""
    return Timing(None, "UTC", seconds, anchor, None, None)


def told(times: list[datetime]) -> list[str]:
    """Times as a test has them."""
    return [f"{time:%m-%d %H:%M}" for time in times]


# The first of two days in UTC, the line, the zone, and the times of the two days in UTC, worked out by hand.
ACROSS_CHANGES = [
    # A time that the clocks skip comes when they have been put forward.
    ("03-28", "30 2 * * *", BERLIN, ["03-28 01:30", "03-29 01:00"]),
    ("03-07", "30 2 * * *", NEW_YORK, ["03-07 07:30", "03-08 07:00"]),
    ("10-03", "15 2 * * *", LORD_HOWE, ["10-03 15:30", "10-04 15:15"]),
    # Several that they skip come as one.
    ("03-28", "15,45 2 * * *", BERLIN, ["03-28 01:15", "03-28 01:45", "03-29 01:00"]),
    # A time that the clocks show twice comes the first time.
    ("10-24", "30 2 * * *", BERLIN, ["10-24 00:30", "10-25 00:30"]),
    ("10-31", "30 1 * * *", NEW_YORK, ["10-31 05:30", "11-01 05:30"]),
    ("04-04", "45 1 * * *", LORD_HOWE, ["04-04 14:45", "04-05 15:15"]),
    # A line whose minute or hour begins with a star goes by the time that passes.
    ("03-28", "*/30 2 * * *", BERLIN, ["03-28 01:00", "03-28 01:30"]),
    (
        *("10-24", "*/30 2 * * *", BERLIN),
        ["10-24 00:00", "10-24 00:30", "10-25 00:00", "10-25 00:30", "10-25 01:00", "10-25 01:30"],
    ),
    # Days have 23 hours then, or 25.
    ("03-28", "0 0 * * *", BERLIN, ["03-28 23:00", "03-29 22:00"]),
]


@pytest.mark.parametrize(("day", "line", "zone", "expected"), ACROSS_CHANGES)
def test_times_across_changes_of_the_clocks(day: str, line: str, zone: str, expected: list[str]) -> None:
    """Daylight saving is as Debian's cron has it."""
    since = datetime.fromisoformat(f"2026-{day}T00:00:00+00:00")
    assert told(cron(line, zone).within(since, since + timedelta(days=2), 10)) == expected


def test_each_hour_comes_once_as_time_passes() -> None:
    """Where clocks are put forward and back by half an hour, the hour that is shown comes after 30 or 90 minutes."""
    hourly = cron("0 * * * *", LORD_HOWE)
    forward = hourly.within(datetime(2026, 10, 3, 14, tzinfo=UTC), datetime(2026, 10, 3, 17, tzinfo=UTC), 10)
    assert told(forward) == ["10-03 14:30", "10-03 16:00"]
    back = hourly.within(datetime(2026, 4, 4, 13, tzinfo=UTC), datetime(2026, 4, 4, 18, tzinfo=UTC), 10)
    assert told(back) == ["04-04 13:00", "04-04 14:00", "04-04 15:30", "04-04 16:30", "04-04 17:30"]


@given(
    st.sampled_from(["30 2 * * *", "*/7 1-3 * * *", "0-59 1,2 * * *", "0 * * * *", "59 1 * * SUN", "* * * * *"]),
    st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, "UTC"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_each_time_is_behind_the_one_before(line: str, zone: str, instant: datetime) -> None:
    """From whatever instant times are worked out, they are the same, and they come in order."""
    timing = cron(line, zone)
    times = list(islice(timing.behind(instant), 8))
    assert times[0] > instant
    assert all(earlier < later for earlier, later in pairwise(times)), times
    for earlier, later in pairwise(times):
        between = earlier + (later - earlier) / 2
        assert timing.first_behind(between) == later


def test_an_interval_has_its_times_whenever_it_is_asked() -> None:
    """They lie a number of intervals from the anchor, also before it, and an instant that is a time is not its next."""
    timing = every(90)
    assert timing.first_behind(NOW) == NOW + timedelta(seconds=90)
    assert timing.first_behind(NOW + timedelta(seconds=89.999999)) == NOW + timedelta(seconds=90)
    assert timing.first_behind(NOW - timedelta(seconds=100)) == NOW - timedelta(seconds=90)
    assert told(timing.within(NOW, NOW + timedelta(minutes=3), 10)) == ["01-01 12:00", "01-01 12:01"]


def test_a_start_is_a_time_of_its_own_and_an_end_is_not() -> None:
    """From `starts_at` on, before `ends_at`."""
    start = NOW + timedelta(hours=1)
    bounded = every(60, start)._replace(starts_at=start, ends_at=start + timedelta(minutes=2))
    assert list(bounded.behind(NOW)) == [start, start + timedelta(minutes=1)]
    at_three = cron("0 3 * * *")._replace(starts_at=datetime(2026, 3, 1, 3, tzinfo=UTC))
    assert at_three.first_behind(NOW) == datetime(2026, 3, 1, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "zone", "code"),
    [
        ("0 3 * *", "UTC", "cron"),
        ("60 3 * * *", "UTC", "cron"),
        ("0 0 30 2 *", "UTC", "cron"),
        ("0 0 */31 * MON#5", "UTC", "cron"),
        ("@daily", "UTC", "cron"),
        ("0 3 * * *", "Europe/Atlantis", "time_zone"),
        ("0 3 * * *", "Europe", "time_zone"),
        ("0 3 * * *", "../../etc/passwd", "time_zone"),
        ("0 3 * * *", "right/UTC", "time_zone"),
        ("0 3 * * *", "localtime", "time_zone"),
    ],
)
def test_what_can_never_fire_is_refused(line: str, zone: str, code: str) -> None:
    """A line that is none, one that never comes true, and a zone that there is not; also at the end of the calendar."""
    with pytest.raises(InvalidRequestError) as refusal:
        cron(line, zone).check(NOW)
    assert [problem.code for problem in refusal.value.errors] == [code]
    assert cron("0 3 * * *").first_behind(datetime(9999, 12, 31, 4, tzinfo=UTC)) is None


def test_times_in_words() -> None:
    """As people say them."""
    assert cron("0 9 * * MON-FRI", BERLIN).in_words() == "At 09:00 on Monday through Friday, Europe/Berlin"
    assert every(5400).in_words() == "Every 1 hour 30 minutes"


@pytest.mark.parametrize(
    ("line", "minutes", "hours", "zone", "begin"),
    [
        # At 00:01 it became 23:01 of the day before.
        ("10 */3 * * *", {10}, set(range(0, 24, 3)), "America/St_Johns", datetime(2009, 10, 31, 20, tzinfo=UTC)),
        # At 02:00 it became 01:30.
        ("10 */3 * * *", {10}, set(range(0, 24, 3)), LORD_HOWE, datetime(2027, 4, 3, 9, tzinfo=UTC)),
        ("0 */2 * * *", {0}, set(range(0, 24, 2)), LORD_HOWE, datetime(2027, 4, 3, 9, tzinfo=UTC)),
        ("*/20 2 31 10 *", {0, 20, 40}, {2}, BERLIN, datetime(2027, 10, 30, 22, tzinfo=UTC)),
        ("*/20 2 28 3 *", {0, 20, 40}, {2}, BERLIN, datetime(2027, 3, 27, 22, tzinfo=UTC)),
    ],
)
def test_what_a_clock_shows_comes_whoever_asks(
    line: str, minutes: set[int], hours: set[int], zone: str, begin: datetime
) -> None:
    """A line that goes by the time that passes: each minute in which it is met, wherever the search begins."""
    moments = [begin + number * timedelta(minutes=1) for number in range(1, 10 * 60)]
    clocks = [(moment, moment.astimezone(ZoneInfo(zone))) for moment in moments]
    met = [moment for moment, clock in clocks if clock.minute in minutes and clock.hour in hours]
    timing = cron(line, zone)
    assert timing.within(moments[0], moments[-1], 100) == met
    last = timing.first_behind(moments[-1])
    for moment in moments[::7]:
        assert timing.first_behind(moment) == next((time for time in met if time > moment), last)


def test_the_calendar_has_an_end() -> None:
    """Behind it no time follows, and nothing fails."""
    begin = datetime(9998, 6, 1, tzinfo=UTC)
    assert len(list(every(366 * 24 * 3600, begin).behind(begin))) == 1
    assert list(cron("0 0 1 6 *").behind(begin)) == [datetime(9999, 6, 1, tzinfo=UTC)]
    assert cron("* * 31 12 *").first_behind(datetime(9999, 12, 31, 23, 59, tzinfo=UTC)) is None
