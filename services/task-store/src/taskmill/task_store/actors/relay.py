"""Publishes the event log, and the work that it asks for."""

import asyncio
from collections.abc import Callable, Sequence

import orjson
import structlog

from taskmill.contracts import subjects
from taskmill.contracts.errors import BusUnavailableError, UnavailableError
from taskmill.contracts.events import EVENT_CONTENT_TYPE
from taskmill.contracts.streams import MESSAGE_ID_HEADER, POSITION_HEADER
from taskmill.runtime.actor import Actor
from taskmill.runtime.backoff import Backoff
from taskmill.runtime.jetstream_api import JetStreamError
from taskmill.runtime.leadership import Leadership
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.outbound import OutboundMessage
from taskmill.runtime.publisher import Publisher
from taskmill.task_store.adapters.relay_log import RelayLog, UnpublishedEvent, WaitingWork
from taskmill.task_store.adapters.work_consumers import WorkConsumers

_log = structlog.get_logger(__name__)

MAX_EVENTS_AT_ONCE = 1_000
MAX_BYTES_AT_ONCE = 8 * 1024 * 1024

POLL_INTERVAL_SECONDS = 1
"""A commit wakes the relay; this is for the wake-up that got lost."""

SAVE_INTERVAL_SECONDS = 0.2
"""How often the cursor is saved while there is always more: what lies behind it is published again after a crash."""


class Relay(Actor):
    """The one publisher of events and of work, in the store that leads.

    Everything is published at least once, in the order of the log, and dropped by JetStream if it was there already:
    the cursor moves only after JetStream has confirmed what stands before it.

    Args:
        session: The connection.
        log: The event log and the cursor.
        leadership: Says whether this store leads.
        owner: This store, as the cursor names it.
        publisher: Publishes to streams.
        consumers: Makes the consumers of a queue exist before its work is published.
    """

    name = "relay"

    def __init__(
        self,
        session: NatsSession,
        *,
        log: RelayLog,
        leadership: Leadership,
        owner: str,
        publisher: Publisher,
        consumers: WorkConsumers,
    ) -> None:
        self._session = session
        self._log = log
        self._leadership = leadership
        self._owner = owner
        self._publisher = publisher
        self._consumers = consumers
        self._position: int | None = None
        self._saved_position: int | None = None
        self._saved_at = 0.0
        self._woken = asyncio.Event()
        self._stop_requested = asyncio.Event()

    def wake(self) -> None:
        """Say that events were committed: to this relay, or to that of the store that leads."""
        if self._leadership.is_leader:
            self._woken.set()
            return
        try:
            self._session.publish(subjects.RELAY_WAKE_SUBJECT, b"")
        except BusUnavailableError:
            # The leader looks by itself before long.
            return

    def stop(self) -> None:
        """Begin the drain: publish what is committed, then end."""
        self._stop_requested.set()
        self._woken.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Publish whenever leading, until stopped and nothing is left."""
        self._position = self._saved_position = None
        subscription = self._session.subscribe(subjects.RELAY_WAKE_SUBJECT, lambda *_: self._woken.set())
        started()
        try:
            await self._publish_until_stopped()
        finally:
            self._session.unsubscribe(subscription)

    async def _publish_until_stopped(self) -> None:
        backoff = Backoff(base_seconds=0.1, cap_seconds=2)
        while True:
            is_stopping = self._stop_requested.is_set()
            self._woken.clear()
            try:
                has_more = await self._publish_next()
                if not (has_more or self._woken.is_set()) or self._is_save_due():
                    await self._save_position()
                backoff.reset()
            except (UnavailableError, JetStreamError) as error:
                _log.warning("relay.postponed", error=str(error))
                if is_stopping:
                    return
                await asyncio.sleep(backoff.next())
                continue
            if has_more:
                continue
            if is_stopping:
                return
            await self._wait()

    async def _wait(self) -> None:
        if self._leadership.is_leader:
            try:
                async with asyncio.timeout(POLL_INTERVAL_SECONDS):
                    await self._woken.wait()
            except TimeoutError:
                return
        else:
            ends = [
                asyncio.create_task(self._leadership.wait_until_leader()),
                asyncio.create_task(self._stop_requested.wait()),
            ]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in ends:
                end.cancel()

    async def _publish_next(self) -> bool:
        """Publish what comes next in the log; return whether more may follow."""
        if not self._leadership.is_leader:
            self._position = self._saved_position = None
            return False
        if self._position is None:
            self._position = self._saved_position = await self._log.position(self._owner)
            if self._position is None:
                return False
        events, has_more = await self._log.unpublished(
            self._position, limit=MAX_EVENTS_AT_ONCE, max_bytes=MAX_BYTES_AT_ONCE
        )
        if events:
            await self._publish_work(events)
            await self._publisher.publish_all([_event_message(event) for event in events])
            self._position = events[-1].position
        return has_more

    def _is_save_due(self) -> bool:
        return asyncio.get_running_loop().time() >= self._saved_at + SAVE_INTERVAL_SECONDS

    async def _save_position(self) -> None:
        """Move the cursor to where JetStream has confirmed everything."""
        if self._position is None or self._position == self._saved_position:
            return
        is_leader = await self._log.advance(self._owner, self._position)
        self._position = self._saved_position = self._position if is_leader else None
        self._saved_at = asyncio.get_running_loop().time()

    async def _publish_work(self, events: Sequence[UnpublishedEvent]) -> None:
        waiting = [(event, event.work) for event in events if event.work is not None]
        if not waiting:
            return
        for queue in {work.queue for _, work in waiting}:
            await self._consumers.ensure(queue)
        await self._publisher.publish_all([_work_message(event, work) for event, work in waiting])


def _event_message(event: UnpublishedEvent) -> OutboundMessage:
    return OutboundMessage(
        subject=subjects.event(event.type, event.kind, event.task_id),
        payload=event.document.encode(),
        headers={
            MESSAGE_ID_HEADER: f"{event.task_id}.{event.version}",
            POSITION_HEADER: str(event.position),
            "Content-Type": EVENT_CONTENT_TYPE,
        },
    )


def _work_message(event: UnpublishedEvent, work: WaitingWork) -> OutboundMessage:
    """The `WorkItem` that an event asks for; a test reads it with its model."""
    task_id = event.task_id
    item = {
        "task_id": str(task_id),
        "run": work.run,
        "attempt": work.attempt,
        "dispatch": work.dispatch,
        "title": work.title,
        "kind": event.kind,
        "queue": work.queue,
        "priority": work.priority,
        "labels": orjson.Fragment(work.labels),
        "payload": orjson.Fragment(work.payload),
    }
    return OutboundMessage(
        subject=subjects.work(work.queue, work.priority, event.kind, task_id),
        payload=orjson.dumps(item),
        # The dispatch makes it another message than the lost one that it replaces, which JetStream may remember.
        headers={MESSAGE_ID_HEADER: f"{task_id}:{work.attempt}:{work.dispatch}"},
    )
