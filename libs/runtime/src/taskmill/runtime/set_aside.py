"""What cannot be read is put aside before it is thrown away, byte for byte, where an operator can look at it."""

from contextlib import suppress

from taskmill.contracts.errors import BusUnavailableError
from taskmill.runtime.nats_session import NatsSession

REASON_HEADER = "Taskmill-Reason"
"""Why it was set aside: one word."""

SUBJECT_HEADER = "Taskmill-Subject"
"""Where it was found."""

SIZE_HEADER = "Taskmill-Bytes"
"""How many bytes it had; of a larger message than fits, the beginning is kept."""

MAX_KEPT_BYTES = 768 * 1024


def set_aside(session: NatsSession, subject: str, body: bytes, *, found_at: str, reason: str) -> None:
    """Put a message aside. It is not confirmed: nobody can read it, and nobody should have to wait for it.

    What is sent on the same session afterwards, such as the word that ends the message's delivery, reaches the server
    later. With NATS away nothing is done, and the message is delivered again.

    Args:
        session: The connection that it came by.
        subject: Where it goes.
        body: What could not be read.
        found_at: The subject that it came by.
        reason: Why it cannot be used, in one word.
    """
    headers = {
        REASON_HEADER: reason,
        # It may be made of anything, of ends of lines for one, that would not pass as a header.
        SUBJECT_HEADER: found_at.encode("unicode_escape").decode(),
        SIZE_HEADER: str(len(body)),
    }
    with suppress(BusUnavailableError):
        session.publish(subject, body[:MAX_KEPT_BYTES], headers=headers)
