"""Publishes the event log, and the work that it asks for."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog

from taskmill.contracts import subjects
from taskmill.contracts.errors import BusUnavailableError, UnavailableError
from taskmill.runtime.actor import Actor, is_set_within, unless_set
from taskmill.runtime.backoff import Backoff
from taskmill.runtime.clock import Clock
from taskmill.runtime.errors import JetStreamError
from taskmill.runtime.failpoint import failpoint
from taskmill.runtime.leadership import Leadership
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.stream_state import StreamState
from taskmill.task_store.actors.turns import LogListener
from taskmill.task_store.adapters.event_stream import EventStream
from taskmill.task_store.adapters.relay_log import RelayCursor, RelayLog
from taskmill.task_store.adapters.work_stream import WorkStream
from taskmill.task_store.domain.publication import CommittedEvents, LogSlice, UnpublishedEvent

_log = structlog.get_logger(__name__)

MAX_EVENTS_AT_ONCE = 1_000
MAX_BYTES_AT_ONCE = 8 * 1024 * 1024

MAX_NEW_EVENTS_DURING_REPAIR = 500
"""Fewer than are published again at once, so that the repair comes to its end however busy the log is."""

POLL_INTERVAL_SECONDS = 1
"""A commit wakes the relay; this is for the wake-up that got lost, and to see whether the stream is still there."""

SAVE_INTERVAL_SECONDS = 0.2
"""How long the cursor may go unsaved. After a crash it is found in the stream how far the events are; to save each step
at once would cost a commit beside each commit of the tasks."""


class Relay(Actor):
    """The one publisher of events and of work, in the store that leads.

    The cursor moves only after JetStream has confirmed what stands before it. Events go in the order of the log, each
    into its one place in the stream; work is published at least once, and dropped by JetStream if it was there already.

    When the stream of the events has more than is known of it, as after a publication that failed halfway, the relay
    goes on behind that. When it is another one, or has lost its end, the events go back to what it has, and are
    published from there again. The work does not: it has a position of its own.

    Args:
        session: The connection.
        log: The event log and the cursor.
        leadership: Says whether this store leads.
        owner: This store, as the cursor names it.
        events: Where events are published.
        work: Where work is published.
        kept_for: How long the stream keeps an event: older ones are not published again.
        now: The clock.
        listener: Hears all that is published for the first time.
    """

    name = "relay"

    def __init__(
        self,
        session: NatsSession,
        *,
        log: RelayLog,
        leadership: Leadership,
        owner: str,
        events: EventStream,
        work: WorkStream,
        kept_for: timedelta,
        now: Clock,
        listener: LogListener,
    ) -> None:
        self._session = session
        self._log = log
        self._leadership = leadership
        self._owner = owner
        self._events = events
        self._work = work
        self._kept_for = kept_for
        self._now = now
        self._listener = listener
        self._committed = CommittedEvents()
        self._cursor: RelayCursor | None = None
        self._saved: RelayCursor | None = None
        self._unsaved_since: float | None = None
        self._is_stream_checked = False
        self._woken = asyncio.Event()
        session.on_reconnect(self._doubt_stream)

    def wake(self, events: Sequence[UnpublishedEvent] = ()) -> None:
        """Say that events were committed: to this relay, or to that of the store that leads.

        Args:
            events: These, if they are known, so that they need not be read.
        """
        if self._leadership.is_leader:
            self._committed.add(events)
            self._woken.set()
            return
        self._committed.clear()
        try:
            self._session.publish(subjects.RELAY_WAKE_SUBJECT, b"")
        except BusUnavailableError:
            # The leader looks by itself before long.
            return

    def stop(self) -> None:
        """Begin the drain: publish what is committed, then end."""
        super().stop()
        self._woken.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Publish whenever leading, until stopped and nothing is left."""
        self._cursor = self._saved = self._unsaved_since = None
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
                await self._save_when_due(has_more=has_more, is_stopping=is_stopping)
                backoff.reset()
            except (UnavailableError, JetStreamError) as error:
                _log.warning("relay.postponed", error=str(error))
                self._is_stream_checked = False
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
            if not await is_set_within(self._woken, POLL_INTERVAL_SECONDS):
                self._is_stream_checked = False
        else:
            await unless_set(self._stop_requested, self._leadership.wait_until_leader())

    async def _publish_next(self) -> bool:
        """Publish what comes next in the log; return whether more may follow."""
        if not self._leadership.is_leader:
            self._cursor = self._saved = None
            return False
        cursor = await self._checked_cursor()
        if cursor is None:
            return False
        if cursor.position < cursor.work_position:
            return await self._publish_again(cursor)
        return await self._publish_new(cursor)

    async def _checked_cursor(self) -> RelayCursor | None:
        """How far the relay is, which holds for the stream as it is now; None: somebody else leads after all."""
        if self._cursor is None:
            # They may be of a time when this store led: what is behind the cursor is read.
            self._committed.clear()
            self._cursor = self._saved = await self._log.cursor(self._owner)
            self._is_stream_checked = False
            if self._cursor is not None:
                self._listener.begin()
        if self._cursor is not None and not self._is_stream_checked:
            await self._check_stream(self._cursor)
        return self._cursor

    async def _publish_new(self, cursor: RelayCursor) -> bool:
        events, has_more = await self._unpublished(cursor.position)
        if events:
            await self._follow(events)
            sequence = await self._publish_events(cursor, events)
            position = events[-1].position
            self._cursor = cursor._replace(position=position, work_position=position, stream_sequence=sequence)
        return has_more

    async def _unpublished(self, position: int) -> LogSlice:
        known = self._committed.behind(position, limit=MAX_EVENTS_AT_ONCE, max_characters=MAX_BYTES_AT_ONCE)
        if known is not None:
            return known
        return await self._log.unpublished(position, limit=MAX_EVENTS_AT_ONCE, max_bytes=MAX_BYTES_AT_ONCE)

    async def _publish_again(self, cursor: RelayCursor) -> bool:
        """Publish lost events again, and meanwhile the work of new ones, whose turn comes later."""
        new, _ = await self._log.unpublished(
            cursor.work_position, limit=MAX_NEW_EVENTS_DURING_REPAIR, max_bytes=MAX_BYTES_AT_ONCE
        )
        if new:
            await self._follow(new)
            self._cursor = cursor = cursor._replace(work_position=new[-1].position)
        lost, _ = await self._log.unpublished(cursor.position, limit=MAX_EVENTS_AT_ONCE, max_bytes=MAX_BYTES_AT_ONCE)
        lost = [event for event in lost if event.position <= cursor.work_position]
        sequence = await self._publish_events(cursor, lost) if lost else cursor.stream_sequence
        position = lost[-1].position if lost else cursor.work_position
        self._cursor = cursor._replace(position=position, stream_sequence=sequence)
        if position == cursor.work_position:
            _log.info("relay.events_repaired", position=position)
        return True

    async def _follow(self, events: Sequence[UnpublishedEvent]) -> None:
        self._listener.hear(events)
        await self._work.follow(events)
        failpoint("relay.work_published")

    async def _publish_events(self, cursor: RelayCursor, events: Sequence[UnpublishedEvent]) -> int:
        sequence = await self._events.publish(
            events, previous_position=cursor.position, last_sequence=cursor.stream_sequence or 0
        )
        failpoint("relay.events_published")
        return sequence

    def _doubt_stream(self) -> None:
        self._is_stream_checked = False
        self._woken.set()

    async def _check_stream(self, cursor: RelayCursor) -> None:
        """Go to where the stream ends: on, if it has more than is known, or back, if it has less or is another one."""
        stream = await self._events.state()
        is_known = cursor.stream_created == stream.created_at
        if is_known and stream.last_sequence == cursor.stream_sequence:
            self._is_stream_checked = True
            return
        # A release before this one did not write down which stream it published to.
        is_first_look = cursor.stream_created is None and (stream.last_sequence > 0 or cursor.position == 0)
        is_intact = is_first_look or (is_known and stream.last_sequence >= (cursor.stream_sequence or 0))
        position, sequence = await self._end_of_stream(cursor, stream, is_intact=is_intact)
        self._cursor = cursor._replace(
            position=position,
            # What stands in the stream was published after its work, by whichever store.
            work_position=max(position, cursor.work_position),
            stream_created=stream.created_at,
            stream_sequence=sequence,
        )
        self._is_stream_checked = True
        if not is_intact:
            _log.error("relay.events_lost", position=cursor.position, published_again_from=position)
            await self._save_cursor()

    async def _end_of_stream(self, cursor: RelayCursor, stream: StreamState, *, is_intact: bool) -> tuple[int, int]:
        """Up to where in the log the stream has events, which is filled in the order of the log; and where it ends.

        Both are of one message: the end alone might be that of an event which is published meanwhile.

        Raises:
            BusUnavailableError: The stream has lost its end since it was looked at, or who answers is behind.
        """
        newest = await self._events.newest()
        if is_intact and newest is not None and newest.sequence < (cursor.stream_sequence or 0):
            # To go on behind that, from where the relay was, would leave out what is lost.
            raise BusUnavailableError
        if newest is not None and await self._log.document(newest.position) == newest.document.decode(errors="replace"):
            return max(newest.position, cursor.position if is_intact else 0), newest.sequence
        if is_intact:
            return cursor.position, stream.last_sequence
        position = await self._log.position_before(self._now() - self._kept_for)
        return min(position, cursor.position), stream.last_sequence

    async def _save_when_due(self, *, has_more: bool, is_stopping: bool) -> None:
        """Save the cursor when it is unsaved for long enough, or when nothing more is published before it will be."""
        if self._cursor == self._saved:
            return
        now = asyncio.get_running_loop().time()
        if self._unsaved_since is None:
            self._unsaved_since = now
        remaining = self._unsaved_since + SAVE_INTERVAL_SECONDS - now
        if remaining > 0 and (has_more or (not is_stopping and await is_set_within(self._woken, remaining))):
            return
        await self._save_cursor()

    async def _save_cursor(self) -> None:
        """Write down how far JetStream has confirmed everything."""
        if self._cursor is None or self._saved is None or self._cursor == self._saved:
            return
        is_leader = await self._log.save_cursor(self._owner, self._saved, self._cursor)
        self._cursor = self._saved = self._cursor if is_leader else None
        self._unsaved_since = None
