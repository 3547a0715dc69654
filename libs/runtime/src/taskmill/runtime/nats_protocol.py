"""Messages as the NATS client protocol writes them: built once as bytes, for many to go out in one write.

https://docs.nats.io/reference/reference-protocols/nats-protocol
"""

from collections.abc import Callable, Mapping

NO_HEADERS = b""
PING = b"PING\r\n"
NO_RESPONDERS_STATUS = 503

INBOXES = b"_INBOX"
"""What the subjects begin with that answers may go to. NATS does not look at what a request says of that: anything else
would have a service publish in its own name, to a stream for example, for somebody who may not."""

_STATUS_START = b"NATS/1.0 "

RawSink = Callable[[bytes, bytes, bytes, bytes | None], None]
"""Takes subject, reply subject, body and header block of a message. It runs in the read loop: it must be quick."""


def encode_headers(headers: Mapping[str, str]) -> bytes:
    """The header block of a message; `NO_HEADERS` when there are none.

    Raises:
        ValueError: A name or value holds the end of a line, and so could smuggle in a header or a message.
    """
    if not headers:
        return NO_HEADERS
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    # Counting is far cheaper than looking at each name and value: this runs for every message.
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("a header holds the end of a line")
    return f"NATS/1.0\r\n{lines}\r\n".encode()


def encode_publish(subject: str, reply: str, body: bytes, headers: bytes = NO_HEADERS) -> bytes:
    """The command that publishes one message.

    Args:
        subject: Where it goes.
        reply: Where answers go; empty: nowhere.
        body: What it says.
        headers: A header block as `encode_headers` returns it.

    Raises:
        ValueError: The subject or the reply holds a space or a control character, and so could smuggle in a command.
    """
    line = f"{subject} {reply}"
    if not line.isprintable() or line.count(" ") != 1 or not subject:
        raise ValueError("not a NATS subject")
    start = f"HPUB {line} {len(headers)} {len(headers) + len(body)}\r\n" if headers else f"PUB {line} {len(body)}\r\n"
    return b"".join((start.encode(), headers, body, b"\r\n"))


def encode_subscribe(subject: str, queue: str, sid: int) -> bytes:
    """The command that subscribes to a subject.

    Args:
        subject: May hold wildcards.
        queue: The queue group; empty: none.
        sid: The subscription's number on its connection.
    """
    return f"SUB {subject} {queue} {sid}\r\n".encode()


def encode_unsubscribe(sid: int) -> bytes:
    """The command that ends a subscription."""
    return f"UNSUB {sid}\r\n".encode()


def check_subject(subject: str) -> None:
    """Make sure that a subject is one word.

    Raises:
        ValueError: It is empty, or holds a space or a control character.
    """
    if not subject or not subject.isprintable() or " " in subject:
        raise ValueError("not a NATS subject")


def status_of(headers: bytes | None) -> int | None:
    """The status code in a header block, such as 503 in `NATS/1.0 503`; None when it has none."""
    if headers is None or not headers.startswith(_STATUS_START):
        return None
    code = headers[len(_STATUS_START) : len(_STATUS_START) + 3]
    return int(code) if code.isdigit() else None


def header_value(headers: bytes | None, name: str) -> str | None:
    """The first value of a header in a header block; None when it is not there."""
    if headers is None:
        return None
    start = headers.find(b"\r\n" + name.encode() + b":")
    if start < 0:
        return None
    start += len(name) + 3
    # The server passes on a block whose last line has no end.
    return headers[start:].partition(b"\r\n")[0].strip().decode(errors="replace")


def decode_headers(headers: bytes) -> dict[str, str]:
    """All headers of a header block. Of a name that comes twice, the last value; lines that are no header are left out.

    Args:
        headers: The block, with its first line, as the server sent it.
    """
    lines = headers.decode(errors="replace").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines)
    return {name: value.strip() for name, colon, value in pairs if colon}
