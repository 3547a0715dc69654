"""Times and amounts, as people read them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def duration(seconds: float | None) -> str | None:
    """A time in its two largest units, such as `3m 12s`; None: none."""
    if seconds is None:
        return None
    if seconds < 10:
        return f"{max(seconds, 0):.1f}s"
    left, parts = round(seconds), []
    for unit, size in _UNITS:
        if left >= size:
            parts.append(f"{left // size}{unit}")
            left %= size
    return " ".join(parts[:2])


def age(at: datetime | None, now: datetime | None = None) -> str | None:
    """How long ago something was; None: it was not."""
    return None if at is None else duration(((now or datetime.now(UTC)) - at).total_seconds())


def instant(at: datetime | None) -> str | None:
    """An instant in UTC, to the second; None: none."""
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def labels(values: Mapping[str, str]) -> str:
    """Labels as they are given: `team=web,stage=2`."""
    return ",".join(f"{key}={value}" for key, value in sorted(values.items()))


def parse_instant(text: str, now: datetime) -> datetime:
    """An instant as people write it: ISO 8601 with an offset, or a time from now such as `+90s`, `+5m` or `-1d`.

    Raises:
        ValueError: It is neither.
    """
    sizes = dict(_UNITS)
    if text.startswith(("+", "-")) and text[-1:] in sizes and text[1:-1].isdecimal() and len(text) <= 12:
        return now + timedelta(seconds=int(text[:-1]) * sizes[text[-1]])
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("it has no offset")
    return at


def sentences(first: str, second: str | None) -> str:
    """Two texts with a full stop between them, whether the first brings its own or not; None: there is no second."""
    return first if second is None else f"{first.rstrip('.')}. {second}"
