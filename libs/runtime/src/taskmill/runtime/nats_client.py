"""The one place that reaches into nats-py: raw subscriptions, many commands in one write, a true round trip.

nats-py parses headers, builds an object and wakes a task for every message; here a message goes from the read loop
straight to a function. What is private to nats-py 2 is used here and in `nats_parser`, and nowhere else.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from nats.aio.client import Client
from nats.aio.subscription import Subscription as ClientSubscription

from taskmill.runtime.nats_parser import MessageParser
from taskmill.runtime.nats_protocol import PING, RawSink, encode_subscribe, encode_unsubscribe

_log = structlog.get_logger(__name__)

_NOT_LET_IN = ("authorization violation", "user authentication expired", "user authentication revoked")
"""By which nats-server refuses who wants to connect (server/errors.go): it has no codes for them."""

CONNECT_TIMEOUT_SECONDS = 2
CONNECT_PAUSE_SECONDS = 0.25
PING_INTERVAL_SECONDS = 5

MAX_UNSENT_BYTES = 64 * 1024 * 1024
"""A connection that is this far behind takes in nothing more."""


def is_refusal(error: Exception) -> bool:
    """Whether a server has refused who wanted to connect: another try with the same credentials fails again."""
    return any(words in str(error).lower() for words in _NOT_LET_IN)


class RawClient(Client):
    """A nats-py client for one connection: it does not reconnect, and afterwards is thrown away."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = asyncio.Event()
        self._is_reading = True
        self._sinks: dict[int, RawSink] = {}
        self._ps = MessageParser(self)

    async def open(
        self,
        servers: list[str],
        *,
        name: str,
        inbox_prefix: str,
        on_error: Callable[[Exception], Awaitable[None]],
        seed: str | None = None,
    ) -> None:
        """Connect, trying for as long as no server can be reached.

        Args:
            servers: URLs, of which one is used.
            name: Names the connection on the server.
            inbox_prefix: What nats-py's own requests use for answers.
            on_error: Told of every failed attempt, and of what the server complains about later.
            seed: Proves as whom it comes (nkeys); None: only what the URLs say.

        Raises:
            nats.errors.Error: A server is there but refuses.
        """
        await self.connect(
            servers=servers,
            name=name,
            inbox_prefix=inbox_prefix,
            error_cb=on_error,
            nkeys_seed_str=seed,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            max_reconnect_attempts=-1,
            reconnect_time_wait=CONNECT_PAUSE_SECONDS,  # type: ignore[arg-type] # it only sleeps so long
            allow_reconnect=False,
            ping_interval=PING_INTERVAL_SECONDS,
        )
        if self._reading_task is not None:
            self._reading_task.add_done_callback(self._on_reading_ended)

    def _on_reading_ended(self, _reading: "asyncio.Task[None]") -> None:
        """Nothing is heard any more, though nats-py may think that it is connected."""
        self._is_reading = False
        self.broken.set()

    @property
    def address(self) -> str | None:
        """Host and port of the server, without the credentials that its URL may hold; None: not connected."""
        url = self.connected_url
        return None if url is None else url.netloc.rpartition("@")[2]

    @property
    def is_usable(self) -> bool:
        """True while commands may be written: connected, not too far behind, and answers can be heard."""
        return self._status == Client.CONNECTED and self._is_reading and self._pending_data_size < MAX_UNSENT_BYTES

    def write(self, commands: bytes, *, at_once: bool = False) -> None:
        """Hand commands to the socket. Whatever is written in one turn of the event loop goes out in one write.

        Args:
            commands: As `nats_protocol` encodes them.
            at_once: Whether they, and what was written before, go out now, before the turn ends.
        """
        self._pending.append(commands)
        self._pending_data_size += len(commands)
        if at_once:
            self._write_pending()
        elif self._flush_queue is not None and self._flush_queue.empty():
            self._flush_queue.put_nowait(asyncio.get_running_loop().create_future())

    def _write_pending(self) -> None:
        if self._transport is None:
            return
        pending, self._pending, self._pending_data_size = self._pending, [], 0
        # Closed in this turn: whoever waits for an answer hears of it when the session does.
        with suppress(RuntimeError):
            self._transport.writelines(pending)

    def subscribe_raw(self, subject: str, queue: str, sink: RawSink) -> int:
        """Subscribe; messages go to `sink`. Returns the id of the subscription."""
        self._sid += 1
        self._subs[self._sid] = ClientSubscription(self, self._sid, subject, queue=queue)
        self._sinks[self._sid] = sink
        self.write(encode_subscribe(subject, queue, self._sid))
        return self._sid

    def unsubscribe_raw(self, sid: int) -> None:
        """Tell the server to send no more. What is under way still goes to the sink, until `forget`."""
        self.write(encode_unsubscribe(sid))

    def forget(self, sid: int) -> None:
        """Drop whatever else arrives for a subscription."""
        self._subs.pop(sid, None)
        self._sinks.pop(sid, None)

    async def round_trip(self, timeout_seconds: float) -> bool:
        """Whether the server answers a PING in time, and so has read all that was written before.

        Not `flush()`: its PING overtakes what waits to be written, it reports success once the read loop is dead, and
        on a timeout it cancels the future of the PING, so that a late PONG raises inside the read loop and ends it.
        """
        if self._status != Client.CONNECTED or self._reading_task is None or self._reading_task.done():
            return False
        pong: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._pongs.append(pong)
        self.write(PING)
        await asyncio.wait({pong}, timeout=timeout_seconds)
        return pong.done()

    async def abandon(self, timeout_seconds: float = 1) -> None:
        """Close the connection; a peer that takes nothing more in does not hold this up."""
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(timeout_seconds):
                await self.close()
        # `close()` returns at once while nats-py itself is still trying to; what it left open ends here.
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    async def receive(self, sid: int, subject: bytes, reply: bytes, body: bytes, headers: bytes | None) -> None:
        """Hand a message to its sink, or to nats-py when it is for a subscription of nats-py's own."""
        sink = self._sinks.get(sid)
        if sink is None:
            await self._process_msg(sid, subject, reply, body, headers or b"")
            return
        try:
            sink(subject, reply, body, headers)
        except Exception:
            # An exception here would end nats-py's read loop without anybody noticing.
            _log.exception("nats.message_dropped")

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        self.broken.set()
        # Whoever wrote this is told that the connection is gone; and nats-py would write it to a closed socket.
        self._pending = []
        self._pending_data_size = 0
        await super()._close(status, do_cbs)
