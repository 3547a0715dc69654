"""Instants that strangers write: each is one point in time, or is refused."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from taskmill.contracts.instants import GivenInstant

INSTANT: TypeAdapter[datetime] = TypeAdapter(GivenInstant)
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-24T12:00:00Z", NOON),
        ("2026-11-24t12:00:00z", NOON),
        ("2026-11-24T12:00Z", NOON),
        ("2026-11-24T13:30:00+01:30", NOON),
        ("2026-11-24T12:00:00.5-00:00", NOON + timedelta(seconds=0.5)),
        ("2026-11-24T12:00:00.123456789Z", NOON + timedelta(microseconds=123_456)),
    ],
)
def test_what_rfc_3339_has_is_read(text: str, instant: datetime) -> None:
    """In any offset, to the microsecond; what comes out is UTC."""
    read = INSTANT.validate_python(text, strict=True)
    assert (read, read.utcoffset()) == (instant, timedelta())


@pytest.mark.parametrize(
    "given_value",
    [
        1_700_000_000,
        "1700000000",
        "",
        "2026-11-24",
        "12:00:00Z",
        "2026-11-24T12:00:00",
        "2026-11-24 12:00:00Z",
        "2026-11-24T24:00:00Z",
        "2026-02-30T12:00:00Z",
        "2026-W48-2T12:00:00Z",
        "2026-11-24T12:00:00+0100",
        "2026-11-24T12:00:00Z\n",
        "\u0662026-11-24T12:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        datetime(2026, 11, 24, 12),  # noqa: DTZ001 (that is what is refused)
        None,
    ],
)
def test_anything_else_is_refused(given_value: object) -> None:
    """Numbers, other forms of ISO 8601, days that do not exist, and what UTC cannot tell."""
    with pytest.raises(ValidationError) as caught:
        INSTANT.validate_python(given_value)
    assert caught.value.errors()[0]["type"] in {"datetime_parsing", "timezone_aware", "greater_than_equal", "less_than"}


@given(st.datetimes(datetime(1970, 1, 3), datetime(9998, 1, 1)), st.integers(-1439, 1439))  # noqa: DTZ001 (aware below)
def test_an_instant_survives_the_way_through_json(local: datetime, offset_minutes: int) -> None:
    """Whatever its offset, the point in time is the same."""
    instant = local.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    assert INSTANT.validate_json(INSTANT.dump_json(instant), strict=True) == instant
