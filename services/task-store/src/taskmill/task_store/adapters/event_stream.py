"""TASK_EVENTS, as its one publisher sees it."""

from collections.abc import Sequence

import orjson

from taskmill.contracts import subjects
from taskmill.contracts.events import EVENT_CONTENT_TYPE
from taskmill.contracts.streams import (
    EVENTS_STREAM,
    EXPECTED_LAST_SEQUENCE_HEADER,
    MESSAGE_ID_HEADER,
    POSITION_HEADER,
    PREVIOUS_POSITION_HEADER,
)
from taskmill.contracts.tracing import TRACEPARENT_HEADER
from taskmill.runtime.direct_get import last_message
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


class EventStream:
    """Publishes events, and finds out whether those that it published are still there."""

    def __init__(self, session: NatsSession, publisher: Publisher) -> None:
        self._session = session
        self._publisher = publisher

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
            return LogStanding(epoch, await self.newest_position() or 0)
        except JetStreamError as error:
            if error.error_code != NO_SUCH_STREAM:
                raise
            return LogStanding(FIRST_EPOCH, 0)

    async def newest_position(self) -> int | None:
        """The position in the log of the stream's newest event; None: it holds none.

        Raises:
            BusUnavailableError: JetStream cannot be reached.
            JetStreamError: It refuses.
        """
        message = await last_message(self._session, EVENTS_STREAM, subjects.EVENT_SUBJECTS)
        return None if message is None else int(header_value(message.headers, POSITION_HEADER) or 0)

    async def publish(self, events: Sequence[UnpublishedEvent], *, previous_position: int, last_sequence: int) -> int:
        """Publish events, at least one, behind the one that was published last.

        Args:
            events: In the order of the log.
            previous_position: That of the event before them in the log; 0: none is.
            last_sequence: Where in the stream the newest event should be. JetStream refuses these events when it is
                not: then the stream has lost some, or somebody else has published.

        Returns:
            Where the newest event is now. Events that the stream has already are skipped.

        Raises:
            BusUnavailableError: Some may not be stored.
        """
        previous = [previous_position, *(event.position for event in events)]
        messages = [_message(*pair) for pair in zip(events, previous, strict=False)]
        messages[0].headers[EXPECTED_LAST_SEQUENCE_HEADER] = str(last_sequence)
        with ending(_traced(events, messages) if is_tracing() else ()):
            ack = await self._publisher.publish_all(messages)
        return last_sequence if ack.is_duplicate else ack.sequence


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


def _message(event: UnpublishedEvent, previous_position: int) -> OutboundMessage:
    task_id = id_text(event.task_id)
    return OutboundMessage(
        subject=subjects.event(event.type, event.kind, task_id),
        body=event.document.encode(),
        headers={
            MESSAGE_ID_HEADER: f"{task_id}.{event.version}",
            POSITION_HEADER: str(event.position),
            PREVIOUS_POSITION_HEADER: str(previous_position),
            "Content-Type": EVENT_CONTENT_TYPE,
        },
    )
