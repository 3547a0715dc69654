"""Finds tasks whose work was lost, and cancellations that no processor answers."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from taskmill.contracts import subjects
from taskmill.contracts.errors import OverloadedError
from taskmill.contracts.streams import REPORTS_ACK_WAIT_SECONDS, REPORTS_STREAM, WORK_STREAM
from taskmill.runtime.actor import is_set_within
from taskmill.runtime.clock import Clock
from taskmill.runtime.direct_get import MAX_SUBJECTS, subjects_with_messages
from taskmill.runtime.leadership import Leadership
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.stream_state import first_sequence, stream_state
from taskmill.task_store.actors.leader_duty import LeaderDuty
from taskmill.task_store.adapters.stalled_tasks import START, Place, StalledTask, StalledTasks
from taskmill.task_store.adapters.work_stream import WorkStream
from taskmill.task_store.domain.operations import ExpireCancellations, Redispatch
from taskmill.task_store.domain.patience import OUT_OF_TURN_SECONDS
from taskmill.task_store.ports import Writes

_log = structlog.get_logger(__name__)

MAX_TASKS_AT_ONCE = MAX_SUBJECTS

NEXT_PAGE_SECONDS = 0.5
"""The pause while there are more tasks to look at than at once: a long queue is gone through within minutes."""

REPORTS_TIMEOUT_SECONDS = OUT_OF_TURN_SECONDS + REPORTS_ACK_WAIT_SECONDS + 12
"""So long reports may take to be read: also those that wait for others that are lost, and then those that a store had
in hand when it died. If they take longer, the store has too much to do to look for more."""

REPORTS_LOOK_SECONDS = 0.05


class Reconciler(LeaderDuty):
    """Compares PostgreSQL with TASK_WORK.

    A task that waits, or whose lease ran out, and that has no message on its subject, is dispatched again: as the same
    attempt, under a new number. While there is a message, JetStream delivers it. A task is looked at only when the
    relay has published its work, and is judged only after all reports are read that came before: its processor may
    have told the end already. The judgement is made again on the row.

    Args:
        session: The connection.
        leadership: Says whether this store leads.
        stalled: Finds the tasks.
        work: Tells processors to stop.
        writes: Where changes are asked for.
        now: The clock.
        interval_seconds: The pause between two looks.
    """

    name = "reconciler"

    def __init__(
        self,
        session: NatsSession,
        *,
        leadership: Leadership,
        stalled: StalledTasks,
        work: WorkStream,
        writes: Writes,
        now: Clock,
        interval_seconds: float,
    ) -> None:
        super().__init__(leadership, interval_seconds=interval_seconds)
        self._session = session
        self._stalled = stalled
        self._work = work
        self._writes = writes
        self._now = now
        self._queued_from: Place = START
        self._silent_from: Place = START

    async def work(self) -> float | None:
        """Look at the next tasks."""
        unanswered = await self._repeat_cancellations()
        queued = await self._stalled.queued(self._queued_from, self._old_enough(), MAX_TASKS_AT_ONCE)
        silent = await self._stalled.silent(self._silent_from, self._now(), MAX_TASKS_AT_ONCE)
        lost = await self._without_message(queued) + await self._without_message(silent)
        if unanswered or lost:
            await self._await_reports()
        if unanswered:
            await self._writes.ask(ExpireCancellations(tuple(unanswered)))
        if lost:
            _log.warning("reconciler.work_lost", tasks=len(lost))
            await self._writes.ask(Redispatch({task.id: task.dispatch for task in lost}))
        self._queued_from, self._silent_from = _behind(queued), _behind(silent)
        if lost:
            return 0
        is_more = self._queued_from != START or self._silent_from != START
        return min(NEXT_PAGE_SECONDS, self._interval_seconds) if is_more else None

    async def _repeat_cancellations(self) -> list[UUID]:
        """Tell processors again what to stop; return the tasks whose lease ran out over it."""
        unanswered = []
        for task in await self._stalled.cancelling(MAX_TASKS_AT_ONCE):
            if task.lease_until <= self._now():
                unanswered.append(task.id)
            else:
                self._work.stop_handler(task.id, task.attempt)
        return unanswered

    def _old_enough(self) -> datetime:
        # Those that were just queued are most likely where they belong.
        return self._now() - timedelta(seconds=self._interval_seconds)

    async def _without_message(self, tasks: list[StalledTask]) -> list[StalledTask]:
        by_subject = {subjects.work(task.queue, task.priority, task.kind, task.id): task for task in tasks}
        present = await subjects_with_messages(self._session, WORK_STREAM, list(by_subject))
        return [task for subject, task in by_subject.items() if subject not in present]

    async def _await_reports(self) -> None:
        """Return when every report that JetStream has by now is read.

        Raises:
            OverloadedError: They are not in time.
        """
        newest = (await stream_state(self._session, REPORTS_STREAM)).last_sequence
        clock = asyncio.get_running_loop().time
        deadline = clock() + REPORTS_TIMEOUT_SECONDS
        # What is acknowledged leaves the stream.
        while (oldest := await first_sequence(self._session, REPORTS_STREAM, subjects.REPORT_SUBJECTS)) is not None:
            if oldest > newest:
                return
            if clock() >= deadline or await is_set_within(self._stop_requested, REPORTS_LOOK_SECONDS):
                raise OverloadedError


def _behind(tasks: list[StalledTask]) -> Place:
    """Where to go on: behind a full page, else from the start."""
    return tasks[-1].place if len(tasks) == MAX_TASKS_AT_ONCE else START
