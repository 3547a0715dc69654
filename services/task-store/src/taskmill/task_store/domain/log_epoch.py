"""The epochs of the log: another one begins when the database is set back to an earlier state, as by a restore.

What happened between the backup and the restore is lost, but not forgotten by all: subscribers have positions of it,
processors do work that it asked for, streams hold its messages. Nothing of that may be taken for what happens from now
on. So what an epoch gives out lies above everything that was given out before, known or not: it begins where the clock
stands, in microseconds, which is further than a log comes that grows by less than a million events a second. It is a
whole second, so that a reader of pages that begin at round positions finds none that begins in what is lost.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from taskmill.contracts.events import event_source

_DISPATCHES_FROM_SECOND = 1_700_000_000
"""Dispatches count from here, alike: no task is dispatched every second for years. They end in 2091."""

CLOCKS_DIFFER_BY = timedelta(days=1)
"""No more than that, for a position that a log has given out: see `LogEpoch.may_have_given_out`."""


class LogEpoch(NamedTuple):
    """An epoch."""

    begin: int
    """The position behind which its events stand; 0: the first one."""

    @property
    def source(self) -> str:
        """The CloudEvents `source` of its events."""
        return event_source(self.begin)

    @property
    def dispatch_floor(self) -> int:
        """No dispatch of an earlier epoch has a number above this, so that no report of one passes the fence."""
        return max(0, self.begin // 1_000_000 - _DISPATCHES_FROM_SECOND)

    def may_have_given_out(self, position: int, now: datetime) -> bool:
        """Whether its log may have come to a position by now, also when a clock was ahead with which it began."""
        latest = max(self.begin, now.timestamp() * 1_000_000)
        return position <= latest + CLOCKS_DIFFER_BY.total_seconds() * 1_000_000


FIRST_EPOCH = LogEpoch(0)
