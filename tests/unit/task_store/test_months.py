from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from taskmill.task_store.domain.months import CLOCK_TOLERANCE, Month, NewIds, month_of

NOVEMBER = Month(2026, 11)
MIDDLE = datetime(2026, 11, 15, 12, tzinfo=UTC)
MOMENT = timedelta(milliseconds=1)


def made_at(instant: datetime, *, version: int = 7) -> UUID:
    """An id as gateways make them."""
    milliseconds = round(instant.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | version << 76 | 0x234 << 64 | 0x8000_0000_0000_0001)


def test_months_follow_each_other() -> None:
    """Also from one year to the next."""
    assert Month(2026, 12).following == Month(2027, 1)
    assert (NOVEMBER.start, NOVEMBER.end) == (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))


def test_a_month_is_that_of_utc() -> None:
    """Wherever the clock stands."""
    assert month_of(datetime(2026, 12, 1, 1, tzinfo=timezone(timedelta(hours=2)))) == NOVEMBER


def test_ids_of_this_month_are_new() -> None:
    """From its begin to its end, but for what clocks may differ."""
    first, last = NOVEMBER.start + CLOCK_TOLERANCE, NOVEMBER.end - CLOCK_TOLERANCE
    ids = NewIds(MIDDLE)
    assert made_at(MIDDLE) in ids
    assert made_at(first) in ids
    assert made_at(first - MOMENT) not in ids
    assert made_at(last - MOMENT) in ids
    assert made_at(last) not in ids


def test_other_ids_may_have_been_in_use() -> None:
    """They do not say when they were made."""
    assert made_at(MIDDLE, version=4) not in NewIds(MIDDLE)


@pytest.mark.parametrize("now", [NOVEMBER.start, NOVEMBER.end - MOMENT], ids=["begin", "end"])
def test_near_the_turn_of_the_month_no_id_is_certainly_new(now: datetime) -> None:
    """PostgreSQL may be in another month already, or still."""
    assert made_at(MIDDLE) not in NewIds(now)
    assert made_at(now) not in NewIds(now)
