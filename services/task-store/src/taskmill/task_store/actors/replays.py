"""Tells spans of the log again, to a webhook or to a subject."""

import asyncio

import structlog

from taskmill.contracts import subjects
from taskmill.contracts.errors import TaskmillError
from taskmill.contracts.events import EVENT_CONTENT_TYPE, EventType
from taskmill.contracts.log import ReadLog
from taskmill.contracts.streams import POSITION_HEADER
from taskmill.contracts.webhooks import REPLAY_HEADER
from taskmill.runtime.failpoint import failpoint
from taskmill.runtime.leadership import Leadership
from taskmill.runtime.nats_session import NatsSession
from taskmill.task_store.actors.leader_duty import LeaderDuty
from taskmill.task_store.actors.webhook_deliveries import MAX_EVENTS_AT_ONCE, create_each, tellable
from taskmill.task_store.adapters.webhook_rows import WebhookRows
from taskmill.task_store.domain.webhooks import ReplayState, TellableEvent, delivery, wants
from taskmill.task_store.ports import LogReads, RequestWrites

_log = structlog.get_logger(__name__)

LOOK_INTERVAL_SECONDS = 1
"""How often to look for what another store began, and whether what was postponed can go on."""


class Replays(LeaderDuty):
    """Goes through the span of every replay that runs. They take turns, a part each.

    How far a replay is gets written after each part. A part that comes twice, because a store died in between, makes no
    delivery twice; on a subject it is published twice, as everything there may be.

    Args:
        session: What subjects are published with.
        rows: The replays.
        log: The log.
        writes: Where deliveries are created.
        leadership: Says whether this store leads.
        begun: Set by whoever begins a replay, so that it need not wait for the next look.
    """

    name = "replays"

    def __init__(
        self,
        session: NatsSession,
        rows: WebhookRows,
        log: LogReads,
        writes: RequestWrites,
        leadership: Leadership,
        *,
        begun: asyncio.Event,
    ) -> None:
        super().__init__(leadership, interval_seconds=LOOK_INTERVAL_SECONDS, woken=begun)
        self._session = session
        self._rows = rows
        self._log = log
        self._writes = writes

    async def work(self) -> float | None:
        """Tell the next part of each; go on at once if one of them got on and is not at its end."""
        replays = await self._rows.running_replays()
        return 0 if any([await self._carry_on(replay) for replay in replays]) else None

    async def _carry_on(self, replay: ReplayState) -> bool:
        wanted_types = [EventType(name) for name in replay.types]
        try:
            part = await self._log.read(
                ReadLog(after=replay.position, limit=MAX_EVENTS_AT_ONCE, types=wanted_types, kind=replay.kind)
            )
            events = [event for event in tellable(part) if event.position <= replay.until and wants(replay, event)]
            position = min(part.next_after, replay.until)
            refusal = None
            if replay.webhook_id is None:
                await self._publish(replay, events)
                told = len(events)
            else:
                webhook_id = replay.webhook_id
                wanted = [(it, delivery(webhook_id, it, replay.id)) for it in events if not it.is_of_delivery]
                told, missing_at, refusal = await create_each(self._writes, wanted)
                position = position if missing_at is None else missing_at - 1
            failpoint("replays.part_told")
            await self._rows.move_replay(replay, position, told=told)
        except TaskmillError as error:
            refusal = error
        if refusal is not None:
            _log.warning("replay.postponed", replay_id=str(replay.id), code=refusal.code)
            return False
        return position < replay.until

    async def _publish(self, replay: ReplayState, events: list[TellableEvent]) -> None:
        if not events or replay.name is None:
            return
        for event in events:
            headers = {
                REPLAY_HEADER: str(replay.id),
                POSITION_HEADER: str(event.position),
                "Content-Type": EVENT_CONTENT_TYPE,
            }
            self._session.publish(subjects.replay(replay.name), event.document.encode(), headers=headers)
        # Only what the server has read may count as told.
        await self._session.flush()
