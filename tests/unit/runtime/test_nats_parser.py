import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.errors import ProtocolError

from taskmill.runtime.nats_parser import MAX_CONTROL_LINE_BYTES, MessageParser

Message = tuple[int, bytes, bytes, bytes, bytes | None]

words = st.text("abc.>*_-$0123456789", min_size=1, max_size=20).map(str.encode)
messages = st.tuples(
    st.integers(1, 10**6),
    words,
    st.one_of(st.just(b""), words),
    st.binary(max_size=200),
    st.one_of(st.none(), st.binary(max_size=50).map(lambda lines: b"NATS/1.0\r\n" + lines + b"\r\n\r\n")),
)


class Receiver:
    """Keeps what the parser hands over."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.pings = 0
        self.errors: list[str] = []

    async def receive(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        """Take in a message."""
        self.messages.append((sid, subject, reply, data, headers))

    async def _process_ping(self) -> None:
        self.pings += 1

    async def _process_err(self, message: str) -> None:
        self.errors.append(message)


def encoded(message: Message) -> bytes:
    """A message as a server sends it."""
    sid, subject, reply, data, headers = message
    address = b" ".join(word for word in (subject, b"%d" % sid, reply) if word)
    if headers is None:
        return b"MSG %b %d\r\n%b\r\n" % (address, len(data), data)
    return b"HMSG %b %d %d\r\n%b%b\r\n" % (address, len(headers), len(headers) + len(data), headers, data)


def parsed(*parts: bytes) -> Receiver:
    """What a parser makes of some reads of the socket."""

    async def parse() -> Receiver:
        receiver = Receiver()
        parser = MessageParser(receiver)
        for part in parts:
            await parser.parse(part)
        return receiver

    return asyncio.run(parse())


@given(st.lists(messages, max_size=5), st.lists(st.integers(0, 1_000), max_size=8))
def test_messages_come_out_however_the_stream_is_cut(sent: list[Message], cuts: list[int]) -> None:
    """Every message arrives whole and in order, with other commands between, wherever a read begins and ends."""
    stream = b"PING\r\n".join(encoded(message) for message in sent) + b"PING\r\n"
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    receiver = parsed(*(stream[start:end] for start, end in pairwise(edges)))
    assert receiver.messages == sent
    assert receiver.pings == max(len(sent), 1)


def test_byte_by_byte() -> None:
    """The smallest reads make no difference."""
    message: Message = (7, b"a.b", b"r", b"\r\nMSG x 1 0\r\n", b"NATS/1.0\r\nA: b\r\n\r\n")
    stream = b"PING\r\n" + encoded(message) + b"-ERR 'Permissions Violation'\r\n"
    receiver = parsed(*(stream[index : index + 1] for index in range(len(stream))))
    assert receiver.messages == [message]
    assert receiver.pings == 1
    assert receiver.errors == ["'permissions violation'"]


@pytest.mark.parametrize(
    "garbage",
    [b"MSG\r\n", b"MSG a\r\n", b"MSG a b 1\r\n", b"HMSG a 1 x 3\r\n", b"Hello\r\n", b"\r\n", b"HTTP/1.1 400\r\n"],
)
def test_garbage_is_a_protocol_error(garbage: bytes) -> None:
    """The connection is given up, in the way that nats-py expects."""
    with pytest.raises(ProtocolError):
        parsed(garbage)


def test_a_line_without_an_end_is_bounded() -> None:
    """A peer that never ends its line does not fill the memory."""
    with pytest.raises(ProtocolError):
        parsed(*[b"x" * 1_024] * (MAX_CONTROL_LINE_BYTES // 1_024 + 1))
