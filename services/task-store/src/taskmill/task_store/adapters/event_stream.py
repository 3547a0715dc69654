"""TASK_EVENTS, as its one publisher sees it."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from taskmill.contracts import subjects
from taskmill.contracts.events import EVENT_CONTENT_TYPE
from taskmill.contracts.streams import (
    EVENTS_STREAM,
    EXPECTED_LAST_SEQUENCE_HEADER,
    POSITION_HEADER,
    PREVIOUS_POSITION_HEADER,
    parse_position,
)
from taskmill.contracts.tracing import TRACEPARENT_HEADER
from taskmill.runtime.clock import Clock
from taskmill.runtime.direct_get import StoredMessage, last_message, message_at
from taskmill.runtime.errors import JetStreamError
from taskmill.runtime.nats_protocol import header_value
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.outbound import OutboundMessage
from taskmill.runtime.provisioning import NO_SUCH_STREAM, epoch_of_stream
from taskmill.runtime.publisher import Publisher
from taskmill.runtime.spans import Span
from taskmill.runtime.stream_state import StreamState, stream_state
from taskmill.runtime.tracing import ending, is_tracing, start_span
from taskmill.task_store.adapters.log_epochs import LogStanding
from taskmill.task_store.domain.events import id_text
from taskmill.task_store.domain.log_epoch import FIRST_EPOCH, LogEpoch
from taskmill.task_store.domain.publication import UnpublishedEvent

MAX_STRANGERS = 1_000
"""So many messages of others are passed over, to find the newest that a store has published."""


class PublishedEvent(NamedTuple):
    """A message as the stream has it. Whoever may publish there may have written it: the log says whether it is one."""

    sequence: int
    """Where in the stream it is."""
    position: int
    """Where in the log it says that it is; 0: it does not say."""
    document: bytes


class EventStream:
    """Publishes events, and finds out whether those that it published are still there.

    Args:
        session: The connection.
        publisher: For this stream alone.
        now: The clock.
    """

    def __init__(self, session: NatsSession, publisher: Publisher, now: Clock) -> None:
        self._session = session
        self._publisher = publisher
        self._now = now

    async def state(self) -> StreamState:
        """What the stream holds.

        Raises:
            BusUnavailableError: JetStream cannot be reached.
            JetStreamError: There is no stream.
        """
        return await stream_state(self._session, EVENTS_STREAM)

    async def standing(self) -> LogStanding:
        """How far the log is, by what was published of it; without a stream: nowhere.

        Raises:
            BusUnavailableError: JetStream cannot be reached.
            JetStreamError: It refuses.
        """
        try:
            epoch = LogEpoch(await epoch_of_stream(self._session, EVENTS_STREAM))
            return LogStanding(epoch, await self._newest_given_out(epoch))
        except JetStreamError as error:
            if error.error_code != NO_SUCH_STREAM:
                raise
            return LogStanding(FIRST_EPOCH, 0)

    async def _newest_given_out(self, epoch: LogEpoch) -> int:
        """The position of the newest event that a store has published in the stream's epoch; 0: none is found."""
        message = await last_message(self._session, EVENTS_STREAM, subjects.EVENT_SUBJECTS)
        for _ in range(MAX_STRANGERS):
            if message is None:
                break
            if is_in_its_place(message) and epoch.may_have_given_out(position := _position(message), self._now()):
                return position
            message = await message_at(self._session, EVENTS_STREAM, message.sequence - 1)
        return 0

    async def newest(self) -> PublishedEvent | None:
        """The stream's newest message; None: it holds none. In a cluster one that was newest a moment ago.

        Raises:
            BusUnavailableError: JetStream cannot be reached.
            JetStreamError: It refuses.
        """
        message = await last_message(self._session, EVENTS_STREAM, subjects.EVENT_SUBJECTS)
        return None if message is None else PublishedEvent(message.sequence, _position(message), message.body)

    async def publish(self, events: Sequence[UnpublishedEvent], *, previous_position: int, last_sequence: int) -> int:
        """Publish events, at least one, behind the one that was published last.

        Args:
            events: In the order of the log.
            previous_position: That of the event before them in the log; 0: none is.
            last_sequence: Where in the stream the newest event should be. JetStream takes each event only into the
                place that follows from that: never one twice, nor one of another publisher in between.

        Returns:
            Where the newest event is now.

        Raises:
            BusUnavailableError: Some may not be stored.
        """
        previous = [previous_position, *(event.position for event in events)]
        messages = [_message(*it) for it in zip(events, previous, itertools.count(last_sequence), strict=False)]
        with ending(_traced(events, messages) if is_tracing() else ()):
            return (await self._publisher.publish_all(messages)).sequence


def is_in_its_place(message: StoredMessage) -> bool:
    """Whether a message names the place in the stream that it has, as the events of a store do."""
    return header_value(message.headers, EXPECTED_LAST_SEQUENCE_HEADER) == str(message.sequence - 1)


def _position(message: StoredMessage) -> int:
    return parse_position(header_value(message.headers, POSITION_HEADER)) or 0


def _traced(events: Sequence[UnpublishedEvent], messages: Sequence[OutboundMessage]) -> list[Span | None]:
    """Begin a span for each event of a traced task, and name it in the message. The document stays as it was written.

    Its own `traceparent` is where the transmission starts, as CloudEvents wants it.
    """
    spans = []
    for event, message in zip(events, messages, strict=True):
        traceparent = orjson.loads(event.document).get("traceparent")
        if traceparent is not None:
            span = start_span(f"event {event.type}", "producer", traceparent, {"taskmill.task_id": str(event.task_id)})
            spans.append(span)
            message.headers[TRACEPARENT_HEADER] = traceparent if span is None else span.traceparent
    return spans


def _message(event: UnpublishedEvent, previous_position: int, last_sequence: int) -> OutboundMessage:
    return OutboundMessage(
        subject=subjects.event(event.type, event.kind, id_text(event.task_id)),
        body=event.document.encode(),
        headers={
            EXPECTED_LAST_SEQUENCE_HEADER: str(last_sequence),
            POSITION_HEADER: str(event.position),
            PREVIOUS_POSITION_HEADER: str(previous_position),
            "Content-Type": EVENT_CONTENT_TYPE,
        },
    )
