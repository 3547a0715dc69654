"""What is called: an attempt, as far as whoever calls handlers must know it."""

from datetime import datetime
from enum import Enum, auto
from typing import Protocol

from taskmill.contracts.work import WorkItem

CANCEL_SECONDS = 2
"""How long a handler may take to end once its time is over, or the processor drains; then it is left behind."""


class StopReason(Enum):
    """Why a handler is stopped."""

    CANCELLED = auto()
    """A client wants it."""

    TIMED_OUT = auto()
    """The attempt's time is over."""

    DRAINING = auto()
    """The processor ends."""


class CalledAttempt(Protocol):
    """An attempt whose handler is called.

    Attributes:
        work_item: What was asked for.
        started_at: When its handler was about to be called; None: it has not been.
        allowed_seconds: How long its handler may take, with what it asked for meanwhile; None: for ever.
        times_out_at: When its handler's time is over, in seconds of `time.monotonic`; None: never, or not called yet.
        stop_reason: Why its handler is being stopped; None: it is not.
    """

    work_item: WorkItem
    started_at: datetime | None
    allowed_seconds: float | None
    times_out_at: float | None
    stop_reason: StopReason | None
