"""Has every event delivered that a webhook wants."""

from collections.abc import Sequence
from typing import NamedTuple

from taskmill.contracts.errors import TaskExistsError, TaskmillError
from taskmill.contracts.events import EventType
from taskmill.contracts.log import ReadLog
from taskmill.contracts.requests import CreateTask
from taskmill.runtime.failpoint import failpoint
from taskmill.runtime.leadership import Leadership
from taskmill.runtime.nats_session import NatsSession
from taskmill.task_store.actors.commit_duty import CommitBell, CommitDuty
from taskmill.task_store.adapters.webhook_rows import WebhookRows
from taskmill.task_store.domain.webhooks import TellableEvent, WebhookState, deliveries
from taskmill.task_store.ports import LogPart, LogReads, RequestWrites

MAX_EVENTS_AT_ONCE = 200
MAX_TASKS_AT_ONCE = 256
"""As many as one batch of the mailbox takes; with more, requests would wait behind deliveries."""


class WebhookDeliveries(CommitDuty):
    """Reads the log behind its cursor, and has a task made for each event and each webhook that wants it.

    The cursor moves only after the tasks are committed, and a task's id follows from webhook and event: what comes
    twice finds that it exists. So each has one, wherever a store dies. When the queue is full, or something is away,
    the cursor waits, and nothing is lost.

    Args:
        session: Where a store that does not lead says that it has committed.
        rows: The webhooks and the cursor.
        log: The log.
        writes: Where tasks are created.
        leadership: Says whether this store leads.
        bell: Rung after each commit of this store.
    """

    name = "webhook-deliveries"

    def __init__(
        self,
        session: NatsSession,
        rows: WebhookRows,
        log: LogReads,
        writes: RequestWrites,
        leadership: Leadership,
        *,
        bell: CommitBell,
    ) -> None:
        super().__init__(session, leadership, bell)
        self._rows = rows
        self._log = log
        self._writes = writes

    async def work(self) -> float | None:
        """Have the next part of the log delivered; go on at once if there is more."""
        standing = await self._rows.standing()
        self._bell.is_heard = standing is not None
        if standing is None:
            return None
        webhooks = standing.webhooks
        part = await self._log.read(
            ReadLog(after=standing.position, limit=MAX_EVENTS_AT_ONCE, types=_wanted_types(webhooks))
        )
        created = await create_each(self._writes, deliveries(webhooks, tellable(part)))
        failpoint("webhooks.tasks_created")
        position = part.next_after if created.missing_at is None else created.missing_at - 1
        is_behind = position > standing.position
        if is_behind:
            is_behind = not await self._rows.move(position, webhooks)
        if created.refusal is not None:
            raise created.refusal
        return 0 if is_behind or part.next_after < part.newest else None


class Created(NamedTuple):
    """What became of tasks that were to be created."""

    number: int
    """How many there are now, from the first on without a gap."""
    missing_at: int | None
    """The position of the event of the first that there is not."""
    refusal: TaskmillError | None
    """Why there is not."""


async def create_each(writes: RequestWrites, wanted: Sequence[tuple[TellableEvent, CreateTask]]) -> Created:
    """Create tasks, in this order, until one is refused; what exists already counts as created."""
    count = 0
    for start in range(0, len(wanted), MAX_TASKS_AT_ONCE):
        batch = wanted[start : start + MAX_TASKS_AT_ONCE]
        answers = await writes.ask_each([task for _, task in batch])
        for (event, _), answer in zip(batch, answers, strict=True):
            if isinstance(answer, TaskmillError) and not isinstance(answer, TaskExistsError):
                return Created(count, event.position, answer)
            count += 1
    return Created(count, None, None)


def tellable(part: LogPart) -> list[TellableEvent]:
    """The events of a part of the log."""
    return [TellableEvent(event.position, event.type, event.kind, event.document) for event in part.events]


def _wanted_types(webhooks: Sequence[WebhookState]) -> list[EventType]:
    """The types that any webhook wants; empty: all."""
    if not all(webhook.types for webhook in webhooks):
        return []
    return [EventType(name) for name in sorted({name for webhook in webhooks for name in webhook.types})]
