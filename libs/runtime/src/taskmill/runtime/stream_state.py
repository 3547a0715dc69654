"""What a stream holds, and how messages leave it other than by an ack."""

from datetime import datetime
from typing import Any, NamedTuple

from taskmill.runtime.errors import JetStreamError
from taskmill.runtime.jetstream_api import jetstream_request
from taskmill.runtime.nats_session import NatsSession

NO_SUCH_MESSAGE = 10037


class StreamState(NamedTuple):
    """A stream as the server sees it."""

    created_at: str
    """When it was created, as the server writes it. Another text under the same name is another stream."""

    last_sequence: int
    """The sequence of the newest message that it ever held; 0: none yet."""


async def stream_state(session: NatsSession, stream: str) -> StreamState:
    """Ask what a stream holds.

    Raises:
        BusUnavailableError: JetStream cannot be reached.
        JetStreamError: There is no such stream.
    """
    reply = await jetstream_request(session, f"STREAM.INFO.{stream}")
    return StreamState(str(reply["created"]), int(reply["state"]["last_seq"]))


async def first_sequence(session: NatsSession, stream: str, subject: str) -> int | None:
    """The sequence of the oldest message that a subject has left; None: it has none.

    Args:
        session: The connection.
        stream: The stream's name.
        subject: May hold wildcards.

    Raises:
        BusUnavailableError: JetStream cannot be reached.
        JetStreamError: There is no such stream.
    """
    message = await _oldest(session, stream, subject)
    return None if message is None else int(message["seq"])


async def _oldest(session: NatsSession, stream: str, subject: str) -> dict[str, Any] | None:
    try:
        reply = await jetstream_request(session, f"STREAM.MSG.GET.{stream}", {"seq": 1, "next_by_subj": subject})
    except JetStreamError as error:
        if error.error_code == NO_SUCH_MESSAGE:
            return None
        raise
    message: dict[str, Any] = reply["message"]
    return message


async def oldest_stored_at(session: NatsSession, stream: str, subject: str) -> datetime | None:
    """When the oldest message that a subject has left was stored; None: it has none.

    Args:
        session: The connection.
        stream: The stream's name.
        subject: May hold wildcards.

    Raises:
        BusUnavailableError: JetStream cannot be reached.
        JetStreamError: There is no such stream.
    """
    message = await _oldest(session, stream, subject)
    # The server writes nanoseconds, which Python cuts.
    return None if message is None else datetime.fromisoformat(str(message["time"]))


async def purge_subject(session: NatsSession, stream: str, subject: str) -> None:
    """Remove the messages of a subject, delivered ones included: those are not delivered again.

    Args:
        session: The connection.
        stream: The stream's name.
        subject: May hold wildcards.

    Raises:
        BusUnavailableError: JetStream cannot be reached.
        JetStreamError: There is no such stream.
    """
    await jetstream_request(session, f"STREAM.PURGE.{stream}", {"filter": subject})
