"""What goes into a stream, and what JetStream says of it."""

import json
from dataclasses import dataclass
from typing import Any

import structlog

from taskmill.contracts.errors import BusUnavailableError

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class OutboundMessage:
    """A message for a stream."""

    subject: str
    body: bytes
    headers: dict[str, str]
    """Among them usually `Nats-Msg-Id`, by which JetStream drops a repeated message."""


@dataclass(frozen=True, slots=True)
class PubAck:
    """JetStream has stored a message or a batch, or had stored it before."""

    stream: str
    sequence: int
    """Where in the stream the (last) message is; 0 after a batch of which every message was a duplicate."""
    is_duplicate: bool
    """True when nothing was stored, because every message had been stored before."""


def read_frame(body: bytes) -> dict[str, Any]:
    """Parse what JetStream answers to a publication; `{}` when it is not a JSON object."""
    try:
        frame = json.loads(body)
    except ValueError:
        return {}
    return frame if isinstance(frame, dict) else {}


def pub_ack(frame: dict[str, Any]) -> PubAck:
    """The ack in a parsed answer.

    Raises:
        BusUnavailableError: JetStream did not store the message.
    """
    error = frame.get("error")
    if error is not None or "seq" not in frame:
        _log.warning("publish.refused", stream=frame.get("stream"), error=error)
        raise BusUnavailableError
    sequence = int(frame["seq"])
    return PubAck(str(frame.get("stream")), sequence, is_duplicate=bool(frame.get("duplicate")) or sequence == 0)
