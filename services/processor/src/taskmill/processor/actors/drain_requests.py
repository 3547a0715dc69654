"""Listens for the request to drain."""

from collections.abc import Callable

import structlog

from taskmill.contracts import subjects
from taskmill.contracts.errors import BusUnavailableError
from taskmill.runtime.actor import Actor
from taskmill.runtime.nats_protocol import INBOXES
from taskmill.runtime.nats_session import NatsSession

_log = structlog.get_logger(__name__)


class DrainRequests(Actor):
    """Has this processor drain, and end, when a client wants it to, as at SIGTERM.

    Args:
        session: Where the request comes from.
        processor_id: Its id, which the subject has.
        drain: Begins the drain. Idempotent.
    """

    name = "drain-requests"

    def __init__(self, session: NatsSession, processor_id: str, drain: Callable[[], None]) -> None:
        self._session = session
        self._processor_id = processor_id
        self._drain = drain

    async def run(self, started: Callable[[], None]) -> None:
        """Listen until stopped."""
        subscription = self._session.subscribe(subjects.drain(self._processor_id), self._on_message)
        try:
            started()
            await self._stop_requested.wait()
        finally:
            self._session.unsubscribe(subscription)

    def _on_message(self, _subject: bytes, reply: bytes, _data: bytes, _headers: bytes | None) -> None:
        _log.info("drain.requested")
        self._drain()
        if reply.startswith(INBOXES):
            try:
                self._session.publish(reply.decode(), b"")
            except BusUnavailableError:
                # Who asked is told that nobody knows, and asks again.
                _log.warning("drain.unanswered")
