"""Has every time of every schedule decided when it comes."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from uuid import UUID

import structlog

from taskmill.contracts.errors import TaskmillError, UnavailableError
from taskmill.contracts.requests import CancelTask
from taskmill.runtime.clock import Clock
from taskmill.runtime.leadership import Leadership
from taskmill.task_store.actors.leader_duty import LeaderDuty
from taskmill.task_store.adapters.schedule_rows import ScheduleRows
from taskmill.task_store.domain.schedules import FireSchedule, ScheduleState, plan
from taskmill.task_store.ports import RequestWrites

_log = structlog.get_logger(__name__)

MAX_SCHEDULES_AT_ONCE = 200

MAX_RETRIED_BESIDE_OTHERS = 20
"""So many that were refused are tried again while others are due."""

MAX_CANCELLED_AT_ONCE = 100
"""Each is read whole, and may have half a megabyte."""

LOOK_INTERVAL_SECONDS = 1
"""How often to look for what another store made or changed."""

IDLE_LOOK_INTERVAL_SECONDS = 5
"""The same while no schedule fires any more, or none is there."""


class ScheduleFires(LeaderDuty):
    """Sleeps until the next time comes, and has it decided: its task made, or skipped, or counted as missed.

    A time is decided in the transaction that moves the schedule to its next one. So nothing is remembered here: one
    that was asked for twice, by whomever, finds the second time that the schedule is further. After an outage the
    schedules take turns, a time each. One that is refused, as when there is no room for its queue, goes behind all
    others: however many these are, they hold up nobody.

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
        self._refused: dict[UUID, int] = {}
        """The revisions of the schedules that were refused; first those that wait the longest to be tried again."""

    async def work(self) -> float | None:
        """Have decided what is due; go on at once if that was something, or when the next time comes."""
        others = await self._rows.next(MAX_SCHEDULES_AT_ONCE, but=self._refused)
        now = self._now()
        due = _due(others, now)
        if self._refused:
            due += await self._due_again(MAX_RETRIED_BESIDE_OTHERS if due else MAX_SCHEDULES_AT_ONCE, now)
        if due:
            return 0 if await self._decide(due) else None
        if not others:
            return None if self._refused else IDLE_LOOK_INTERVAL_SECONDS
        begin = others[0].next_fire_at or now
        return min(LOOK_INTERVAL_SECONDS, (begin - now).total_seconds())

    async def _due_again(self, limit: int, now: datetime) -> list[FireSchedule]:
        """What is due of those that were refused. One that is not, or was changed since, is one of the others."""
        wanted = list(islice(self._refused, limit))
        known = [it for it in await self._rows.some(wanted) if it.revision == self._refused[it.id]]
        due = _due(known, now)
        for schedule_id in set(wanted) - {operation.schedule_id for operation in due}:
            del self._refused[schedule_id]
        return due

    async def _decide(self, due: Sequence[FireSchedule]) -> bool:
        """Have times decided; return whether it is worth going on at once."""
        goes_on = False
        undecided: list[FireSchedule] = []
        for operation, answer in zip(due, await self._writes.ask_each(due), strict=True):
            if isinstance(answer, UnavailableError):
                raise answer
            if isinstance(answer, TaskmillError):
                goes_on |= self._put_back(operation, answer)
                continue
            self._refused.pop(operation.schedule_id, None)
            if operation.is_undecided(answer.schedule):
                undecided.append(operation)
            else:
                goes_on = True
        if undecided:
            goes_on |= await self._cancel_some(undecided)
        return goes_on

    def _put_back(self, operation: FireSchedule, refusal: TaskmillError) -> bool:
        """Put one that is refused behind all others; return whether it was in front of some."""
        schedule_id = operation.schedule_id
        is_new = self._refused.pop(schedule_id, None) != operation.revision
        if is_new:
            _log.warning("schedule.postponed", schedule_id=str(schedule_id), code=refusal.code)
        self._refused[schedule_id] = operation.revision
        return is_new

    async def _cancel_some(self, undecided: Sequence[FireSchedule]) -> bool:
        """Cancel tasks of schedules that have more in a run than are cancelled with a time; return whether any was."""
        tasks = await self._rows.in_the_way(undecided, MAX_CANCELLED_AT_ONCE)
        # One that has got further meanwhile is looked at again.
        wanted = [CancelTask(id=task_id, expected_revision=revision) for task_id, revision in tasks]
        answers = await self._writes.ask_each(wanted)
        return any(not isinstance(answer, TaskmillError) for answer in answers)


def _due(schedules: Sequence[ScheduleState], now: datetime) -> list[FireSchedule]:
    return [operation for schedule in schedules if (operation := plan(schedule, now)) is not None]
