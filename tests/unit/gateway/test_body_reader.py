"""How bodies arrive: in parts, slowly, or not at all."""

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.types import Message

from taskmill.contracts.errors import PayloadTooLargeError
from taskmill.contracts.limits import MAX_BODY_BYTES
from taskmill.gateway.api.body_reader import BodyReader
from taskmill.gateway.errors import RequestTimeoutError


class Greeting(BaseModel):
    """What the bodies of these tests hold."""

    text: str


def _scope(**headers: str) -> dict[str, Any]:
    headers = {"content-type": "application/json", **headers}
    return {"headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]}


def _part(body: bytes, *, more_body: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more_body}


class Parts:
    """A connection that delivers these messages, and then nothing any more."""

    def __init__(self, *messages: Message) -> None:
        self.left = list(messages)

    async def receive(self) -> Message:
        """The next message, or silence."""
        if not self.left:
            await asyncio.Event().wait()
        return self.left.pop(0)


READER = BodyReader(Greeting, ["application/json"])


async def test_parts_are_put_together() -> None:
    """A body may come in many parts, also empty ones."""
    parts = Parts(_part(b'{"te', more_body=True), _part(b"", more_body=True), _part(b'xt": "hi"}', more_body=False))
    assert await READER.read(_scope(), parts.receive) == Greeting(text="hi")


async def test_a_body_that_says_that_it_is_too_large_is_not_read() -> None:
    """It is refused before its first byte."""
    parts = Parts(_part(b"{}", more_body=False))
    with pytest.raises(PayloadTooLargeError):
        await READER.read(_scope(content_length=str(MAX_BODY_BYTES + 1)), parts.receive)
    assert len(parts.left) == 1


async def test_a_body_is_counted_while_it_arrives() -> None:
    """What comes after the limit is not waited for."""
    parts = Parts(_part(b" " * MAX_BODY_BYTES, more_body=True), _part(b" ", more_body=True))
    with pytest.raises(PayloadTooLargeError):
        await READER.read(_scope(), parts.receive)


async def test_a_body_that_stays_away_is_given_up() -> None:
    """A client that sends half a body, and then nothing, does not hold the request for ever."""
    reader = BodyReader(Greeting, ["application/json"], timeout_seconds=0.01)
    parts = Parts(_part(b"{", more_body=True))
    with pytest.raises(RequestTimeoutError):
        await reader.read(_scope(), parts.receive)


async def test_a_client_that_leaves_ends_the_request() -> None:
    """There is nobody to answer."""
    parts = Parts(_part(b"{", more_body=True), {"type": "http.disconnect"})
    with pytest.raises(ClientDisconnect):
        await READER.read(_scope(), parts.receive)
