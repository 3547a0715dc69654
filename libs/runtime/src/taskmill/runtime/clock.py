"""The time, as a parameter."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present moment, aware and in UTC."""


def utc_now() -> datetime:
    """The present moment by this machine's clock, in UTC."""
    return datetime.now(UTC)
