"""Looks for messages in a stream without a consumer, by JetStream's direct get (ADR-31).

The stream must have `allow_direct`. In a cluster any replica answers: what was stored a moment ago may not be seen.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from taskmill.contracts.errors import BusUnavailableError
from taskmill.runtime.errors import JetStreamError, NoRespondersError
from taskmill.runtime.jetstream_api import API_PREFIX, API_TIMEOUT_SECONDS
from taskmill.runtime.nats_protocol import NO_RESPONDERS_STATUS, header_value, status_of
from taskmill.runtime.nats_session import NatsSession

MAX_SUBJECTS = 1_000
"""The server refuses a request that 1,024 subjects match."""

MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""The server sends an answer without flow control: no more of it at once than a connection takes in easily."""

MAX_TORN_ANSWERS = 5
"""A message that is acknowledged while the server answers tears the answer; so often it is asked again."""

_END_OF_BATCH_STATUS = 204
_NOT_FOUND_STATUS = 404
_NO_RESULTS = b"NATS/1.0 404 No Results"


class StoredMessage(NamedTuple):
    """A message as a stream keeps it."""

    sequence: int
    body: bytes
    headers: bytes | None
    """The raw header block, for `nats_protocol.header_value`."""


async def last_message(session: NatsSession, stream: str, subject: str) -> StoredMessage | None:
    """The newest message of a subject; None: there is none.

    Args:
        session: The connection.
        stream: The stream's name.
        subject: May hold wildcards.

    Raises:
        BusUnavailableError: Not connected, no such stream, or no answer in time.
        JetStreamError: It was refused.
    """
    return await _message(session, stream, {"last_by_subj": subject})


async def message_at(session: NatsSession, stream: str, sequence: int) -> StoredMessage | None:
    """The message at a place in the stream; None: there is none. Raises what `last_message` does."""
    return await _message(session, stream, {"seq": sequence}) if sequence > 0 else None


async def _message(session: NatsSession, stream: str, wanted: dict[str, Any]) -> StoredMessage | None:
    body = json.dumps(wanted).encode()
    try:
        answer = await session.requests.request(_api_subject(stream), body, timeout_seconds=API_TIMEOUT_SECONDS)
    except (NoRespondersError, TimeoutError):
        raise BusUnavailableError from None
    status = status_of(answer.headers)
    if status == _NOT_FOUND_STATUS:
        return None
    if status is not None:
        raise JetStreamError(status, "direct get refused")
    return StoredMessage(_number(answer.headers, "Nats-Sequence"), answer.body, answer.headers)


async def subjects_with_messages(session: NatsSession, stream: str, subjects: Sequence[str]) -> set[str]:
    """Those of some subjects that a message stands under.

    Args:
        session: The connection.
        stream: The stream's name.
        subjects: Exact ones, at most `MAX_SUBJECTS`.

    Raises:
        BusUnavailableError: Not connected, no such stream, or no answer in time.
        JetStreamError: It was refused.
    """
    found: set[str] = set()
    request: dict[str, Any] = {"multi_last": list(subjects), "max_bytes": MAX_ANSWER_BYTES}
    torn_answers = 0
    while subjects:
        part = _Part(session, stream)
        await part.fetch(json.dumps(request).encode())
        found |= part.subjects
        if part.is_torn:
            torn_answers += 1
            if torn_answers == MAX_TORN_ANSWERS:
                raise BusUnavailableError
        elif part.pending == 0:
            break
        else:
            # The next part continues behind this one, in the stream as it was at the first.
            request |= {"seq": part.last_sequence + 1, "up_to_seq": part.up_to_sequence}
    return found


class _Part:
    """The messages that answer one request, up to the empty one that ends them."""

    def __init__(self, session: NatsSession, stream: str) -> None:
        self._session = session
        self._stream = stream
        self._ended = asyncio.Event()
        self._refusal: int | None = None
        self.is_torn = False
        self.subjects: set[str] = set()
        self.pending = 0
        self.last_sequence = 0
        self.up_to_sequence = 0

    async def fetch(self, request: bytes) -> None:
        inbox = self._session.new_inbox()
        subscription = self._session.subscribe(inbox, self._on_message)
        try:
            self._session.publish(_api_subject(self._stream), request, reply=inbox)
            async with asyncio.timeout(API_TIMEOUT_SECONDS):
                await self._ended.wait()
        except TimeoutError:
            raise BusUnavailableError from None
        finally:
            self._session.unsubscribe(subscription)
        if self._refusal == NO_RESPONDERS_STATUS:
            raise BusUnavailableError
        if self._refusal is not None:
            raise JetStreamError(self._refusal, "direct get refused")

    def _on_message(self, _subject: bytes, _reply: bytes, _body: bytes, headers: bytes | None) -> None:
        status = status_of(headers)
        if status is None:
            self.subjects.add(_told_by_server(headers, "Nats-Subject") or "")
            return
        if status == _END_OF_BATCH_STATUS:
            self.pending = _number(headers, "Nats-Num-Pending")
            self.last_sequence = _number(headers, "Nats-Last-Sequence")
            self.up_to_sequence = _number(headers, "Nats-UpTo-Sequence")
        elif status != _NOT_FOUND_STATUS:
            self._refusal = status
        else:
            self.is_torn = headers is None or not headers.startswith(_NO_RESULTS)
        self._ended.set()


def _told_by_server(headers: bytes | None, name: str) -> str | None:
    """What the server says of a message: its headers come behind those that the message was sent with."""
    start = -1 if headers is None else headers.rfind(b"\r\n%b:" % name.encode())
    return None if headers is None or start < 0 else header_value(headers[start:], name)


def _number(headers: bytes | None, name: str) -> int:
    return int(_told_by_server(headers, name) or 0)


def _api_subject(stream: str) -> str:
    return f"{API_PREFIX}.DIRECT.GET.{stream}"
