"""What a stream holds, and how messages leave it other than by an ack."""

from typing import NamedTuple

from taskmill.runtime.jetstream_api import jetstream_request
from taskmill.runtime.nats_session import NatsSession


class StreamState(NamedTuple):
    """A stream as the server sees it."""

    created_at: str
    """When it was created, as the server writes it. Another text under the same name is another stream."""

    first_sequence: int
    """The sequence of the oldest message that is left; of the next one to come, when none is."""

    last_sequence: int
    """The sequence of the newest message that it ever held; 0: none yet."""


async def stream_state(session: NatsSession, stream: str) -> StreamState:
    """Ask what a stream holds.

    Raises:
        BusUnavailableError: JetStream cannot be reached.
        JetStreamError: There is no such stream.
    """
    reply = await jetstream_request(session, f"STREAM.INFO.{stream}")
    state = reply["state"]
    first, last = int(state["first_seq"]), int(state["last_seq"])
    # Of an emptied stream some versions tell the last message's own sequence as the first.
    return StreamState(str(reply["created"]), first if state["messages"] else last + 1, last)


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
