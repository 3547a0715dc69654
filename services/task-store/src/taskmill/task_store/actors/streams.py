"""Makes the streams, and the consumer of the reports, what the contracts say."""

import asyncio
from collections.abc import Callable, Sequence

from taskmill.contracts.streams import ConsumerSpec, StreamSpec
from taskmill.runtime.actor import Actor
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.provisioning import ensure_consumer, ensure_stream


class Streams(Actor):
    """Provisions at the start, and after each reconnect: a server that was replaced has nothing.

    Args:
        session: The connection.
        streams: All streams.
        consumers: The consumers that exist from the start.
    """

    name = "streams"

    def __init__(
        self, session: NatsSession, *, streams: Sequence[StreamSpec], consumers: Sequence[ConsumerSpec]
    ) -> None:
        self._session = session
        self._streams = streams
        self._consumers = consumers
        self._is_stopping = False
        self._woken = asyncio.Event()
        session.on_reconnect(self._woken.set)

    def stop(self) -> None:
        """Begin the drain, which has nothing to finish."""
        self._is_stopping = True
        self._woken.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Serve once everything exists for the first time."""
        while not self._is_stopping:
            self._woken.clear()
            await self._provision()
            started()
            await self._woken.wait()

    async def _provision(self) -> None:
        for stream in self._streams:
            await ensure_stream(self._session, stream)
        for consumer in self._consumers:
            await ensure_consumer(self._session, consumer)
