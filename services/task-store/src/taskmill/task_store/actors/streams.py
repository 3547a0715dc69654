"""Makes the streams, and the consumer of the reports, what the contracts say."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence

import structlog

from taskmill.contracts.errors import UnavailableError
from taskmill.contracts.streams import ConsumerSpec, StreamSpec
from taskmill.runtime.actor import Actor, is_set_within
from taskmill.runtime.errors import JetStreamError, LaterEpochError, NoRoomForStreamError, StartError
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.provisioning import NO_CLUSTER, ensure_consumer, ensure_stream
from taskmill.task_store.adapters.placeholders import Placeholder

_log = structlog.get_logger(__name__)

LOOK_INTERVAL_SECONDS = 1
"""How soon a stream is made again that somebody has deleted."""

PLACEHOLDER_SECONDS = 10
"""How often a placeholder is put again at least, in case that it was lost or purged."""


_NO_ROOM = (
    "NATS has no room for the stream {stream}, which reserves {reserved_bytes} bytes. Let nats-server store more "
    "(max_file_store; by itself three quarters of what is free on its disk), or set TASKMILL_REPORTS_MAX_BYTES or "
    "TASKMILL_EVENTS_MAX_BYTES lower"
)

_NO_CLUSTER = (
    "NATS keeps several copies of a stream in a cluster only, and this nats-server is in none: leave "
    "TASKMILL_NATS_REPLICAS unset, or set it to 1"
)


class Streams(Actor):
    """Provisions at the start, after each reconnect, and whenever something is missing.

    Args:
        session: The connection.
        streams: All streams.
        consumers: The consumers that exist from the start.
        on_replaced: Called with the name of a stream that was made again, by whomever: what stood in it, and its other
            consumers, are gone.
        renew_consumers: Called afterwards, to make those other consumers again.
        epoch: Returns the epoch of the log: streams of an earlier one are made anew.
        on_later_epoch: Called with a reason when there are streams of a later one.
    """

    name = "streams"

    def __init__(
        self,
        session: NatsSession,
        *,
        streams: Sequence[StreamSpec],
        consumers: Sequence[ConsumerSpec],
        on_replaced: Callable[[str], None],
        renew_consumers: Callable[[], Awaitable[None]],
        epoch: Callable[[], int],
        on_later_epoch: Callable[[str], None],
    ) -> None:
        self._session = session
        self._streams = streams
        self._placeholders = {
            stream.name: Placeholder(session, stream.placeholder_subject)
            for stream in streams
            if stream.placeholder_subject is not None
        }
        self._consumers = consumers
        self._on_replaced = on_replaced
        self._renew_consumers = renew_consumers
        self._epoch = epoch
        self._on_later_epoch = on_later_epoch
        self._created_at: dict[str, str] = {}
        self._placed_at: dict[str, float] = {}
        self._woken = asyncio.Event()
        session.on_reconnect(self._woken.set)

    def stop(self) -> None:
        """Begin the drain, which has nothing to finish."""
        super().stop()
        self._woken.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Serve once everything exists for the first time."""
        if not self._stop_requested.is_set():
            try:
                await self._provision_epoch()
            except NoRoomForStreamError as error:
                raise StartError(_NO_ROOM.format(stream=error.stream, reserved_bytes=error.reserved_bytes)) from error
            except JetStreamError as error:
                if error.error_code == NO_CLUSTER:
                    raise StartError(_NO_CLUSTER) from error
                raise
        started()
        while not self._stop_requested.is_set():
            self._woken.clear()
            await is_set_within(self._woken, LOOK_INTERVAL_SECONDS)
            try:
                await self._provision_epoch()
            except (UnavailableError, JetStreamError) as error:
                _log.warning("streams.postponed", error=str(error))

    async def _provision_epoch(self) -> None:
        try:
            await self._provision()
        except LaterEpochError as error:
            self._on_later_epoch(str(error))
            await self._stop_requested.wait()

    async def _provision(self) -> None:
        for stream in self._streams:
            created_at = await ensure_stream(self._session, stream, epoch=self._epoch())
            if self._created_at.setdefault(stream.name, created_at) != created_at:
                self._created_at[stream.name] = created_at
                self._on_replaced(stream.name)
                self._placed_at.pop(stream.name, None)
        for consumer in self._consumers:
            await ensure_consumer(self._session, consumer)
        await self._renew_consumers()
        self._place()

    def _place(self) -> None:
        """Put the placeholders again whose time it is."""
        now = asyncio.get_running_loop().time()
        for stream, placeholder in self._placeholders.items():
            if now >= self._placed_at.get(stream, -math.inf) + PLACEHOLDER_SECONDS:
                self._placed_at[stream] = now
                placeholder.put()
