import pytest

from taskmill.runtime.nats_protocol import decode_headers, encode_headers, encode_publish, header_value, status_of


def test_publish_without_reply_and_headers() -> None:
    """A plain message is a PUB command."""
    assert encode_publish("a.b", "", b"hello") == b"PUB a.b  5\r\nhello\r\n"


def test_publish_with_headers_counts_them() -> None:
    """A message with headers is an HPUB command, with the size of the headers and of all."""
    headers = encode_headers({"A": "b"})
    assert headers == b"NATS/1.0\r\nA: b\r\n\r\n"
    assert encode_publish("a", "r", b"xy", headers) == b"HPUB a r 18 20\r\n" + headers + b"xy\r\n"


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPUB b 0", "a\tb", "a\x00", "a\u2028b", "a\x85b"])
def test_a_subject_cannot_smuggle_in_a_command(subject: str) -> None:
    """What would break out of its field is refused, as subject and as reply."""
    with pytest.raises(ValueError, match="not a NATS subject"):
        encode_publish(subject, "", b"")
    if subject:
        with pytest.raises(ValueError, match="not a NATS subject"):
            encode_publish("fine", subject, b"")


@pytest.mark.parametrize("value", ["a\r\nEvil: 1", "a\n", "a\r", "\r\n\r\nbody"])
def test_a_header_cannot_smuggle_in_another(value: str) -> None:
    """A line's end in a name or a value is refused."""
    with pytest.raises(ValueError, match="end of a line"):
        encode_headers({"A": value})
    with pytest.raises(ValueError, match="end of a line"):
        encode_headers({value: "a"})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (None, None),
        (b"NATS/1.0\r\nA: b\r\n\r\n", None),
        (b"NATS/1.0 503\r\n\r\n", 503),
        (b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 7\r\n\r\n", 408),
        (b"NATS/1.0 abc\r\n\r\n", None),
    ],
)
def test_status(headers: bytes | None, status: int | None) -> None:
    """The status stands in the first line, if at all."""
    assert status_of(headers) == status


def test_header_value() -> None:
    """A header is found by its whole name, in any place, with or without a space before its value."""
    headers = b"NATS/1.0 408 Request Timeout\r\nX-Pending: 1\r\nPending: 7\r\nLast:z\r\n\r\n"
    assert header_value(headers, "Pending") == "7"
    assert header_value(headers, "Last") == "z"
    assert header_value(headers, "Missing") is None
    assert header_value(None, "Last") is None


def test_headers_are_read_as_they_were_written() -> None:
    """Every header comes back; what is no header, or no UTF-8, harms nobody."""
    headers = {"A": "b", "Taskmill-Replayed": "true", "C": "d: e"}
    assert decode_headers(encode_headers(headers)) == headers
    assert decode_headers(b"NATS/1.0 503\r\n\r\n") == {}
    assert decode_headers(b"NATS/1.0\r\nnonsense\r\nA:b\r\nE: \xff\r\n\r\n") == {"A": "b", "E": "\ufffd"}
