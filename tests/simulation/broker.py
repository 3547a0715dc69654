"""A small model of NATS JetStream: what Taskmill relies on, and what it must not rely on."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from taskmill.contracts.errors import BusUnavailableError
from taskmill.runtime.pull import DeliveredMessage
from taskmill.task_store.domain.publication import UnpublishedEvent
from tests.simulation.scheduler import Life
from tests.simulation.world import ACK_WAIT_SECONDS, World


@dataclass(slots=True, eq=False)
class StoredMessage:
    """A message that waits to be acknowledged."""

    sequence: int
    subject: str
    message_id: str | None
    data: bytes
    deliveries: int = 0
    redelivered_at: float | None = None
    """When it is delivered again unless it is acknowledged; None: at once, or for the first time."""


@dataclass(slots=True, eq=False)
class _Pull:
    life: Life
    deliver: Callable[[DeliveredMessage], None]
    expires_at: float
    credit: int


class WorkQueue:
    """A stream with one consumer: messages stay until they are acknowledged, explicitly.

    As in JetStream, a message id is dropped that was seen before; an ack counts by the message's place in the stream
    alone, however old the delivery that it answers; and the count of deliveries starts anew with each message.

    Args:
        name: For the trace.
        world: The run.
        is_one_per_subject: Whether a new message takes the place of one on its subject.
    """

    def __init__(self, name: str, world: World, *, is_one_per_subject: bool) -> None:
        self.life = Life()
        self.last_sequence = 0
        self._name = name
        self._world = world
        self._is_one_per_subject = is_one_per_subject
        self._messages: dict[int, StoredMessage] = {}
        self._ids: set[str] = set()
        self._pulls: list[_Pull] = []

    @property
    def first_sequence(self) -> int:
        """The place of the oldest message; behind the last one when there is none."""
        return next(iter(self._messages), self.last_sequence + 1)

    @property
    def subjects(self) -> set[str]:
        """The subjects that hold a message."""
        return {message.subject for message in self._messages.values()}

    def publish(self, subject: str, data: bytes, message_id: str | None = None) -> None:
        """Store a message, unless its id, if it has one, was seen before."""
        if message_id in self._ids:
            self._world.signs["dropped duplicates"] += 1
            return
        if self._is_one_per_subject:
            self.purge(subject)
        self.last_sequence += 1
        if message_id is not None:
            self._ids.add(message_id)
        self._messages[self.last_sequence] = StoredMessage(self.last_sequence, subject, message_id, data)
        self._serve()

    def purge(self, subject_end: str) -> None:
        """Remove the messages whose subject ends so."""
        for message in [held for held in self._messages.values() if held.subject.endswith(subject_end)]:
            del self._messages[message.sequence]

    def pull(self, life: Life, deliver: Callable[[DeliveredMessage], None], *, credit: int, seconds: float) -> None:
        """Deliver so many messages to a process, as they come, but none after so many seconds."""
        self._pulls.append(_Pull(life, deliver, self._world.scheduler.now + seconds, credit))
        self._serve()

    def ack(self, reply: str) -> None:
        """Forget a message that is delivered: the answer to any delivery of it counts, also to one that is given up."""
        message = self._messages.get(_sequence(reply))
        if message is not None and message.deliveries:
            del self._messages[message.sequence]

    def nak(self, reply: str, seconds: float = 0.0) -> None:
        """Deliver a message again, at once or later."""
        message = self._messages.get(_sequence(reply))
        if message is not None and message.redelivered_at is not None:
            self._redeliver_at(message, self._world.scheduler.now + seconds)

    def in_progress(self, reply: str) -> None:
        """Wait longer for the ack of a message."""
        message = self._messages.get(_sequence(reply))
        if message is not None and message.redelivered_at is not None:
            message.redelivered_at = self._world.scheduler.now + ACK_WAIT_SECONDS

    def restart(self, forgotten_deliveries: int) -> None:
        """Come back after a kill: connections are gone, and the last counts of deliveries may be forgotten."""
        self.life = Life()
        self._pulls.clear()
        self._ids = {message.message_id for message in self._messages.values() if message.message_id is not None}
        for message in self._messages.values():
            message.deliveries = max(0, message.deliveries - forgotten_deliveries)
            if message.redelivered_at is not None:
                self._redeliver_at(message, message.redelivered_at)

    def lose(self, count: int | None) -> None:
        """Lose the newest messages, so many; None: all, and the numbering begins anew."""
        if count is None:
            self._messages.clear()
            self.last_sequence = 0
        elif count:
            for sequence in list(self._messages)[-count:]:
                del self._messages[sequence]

    def _serve(self) -> None:
        now = self._world.scheduler.now
        waiting = [message for message in self._messages.values() if message.redelivered_at is None]
        if not waiting:
            return
        self._pulls = [pull for pull in self._pulls if pull.expires_at > now and not pull.life.is_over]
        for message in waiting:
            if not self._pulls:
                return
            pull = self._world.random.choice(self._pulls)
            pull.credit -= 1
            if not pull.credit:
                self._pulls.remove(pull)
            message.deliveries += 1
            self._deliver(pull, message)
            self._redeliver_at(message, now + ACK_WAIT_SECONDS)

    def _deliver(self, pull: _Pull, message: StoredMessage) -> None:
        delivery = DeliveredMessage(
            subject=message.subject,
            body=message.data,
            reply=f"{self._name}.{message.sequence}.{message.deliveries}",
            delivery=message.deliveries,
            stream_sequence=message.sequence,
            pending=0,
            headers=None,
        )
        if not self._world.is_lost():
            self._world.scheduler.after(self._world.latency(), pull.life, lambda: pull.deliver(delivery))

    def _redeliver_at(self, message: StoredMessage, at: float) -> None:
        message.redelivered_at = at
        self._world.scheduler.after(
            max(0.0, at - self._world.scheduler.now), self.life, lambda: self._redeliver(message)
        )

    def _redeliver(self, message: StoredMessage) -> None:
        if message.redelivered_at is None or self._messages.get(message.sequence) is not message:
            return
        if message.redelivered_at > self._world.scheduler.now:
            self._redeliver_at(message, message.redelivered_at)
        else:
            message.redelivered_at = None
            self._serve()


def _sequence(reply: str) -> int:
    return int(reply.split(".")[1])


class EventStream:
    """TASK_EVENTS: it keeps what is published, in order.

    Args:
        world: The run.
        on_stored: Called with every event that is stored: a subscriber that misses nothing.
    """

    def __init__(self, world: World, on_stored: Callable[[UnpublishedEvent], None]) -> None:
        self.life = Life()
        self.created_at = "0"
        self.events: list[UnpublishedEvent] = []
        self._world = world
        self._on_stored = on_stored

    @property
    def last_sequence(self) -> int:
        """Where the newest event is."""
        return len(self.events)

    def publish_all(self, events: Sequence[UnpublishedEvent], last_sequence: int) -> int:
        """Store events in their order; return where the newest is.

        Raises:
            BusUnavailableError: The stream does not end where it is said to.
        """
        if last_sequence != self.last_sequence:
            self._world.signs["refused events"] += 1
            raise BusUnavailableError
        for event in events:
            self.events.append(event)
            self._on_stored(event)
        return self.last_sequence

    def restart(self) -> None:
        """Come back after a kill."""
        self.life = Life()

    def lose(self, count: int | None) -> None:
        """Lose the newest events, so many; None: all, in a stream that is made anew."""
        if count is None:
            self.events.clear()
            self.created_at = str(int(self.created_at) + 1)
        elif count:
            del self.events[-count:]


class Broker:
    """A nats-server with the three streams.

    Args:
        world: The run.
        on_event: Called with every event that TASK_EVENTS stores.
    """

    def __init__(self, world: World, on_event: Callable[[UnpublishedEvent], None]) -> None:
        self.work = WorkQueue("work", world, is_one_per_subject=True)
        self.reports = WorkQueue("reports", world, is_one_per_subject=False)
        self.events = EventStream(world, on_event)

    def stop(self) -> None:
        """Be killed: nothing that is under way arrives."""
        for stream in self._streams():
            stream.life.is_over = True

    def start(self, *, forgotten_deliveries: int = 0, lost_messages: int | None = 0) -> None:
        """Come back, perhaps without what was written last (see `WorkQueue.restart` and `lose`)."""
        for stream in self._streams():
            stream.lose(lost_messages)
        self.events.restart()
        self.work.restart(forgotten_deliveries)
        self.reports.restart(forgotten_deliveries)

    def _streams(self) -> Iterable[WorkQueue | EventStream]:
        return self.work, self.reports, self.events
