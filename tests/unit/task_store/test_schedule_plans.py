"""What is to be done of a schedule after an outage, and the ids of its tasks."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from taskmill.contracts.limits import MAX_CAUGHT_UP_TIMES
from taskmill.contracts.schedules import CreateSchedule, TaskTemplate
from taskmill.task_store.domain.schedules import (
    MAX_MISSED_AT_ONCE,
    FireSchedule,
    ScheduleState,
    fire_task_id,
    new_schedule,
    plan,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def made(**fields: Any) -> ScheduleState:
    """A schedule that was made now."""
    return new_schedule(CreateSchedule(id=uuid4(), name="S", template=TaskTemplate(title="T"), **fields), NOW)


def test_nothing_is_to_be_done_before_the_time() -> None:
    """Nor of one that has no time any more."""
    schedule = made(interval_seconds=60)
    assert plan(schedule, NOW + MINUTE - timedelta(microseconds=1)) is None
    assert plan(schedule, NOW + MINUTE) == FireSchedule(schedule.id, 1, NOW + MINUTE, NOW + 2 * MINUTE)
    assert plan(schedule._replace(next_fire_at=None), NOW + MINUTE) is None


def test_what_is_too_old_is_missed_at_once() -> None:
    """All of an interval, without working each time out; of a cron line some at a time; not beyond the end."""
    second = made(interval_seconds=1, catch_up_seconds=60)
    year = plan(second, NOW + timedelta(days=365))
    assert year is not None
    assert (year.missed, year.next_fire_at) == (365 * 86_400 - 61, NOW + timedelta(days=365, seconds=-60))
    cron = made(cron="* * * * *", catch_up_seconds=60)
    day = plan(cron, NOW + timedelta(days=1))
    assert day is not None
    assert (day.missed, day.missed_until) == (MAX_MISSED_AT_ONCE, NOW + MAX_MISSED_AT_ONCE * MINUTE)
    ended = plan(made(interval_seconds=60, ends_at=NOW + 4 * MINUTE), NOW + timedelta(days=1))
    assert ended is not None
    assert (ended.missed, ended.missed_until, ended.next_fire_at) == (3, NOW + 3 * MINUTE, None)


def test_no_more_than_a_number_of_times_are_made_up_for() -> None:
    """Of an interval of a second not all of a week: the newest."""
    schedule = made(interval_seconds=1, catch_up_seconds=7 * 86_400)
    planned = plan(schedule, NOW + timedelta(days=7))
    assert planned is not None
    assert planned.next_fire_at == NOW + timedelta(days=7, seconds=-MAX_CAUGHT_UP_TIMES)


def test_a_time_has_one_id() -> None:
    """Of version 7, from its schedule and its instant, however that is written."""
    schedule_id = UUID(int=7)
    first = fire_task_id(schedule_id, NOW)
    assert first == fire_task_id(schedule_id, NOW.astimezone(tz=None))
    assert len({first, fire_task_id(schedule_id, NOW + MINUTE), fire_task_id(uuid4(), NOW)}) == 3
    assert (first.version, first.int >> 80) == (7, int(NOW.timestamp() * 1000))
