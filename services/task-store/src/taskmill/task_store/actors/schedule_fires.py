"""Has every time of every schedule decided when it comes."""

import asyncio

import structlog

from taskmill.contracts.errors import TaskmillError
from taskmill.runtime.clock import Clock
from taskmill.runtime.leadership import Leadership
from taskmill.task_store.actors.leader_duty import LeaderDuty
from taskmill.task_store.adapters.schedule_rows import ScheduleRows
from taskmill.task_store.domain.schedules import plan
from taskmill.task_store.ports import RequestWrites

_log = structlog.get_logger(__name__)

MAX_SCHEDULES_AT_ONCE = 200

LOOK_INTERVAL_SECONDS = 1
"""How often to look for what another store made or changed."""

IDLE_LOOK_INTERVAL_SECONDS = 5
"""The same while no schedule fires any more, or none is there."""


class ScheduleFires(LeaderDuty):
    """Sleeps until the next time comes, and has it decided: its task made, or skipped, or counted as missed.

    A time is decided in the transaction that moves the schedule to its next one. So nothing is remembered here: one
    that was asked for twice, by whomever, finds the second time that the schedule is further. After an outage the
    schedules take turns, a time each.

    Args:
        rows: The schedules.
        writes: Where their times are decided.
        leadership: Says whether this store leads.
        changed: Set by whoever makes or changes a schedule, so that none is overslept.
        now: The clock.
    """

    name = "schedule-fires"

    def __init__(
        self, rows: ScheduleRows, writes: RequestWrites, leadership: Leadership, *, changed: asyncio.Event, now: Clock
    ) -> None:
        super().__init__(leadership, interval_seconds=LOOK_INTERVAL_SECONDS, woken=changed)
        self._rows = rows
        self._writes = writes
        self._now = now

    async def work(self) -> float | None:
        """Have decided what is due; go on at once if that was something, or when the next time comes."""
        schedules = await self._rows.next(MAX_SCHEDULES_AT_ONCE)
        if not schedules:
            return IDLE_LOOK_INTERVAL_SECONDS
        now = self._now()
        due = [operation for schedule in schedules if (operation := plan(schedule, now)) is not None]
        if not due:
            begin = schedules[0].next_fire_at or now
            return min(LOOK_INTERVAL_SECONDS, (begin - now).total_seconds())
        answers = await self._writes.ask_each(due)
        refusals = [answer for answer in answers if isinstance(answer, TaskmillError)]
        for operation, answer in zip(due, answers, strict=True):
            if isinstance(answer, TaskmillError):
                _log.warning("schedule.postponed", schedule_id=str(operation.schedule_id), code=answer.code)
        return None if refusals else 0
