"""The relay of one store: the real messages, and the order of steps of `taskmill.task_store.actors.relay`."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

import orjson

from taskmill.contracts.errors import BusUnavailableError, UnavailableError
from taskmill.contracts.events import EventType
from taskmill.contracts.streams import MESSAGE_ID_HEADER
from taskmill.task_store.adapters.relay_log import RelayCursor
from taskmill.task_store.adapters.work_stream import _message as work_message
from taskmill.task_store.adapters.work_stream import _stops_execution as stops_execution
from taskmill.task_store.adapters.work_stream import _wanted_work as wanted_work
from taskmill.task_store.domain.publication import CommittedEvents, LogSlice, UnpublishedEvent
from tests.simulation.broker import Broker
from tests.simulation.database import Database
from tests.simulation.processor import Processor
from tests.simulation.scheduler import Life, Steps
from tests.simulation.world import LEADER_SECONDS, World

POLL_SECONDS = 2.0
MAX_EVENTS_AT_ONCE = 20
MAX_CHARACTERS_AT_ONCE = 1_000_000
MAX_NEW_EVENTS_DURING_REPAIR = 5
KEPT_FOR = timedelta(days=7)


class Leadership:
    """Whether a store leads, as far as it knows.

    Args:
        owner: The store.
        world: The run.
        database: Where the lease is.
        life: The store's.
    """

    def __init__(self, owner: str, world: World, database: Database, life: Life) -> None:
        self.owner = owner
        self._world = world
        self._database = database
        self._held_until = 0.0
        world.scheduler.spawn(life, self._run())

    @property
    def is_leader(self) -> bool:
        """True while the lease is held for certain."""
        return self._world.scheduler.now < self._held_until

    def _run(self) -> Steps[None]:
        while True:
            asked_at = self._world.scheduler.now
            try:
                yield from self._database.round_trip()
                is_held = self._database.acquire(self.owner, LEADER_SECONDS)
                self._held_until = asked_at + LEADER_SECONDS if is_held else 0.0
            except UnavailableError:
                pass  # the lease, if any, is good until it runs out
            yield LEADER_SECONDS / 3


class Relay:
    """Publishes the log and the work that it asks for, while it leads.

    Args:
        world: The run.
        database: The log and the cursor.
        broker: The streams.
        life: The store's.
        leadership: Says whether this store leads.
        processors: Who hears that a handler is to stop.
    """

    def __init__(
        self,
        world: World,
        database: Database,
        broker: Broker,
        life: Life,
        *,
        leadership: Leadership,
        processors: Sequence[Processor],
    ) -> None:
        self._world = world
        self._database = database
        self._broker = broker
        self._leadership = leadership
        self._processors = processors
        self._committed = CommittedEvents()
        self._cursor: RelayCursor | None = None
        self._saved: RelayCursor | None = None
        self._is_stream_checked = False
        self._activity = world.scheduler.spawn(life, self._run())

    def wake(self, events: Sequence[UnpublishedEvent] = ()) -> None:
        """Say that events were committed: here, or in another store."""
        if self._leadership.is_leader:
            self._committed.add(events)
            self._activity.wake()
        else:
            self._committed.clear()

    def doubt_stream(self) -> None:
        """Say that the connection was lost, and is back."""
        self._is_stream_checked = False
        self._activity.wake()

    def _run(self) -> Steps[None]:
        while True:
            try:
                has_more = yield from self._publish_next()
                if not has_more:
                    yield from self._save_cursor()
            except UnavailableError:
                self._is_stream_checked = False
                yield 0.2
                continue
            if not has_more:
                asked_at = self._world.scheduler.now
                yield POLL_SECONDS
                if self._world.scheduler.now >= asked_at + POLL_SECONDS:
                    self._is_stream_checked = False

    def _publish_next(self) -> Steps[bool]:
        if not self._leadership.is_leader:
            self._cursor = self._saved = None
            return False
        if self._cursor is None:
            yield from self._database.round_trip()
            self._cursor = self._saved = self._database.read_cursor(self._leadership.owner)
            self._is_stream_checked = False
        if self._cursor is None:
            return False
        cursor = self._cursor
        if not self._is_stream_checked:
            cursor = yield from self._check_stream(cursor)
        if cursor.position < cursor.work_position:
            return (yield from self._publish_again(cursor))
        return (yield from self._publish_new(cursor))

    def _publish_new(self, cursor: RelayCursor) -> Steps[bool]:
        events, has_more = yield from self._unpublished(cursor.position)
        if not events:
            return False
        yield from self._follow(events)
        sequence = yield from self._publish_events(cursor, events)
        position = events[-1].position
        self._world.note(self._leadership.owner, "published to position", position, "sequence", sequence)
        self._cursor = cursor._replace(position=position, work_position=position, stream_sequence=sequence)
        return has_more

    def _unpublished(self, position: int) -> Steps[LogSlice]:
        known = self._committed.behind(position, limit=MAX_EVENTS_AT_ONCE, max_characters=MAX_CHARACTERS_AT_ONCE)
        if known is not None:
            self._world.signs["not read again"] += 1
            return known
        yield from self._database.round_trip()
        events = self._database.unpublished(position, MAX_EVENTS_AT_ONCE)
        return LogSlice(events, has_more=len(events) == MAX_EVENTS_AT_ONCE)

    def _publish_again(self, cursor: RelayCursor) -> Steps[bool]:
        yield from self._database.round_trip()
        new = self._database.unpublished(cursor.work_position, MAX_NEW_EVENTS_DURING_REPAIR)
        if new:
            yield from self._follow(new)
            self._cursor = cursor = cursor._replace(work_position=new[-1].position)
        yield from self._database.round_trip()
        lost = self._database.unpublished(cursor.position, MAX_EVENTS_AT_ONCE)
        lost = [event for event in lost if event.position <= cursor.work_position]
        sequence = (yield from self._publish_events(cursor, lost)) if lost else cursor.stream_sequence
        position = lost[-1].position if lost else cursor.work_position
        self._cursor = cursor._replace(position=position, stream_sequence=sequence)
        return True

    def _follow(self, events: Sequence[UnpublishedEvent]) -> Steps[None]:
        """Withdraw the work that is in vain, and publish what waits."""
        work = self._broker.work
        ended = [event for event in events if event.must_stop and stops_execution(event)]
        for event in ended:
            if event.type is not EventType.CANCEL_REQUESTED:
                yield from self._world.request(work, partial(work.purge, f".{event.task_id}"))
        for event in ended:
            attempt = orjson.loads(event.document)["data"]["attempt"]
            stop_handler(self._world, self._processors, event.task_id, attempt)
        messages = [work_message(event, wanted) for event, wanted in wanted_work(events)]
        for message in messages:
            message_id = message.headers[MESSAGE_ID_HEADER]
            yield from self._world.request(work, partial(work.publish, message.subject, message.body, message_id))

    def _publish_events(self, cursor: RelayCursor, events: Sequence[UnpublishedEvent]) -> Steps[int]:
        stream = self._broker.events
        sequence = cursor.stream_sequence or 0
        # In two parts, because a batch that fails may have been stored in part.
        middle = self._world.random.randrange(len(events))
        for part in filter(None, (events[:middle], events[middle:])):
            publish = partial(stream.publish_all, part, sequence)
            sequence = yield from self._world.request(stream, publish)
        return sequence

    def _check_stream(self, cursor: RelayCursor) -> Steps[RelayCursor]:
        """Go to where the stream ends: on, if it has more than is known, or back, if it has less or is another one."""
        stream = self._broker.events
        created_at, last_sequence = yield from self._world.request(
            stream, lambda: (stream.created_at, stream.last_sequence)
        )
        is_known = cursor.stream_created == created_at
        if is_known and last_sequence == cursor.stream_sequence:
            self._is_stream_checked = True
            return cursor
        is_first_look = cursor.stream_created is None and (last_sequence > 0 or cursor.position == 0)
        is_intact = is_first_look or (is_known and last_sequence >= (cursor.stream_sequence or 0))
        newest = yield from self._world.request(
            stream, lambda: (stream.events[-1].position, stream.last_sequence) if stream.events else None
        )
        if is_intact and newest is not None and newest[1] < (cursor.stream_sequence or 0):
            raise BusUnavailableError
        if newest is not None:
            position, last_sequence = max(newest[0], cursor.position if is_intact else 0), newest[1]
            self._world.signs["found events"] += position > cursor.position
        elif is_intact:
            position = cursor.position
        else:
            yield from self._database.round_trip()
            position = min(self._database.position_before(self._world.scheduler.utc() - KEPT_FOR), cursor.position)
        checked = cursor._replace(
            position=position,
            work_position=max(position, cursor.work_position),
            stream_created=created_at,
            stream_sequence=last_sequence,
        )
        self._cursor = checked
        self._is_stream_checked = True
        self._world.note(self._leadership.owner, "checked stream", created_at, last_sequence, "cursor", *cursor)
        if not is_intact:
            self._world.signs["repaired events"] += 1
            yield from self._save_cursor()
        return checked

    def _save_cursor(self) -> Steps[None]:
        if self._cursor is None or self._saved is None or self._cursor == self._saved:
            return
        yield from self._database.round_trip()
        is_leader = self._database.save_cursor(self._leadership.owner, self._saved, self._cursor)
        self._cursor = self._saved = self._cursor if is_leader else None


def stop_handler(world: World, processors: Sequence[Processor], task_id: UUID, attempt: int) -> None:
    """Tell every processor to stop an attempt, if it executes it. It may not hear it."""
    for processor in processors:
        world.send(processor, partial(processor.cancel, task_id, attempt))
