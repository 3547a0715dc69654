"""Messages that nobody consumes, so that two of the streams never run empty (ADR 19)."""

from contextlib import suppress

from taskmill.contracts.errors import BusUnavailableError
from taskmill.contracts.streams import ROLLUP_HEADER
from taskmill.runtime.nats_session import NatsSession

BYTES_BETWEEN = 128 * 1024
"""After how much a placeholder is put again. The server begins a new file after 4 MiB."""

_BYTES_AROUND_BODY = 250
"""About what a message has beside its body: subject, headers, and what the server writes when it is acknowledged."""


class Placeholder:
    """Puts the placeholder of one stream behind what was published there, so that it stands in the newest file.

    It is not waited for: one that got lost, or that the stream has no room for, is put again with the next one.

    Args:
        session: The connection.
        subject: Its subject, on which the stream keeps nothing else.
    """

    def __init__(self, session: NatsSession, subject: str) -> None:
        self._session = session
        self._subject = subject
        self._bytes_behind = 0

    def put(self) -> None:
        """Put it at the end of the stream, instead of the one that is there."""
        self._bytes_behind = 0
        with suppress(BusUnavailableError):
            self._session.publish(self._subject, b"", headers={ROLLUP_HEADER: "sub"})

    def note(self, body_bytes: int, messages: int = 1) -> None:
        """Say what came into the stream, and put the placeholder again when that is much by now."""
        self._bytes_behind += body_bytes + messages * _BYTES_AROUND_BODY
        if self._bytes_behind >= BYTES_BETWEEN:
            self.put()
