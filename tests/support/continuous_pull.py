"""A consumer of everything that comes, for tests."""

from collections.abc import Callable

from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.pull import DeliveredMessage, PullConsumer


class ContinuousPull(PullConsumer):
    """Keeps a number of messages asked for, so that the next are under way while these are handled.

    What limits the messages in hand is the consumer's `max_ack_pending`.

    Args:
        session: The connection.
        stream: The stream's name.
        consumer: The consumer's name; it may not exist yet.
        deliver: Called for each message in the read loop; it must only enqueue.
        credit: How many messages are asked for; at half of it the rest is asked for again.
    """

    def __init__(
        self,
        session: NatsSession,
        *,
        stream: str,
        consumer: str,
        deliver: Callable[[DeliveredMessage], None],
        credit: int,
    ) -> None:
        super().__init__(session, stream=stream, consumer=consumer, deliver=self._deliver_and_ask, on_change=self._ask)
        self._hand_over = deliver
        self._credit = credit

    def _deliver_and_ask(self, delivery: DeliveredMessage) -> None:
        self._hand_over(delivery)
        if self.outstanding <= self._credit // 2:
            self._ask()

    def _ask(self) -> None:
        self.pull(self._credit - self.outstanding)
