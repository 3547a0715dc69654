"""One service's connection to NATS, which comes back by itself."""

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog
from nats.errors import StaleConnectionError, UnexpectedEOF
from nats.protocol.parser import PERMISSIONS_ERR

from taskmill.contracts.errors import BusUnavailableError, PayloadTooLargeError
from taskmill.runtime.actor import Actor, is_set_within, unless_set
from taskmill.runtime.backoff import Backoff
from taskmill.runtime.nats_client import RawClient, is_refusal
from taskmill.runtime.nats_protocol import NO_HEADERS, RawSink, check_subject, encode_headers, encode_publish
from taskmill.runtime.request_mux import RequestMux
from taskmill.runtime.settings import NatsSettings

_log = structlog.get_logger(__name__)

DRAIN_TIMEOUT_SECONDS = 2
PROBES_UNTIL_STALE = 2
PROBES_UNTIL_BROKEN = 3

AT_WORK_WITHIN_SECONDS = 30
"""Far longer than it takes to probe, or to try all servers."""

_PERMISSION_VIOLATION = "permissions violation"
"""So the protocol of NATS calls it; nats-py has no type of its own for it."""

USUAL_MAX_MESSAGE_BYTES = 1024 * 1024
"""What nats-server takes unless it is told otherwise; each connection begins with the true number."""


@dataclass(eq=False, slots=True)
class Subscription:
    """An interest in a subject, which outlives connections."""

    subject: str
    queue: str
    sink: RawSink
    sid: int | None = None
    """Its number on the present connection; None while there is none."""


class NatsSession(Actor):
    """Connects for as long as it takes, and again whenever the connection breaks.

    nats-py's own reconnecting is off: it keeps what was published in between and sends it later, when its sender has
    long given up; it loses outstanding pulls silently; and its read loop can die while it says that it is connected.
    So each connection is a new client, the subscriptions are made again on it, and a round trip every 5 s proves that
    it lives.

    Args:
        settings: Where NATS is.
        client_name: Names the connection on the server.
        inbox_prefix: What its inboxes begin with, which its user must be allowed to hear; None: `_INBOX.<client name>`.
        is_awaited: Whether it has started only once it is connected. A service that can tell its callers of an outage
            starts without.
        probe_interval_seconds: The pause between two round trips.
        probe_timeout_seconds: How long a round trip may take; the third in a row that fails ends the connection.
    """

    def __init__(
        self,
        settings: NatsSettings,
        *,
        client_name: str,
        inbox_prefix: str | None = None,
        is_awaited: bool = True,
        probe_interval_seconds: float = 5,
        probe_timeout_seconds: float = 2,
    ) -> None:
        self.name = "nats-session"
        self._settings = settings
        self._client_name = client_name
        self._is_awaited = is_awaited
        self._probe_interval_seconds = probe_interval_seconds
        self._probe_timeout_seconds = probe_timeout_seconds
        self._inbox_prefix = f"_INBOX.{client_name}" if inbox_prefix is None else inbox_prefix
        self._client: RawClient | None = None
        self._is_fresh = False
        self._was_connected = False
        self._is_outage_logged = False
        self._max_message_bytes = USUAL_MAX_MESSAGE_BYTES
        self._subscriptions: dict[Subscription, None] = {}
        self._on_reconnect: list[Callable[[], None]] = []
        self._on_disconnect: list[Callable[[], None]] = []
        self.is_refused = False
        """Whether the server let nobody in with these credentials when it was asked last. It is asked again."""
        self.permission_violations = 0
        """How often the server has refused a subject to this session, over all its connections."""
        self.requests = RequestMux(self)
        """Requests on this connection, and the answers to them."""
        self._worked_at = time.monotonic()
        self.reconnects = 0
        """Connections after the first."""

    @property
    def client(self) -> RawClient:
        """The client of the present connection; do not keep it, each connection has a new one.

        Raises:
            BusUnavailableError: Not connected.
        """
        client = self._client
        if client is None or not self._is_fresh or not client.is_usable:
            raise BusUnavailableError
        return client

    @property
    def is_connected(self) -> bool:
        """True while there is a connection whose last round trips came back."""
        return self._client is not None and self._is_fresh and self._client.is_usable

    @property
    def is_at_work(self) -> bool:
        """True while it does what it should: it is connected and looks after that, or tries to connect.

        False for longer than a moment means that it never will again by itself.
        """
        return time.monotonic() - self._worked_at < AT_WORK_WITHIN_SECONDS

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Have a function called after each connection but the first, once the subscriptions are made again."""
        self._on_reconnect.append(callback)

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """Have a function called whenever a connection is lost."""
        self._on_disconnect.append(callback)

    def new_inbox(self) -> str:
        """A subject that nobody else uses, for answers."""
        return f"{self._inbox_prefix}.{uuid.uuid4().hex}"

    def subscribe(self, subject: str, sink: RawSink, *, queue: str = "") -> Subscription:
        """Subscribe on this and on every later connection.

        Args:
            subject: May hold wildcards.
            sink: Called for each message in the read loop; it must only enqueue.
            queue: The queue group; empty: none.

        Raises:
            ValueError: `subject` or `queue` is not one word.
        """
        # Here and not when it is sent, or one wrong subject would break every connection anew.
        check_subject(subject)
        check_subject(queue or subject)
        subscription = Subscription(subject, queue, sink)
        self._subscriptions[subscription] = None
        if self._client is not None:
            subscription.sid = self._client.subscribe_raw(subject, queue, sink)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; messages that are under way are dropped. Idempotent."""
        self._subscriptions.pop(subscription, None)
        if self._client is not None and subscription.sid is not None:
            self._client.unsubscribe_raw(subscription.sid)
            self._client.forget(subscription.sid)
        subscription.sid = None

    async def drain(self, subscription: Subscription) -> None:
        """End a subscription after everything that the server has sent already went to its sink. Idempotent."""
        client = self._client
        self._subscriptions.pop(subscription, None)
        if client is not None and subscription.sid is not None:
            client.unsubscribe_raw(subscription.sid)
            await client.round_trip(DRAIN_TIMEOUT_SECONDS)
            client.forget(subscription.sid)
        subscription.sid = None

    def send(self, commands: bytes, *, at_once: bool = False) -> None:
        """Write commands of the NATS protocol, as `nats_protocol` encodes them.

        Args:
            commands: The commands.
            at_once: Whether they go out now, and not with all else that is written in this turn of the event loop.

        Raises:
            BusUnavailableError: Not connected; nothing is kept for later.
        """
        self.client.write(commands, at_once=at_once)

    def publish(self, subject: str, body: bytes, reply: str = "", headers: Mapping[str, str] | None = None) -> None:
        """Publish a message with core NATS, which does not confirm it.

        Raises:
            BusUnavailableError: Not connected; nothing is kept for later.
            PayloadTooLargeError: The server would close the connection over it.
        """
        header_block = encode_headers(headers) if headers else NO_HEADERS
        self.send(self.encode(subject, body, reply, header_block))

    def encode(self, subject: str, body: bytes, reply: str = "", headers: bytes = NO_HEADERS) -> bytes:
        """The command that publishes a message, for `send`.

        Args:
            subject: Where it goes.
            body: What it says.
            reply: Where answers go; empty: nowhere.
            headers: A header block as `nats_protocol.encode_headers` returns it.

        Raises:
            PayloadTooLargeError: The server would close the connection over it.
        """
        if len(body) + len(headers) > self._max_message_bytes:
            raise PayloadTooLargeError("message", self._max_message_bytes)
        return encode_publish(subject, reply, body, headers)

    def write_acks(self, replies: Iterable[str], body: bytes = b"+ACK") -> None:
        """Acknowledge many JetStream deliveries in one write.

        Args:
            replies: The ack subjects of the deliveries.
            body: `+ACK`, `-NAK` (deliver again), `+WPI` (still at work) or `+TERM` (never deliver again).

        Raises:
            BusUnavailableError: Not connected; the deliveries will be redelivered.
        """
        ending = b" %d\r\n%b\r\n" % (len(body), body)
        commands = b"".join(b"PUB %b%b" % (reply.encode(), ending) for reply in replies)
        if commands:
            self.send(commands)

    async def flush(self, timeout_seconds: float = 2) -> None:
        """Wait until the server has read everything that was written.

        Raises:
            BusUnavailableError: Not connected, or it took too long.
        """
        if not await self.client.round_trip(timeout_seconds):
            raise BusUnavailableError

    async def run(self, started: Callable[[], None]) -> None:
        """Stay connected until stopped; then send what is written, and close."""
        if not self._is_awaited:
            started()
        backoff = Backoff(base_seconds=0.1, cap_seconds=2, jitter=0.3)
        while not self._stop_requested.is_set():
            self._worked_at = time.monotonic()
            client = await self._connect()
            if client is None:
                await is_set_within(self._stop_requested, backoff.next())
                continue
            backoff.reset()
            try:
                self._attach(client)
                # Each time, or after a crash nobody would learn that it serves again.
                started()
                if self._was_connected:
                    self.reconnects += 1
                    self._tell(self._on_reconnect)
                self._was_connected = True
                await self._watch(client)
            finally:
                self._detach()
                await client.abandon()

    async def _connect(self) -> RawClient | None:
        """Return a connected client; None when stopped, or when the server is there but refuses."""
        client = RawClient()
        if await unless_set(self._stop_requested, self._open(client)):
            return client
        await client.abandon()
        return None

    async def _open(self, client: RawClient) -> bool:
        told: Exception | None = None

        async def on_error(error: Exception) -> None:
            nonlocal told
            told = error
            await self._on_error(error)

        try:
            await client.open(
                self._settings.nats_url.split(","),
                name=self._client_name,
                inbox_prefix=self._inbox_prefix,
                on_error=on_error,
                seed=self._settings.nats_seed(),
            )
        except Exception as error:
            self.is_refused = is_refusal(error)
            # Most of what nats-py raises here it has told before.
            if error is not told:
                await self._on_error(error)
            return False
        self.is_refused = False
        return True

    def _attach(self, client: RawClient) -> None:
        self._client = client
        self._is_fresh = True
        self._is_outage_logged = False
        self._max_message_bytes = client.max_payload
        for subscription in self._subscriptions:
            subscription.sid = client.subscribe_raw(subscription.subject, subscription.queue, subscription.sink)
        _log.info("nats.connected", client=self._client_name, address=client.address)

    def _detach(self) -> None:
        self._client = None
        self._is_fresh = False
        for subscription in self._subscriptions:
            subscription.sid = None
        self._tell(self._on_disconnect)

    async def _watch(self, client: RawClient) -> None:
        """Return when the connection is lost or the session is stopped."""
        failures = 0
        while failures < PROBES_UNTIL_BROKEN:
            pause_seconds = 0 if failures else self._probe_interval_seconds
            is_broken = await unless_set(self._stop_requested, is_set_within(client.broken, pause_seconds))
            if is_broken or self._stop_requested.is_set():
                break
            # A single late answer is more likely a busy event loop than a dead peer.
            failures = 0 if await client.round_trip(self._probe_timeout_seconds) else failures + 1
            self._is_fresh = failures < PROBES_UNTIL_STALE
            self._worked_at = time.monotonic()
        if self._stop_requested.is_set():
            await client.round_trip(DRAIN_TIMEOUT_SECONDS)
        else:
            _log.warning("nats.disconnected", client=self._client_name, unanswered_probes=failures)

    async def _on_error(self, error: Exception) -> None:
        """Log what nats-py reports: an unreachable server once an outage, anything else each time."""
        self._worked_at = time.monotonic()
        if isinstance(error, UnexpectedEOF | StaleConnectionError):
            return  # the loss of the connection, which `_watch` logs
        if PERMISSIONS_ERR in str(error):
            # It arrives here and nowhere else: a request just gets no answer, a subscription hears nothing.
            self.permission_violations += 1
            _log.error("nats.permission_violation", client=self._client_name, error=str(error))
        elif not isinstance(error, OSError | TimeoutError):
            _log.error("nats.error", client=self._client_name, error=str(error), error_type=type(error).__name__)
        elif not self._is_outage_logged:
            self._is_outage_logged = True
            _log.warning("nats.unreachable", client=self._client_name, error_type=type(error).__name__)

    def _tell(self, callbacks: list[Callable[[], None]]) -> None:
        for callback in callbacks:
            try:
                callback()
            except Exception:
                _log.exception("nats.callback_failed")
