"""Publishing to JetStream: what returns without an error is stored."""

from collections.abc import Sequence

from taskmill.contracts.errors import BusUnavailableError
from taskmill.runtime.errors import NoRespondersError
from taskmill.runtime.fast_ingest import FastIngest
from taskmill.runtime.nats_protocol import encode_headers
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.outbound import OutboundMessage, PubAck, pub_ack, read_frame


class Publisher:
    """Publishes and waits until JetStream has stored the messages; batches always into the same stream.

    Args:
        session: The connection.
        timeout_seconds: How long JetStream may take to answer; in a batch, each time it is waited for.
    """

    def __init__(self, session: NatsSession, *, timeout_seconds: float) -> None:
        self._session = session
        self._timeout_seconds = timeout_seconds
        self._batches: FastIngest | None = None

    async def publish(self, message: OutboundMessage) -> PubAck:
        """Publish one message.

        Raises:
            BusUnavailableError: It may not be stored: not connected, no answer in time, no stream has the subject, or
                the stream refused it (the log says why). Repeat it with the same message id.
            PayloadTooLargeError: It is larger than NATS takes.
        """
        try:
            answer = await self._session.requests.request(
                message.subject,
                message.body,
                headers=encode_headers(message.headers),
                timeout_seconds=self._timeout_seconds,
            )
        except (NoRespondersError, TimeoutError):
            raise BusUnavailableError from None
        return pub_ack(read_frame(answer.body))

    async def publish_all(self, messages: Sequence[OutboundMessage]) -> PubAck:
        """Publish messages, at least one, in their order into the stream of all batches, which must allow them.

        Messages that the stream has already, by their message ids, are skipped.

        Raises:
            BusUnavailableError: Some may not be stored, and none after the first of these is; repeat all of them.
            PayloadTooLargeError: One is larger than NATS takes; repeating them would not help.
        """
        if len(messages) == 1:
            return await self.publish(messages[0])
        if self._batches is None:
            self._batches = FastIngest(self._session, timeout_seconds=self._timeout_seconds)
        return await self._batches.publish(messages)
