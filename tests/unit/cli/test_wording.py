"""Times and amounts, as people read and write them."""

from datetime import UTC, datetime, timedelta

import pytest

from taskmill.cli.wording import age, duration, instant, labels, parse_instant, sentences

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, None),
        (-1, "0.0s"),
        (0.04, "0.0s"),
        (9.94, "9.9s"),
        (10, "10s"),
        (60, "1m"),
        (192, "3m 12s"),
        (90_061, "1d 1h"),
        (86_400 * 400, "400d"),
    ],
)
def test_a_duration(seconds: float | None, text: str | None) -> None:
    """Two units say enough."""
    assert duration(seconds) == text


def test_instants() -> None:
    """In UTC, and how long ago."""
    assert instant(None) is age(None) is None
    assert instant(datetime.fromisoformat("2030-01-02T05:04:05.9+02:00")) == "2030-01-02 03:04:05Z"
    assert age(NOW, NOW + timedelta(minutes=2)) == "2m"
    assert labels({"b": "2", "a": ""}) == "a=,b=2"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2030-12-24T18:00:00Z", datetime(2030, 12, 24, 18, tzinfo=UTC)),
        ("+90s", NOW + timedelta(seconds=90)),
        ("+5m", NOW + timedelta(minutes=5)),
        ("+2h", NOW + timedelta(hours=2)),
        ("+1d", NOW + timedelta(days=1)),
        ("-5s", NOW - timedelta(seconds=5)),
    ],
)
def test_a_time_to_start(text: str, at: datetime) -> None:
    """An instant, or how long from now."""
    assert parse_instant(text, NOW) == at


@pytest.mark.parametrize(
    "text", ["", "+", "+s", "+5", "+5w", "+²s", "tomorrow", "2030-12-24T18:00:00", "+9999999999999s"]
)
def test_a_time_that_is_none(text: str) -> None:
    """It is refused: also one that leaves open where."""
    with pytest.raises((ValueError, OverflowError)):
        parse_instant(text, NOW)


def test_sentences() -> None:
    """Between two there is one full stop, whether the first brings its own or not."""
    assert sentences("It is down.", "Start it") == sentences("It is down", "Start it") == "It is down. Start it"
    assert sentences("It is up.", None) == "It is up."
