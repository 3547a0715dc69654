"""Reads a JSON body into a model, within limits of type, size and time."""

import asyncio
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, TypeAdapter
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from taskmill.contracts.errors import PayloadTooLargeError
from taskmill.contracts.json_text import read_json
from taskmill.contracts.limits import MAX_BODY_BYTES
from taskmill.gateway.errors import RequestTimeoutError, UnsupportedMediaTypeError

BODY_TIMEOUT_SECONDS = 4.0
"""How long a body may take to arrive."""

HAS_ARRIVED = "taskmill.has_arrived"
"""In the scope of a request: its body was all there before anybody asked, as small ones are. So no time is taken."""


class BodyReader:
    """Reads the body of a request.

    Args:
        model: What the body must be.
        media_types: What it may be called. A body that says nothing of its type is refused.
        default: What a request without a body is read as; None: it is refused.
        timeout_seconds: How long a body may take to arrive.
    """

    def __init__(
        self,
        model: type[BaseModel],
        media_types: Sequence[str],
        default: BaseModel | None = None,
        *,
        timeout_seconds: float = BODY_TIMEOUT_SECONDS,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._adapter = TypeAdapter(model)
        self._media_types = media_types
        self._default = default

    async def read(self, scope: Scope, receive: Receive) -> BaseModel:
        """Receive, parse and validate.

        Raises:
            UnsupportedMediaTypeError: It is of another type, charset or content coding.
            PayloadTooLargeError: It is larger than `MAX_BODY_BYTES`.
            RequestTimeoutError: It did not arrive in time.
            ClientDisconnect: The client left first.
            RequestError: As `read_json` raises.
        """
        headers = dict(scope["headers"])
        if self._default is None:
            self._check_type(headers)
        if HAS_ARRIVED in scope:
            body = await _receive_all(receive)
        else:
            body = await receive_body(headers, receive, timeout_seconds=self._timeout_seconds)
        if self._default is not None:
            if not body:
                return self._default
            self._check_type(headers)
        return read_json(self._adapter, body)

    def _check_type(self, headers: dict[bytes, bytes]) -> None:
        if headers.get(b"content-type") == b"application/json" and b"content-encoding" not in headers:
            return
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        media_type, _, parameters = content_type.partition(";")
        is_known = media_type.strip().lower() in self._media_types
        is_utf8 = parameters.strip().lower() in {"", "charset=utf-8", 'charset="utf-8"'}
        if not (is_known and is_utf8) or b"content-encoding" in headers:
            raise UnsupportedMediaTypeError(self._media_types)


async def receive_body(
    headers: Mapping[bytes, bytes], receive: Receive, *, timeout_seconds: float = BODY_TIMEOUT_SECONDS
) -> bytes:
    """Receive a body.

    Raises:
        PayloadTooLargeError: It is larger than `MAX_BODY_BYTES`.
        RequestTimeoutError: It did not arrive in time.
        ClientDisconnect: The client left first.
    """
    # A body that says that it is too large is refused unread, also before the server says "100 Continue".
    if int(headers.get(b"content-length", 0)) > MAX_BODY_BYTES:
        raise PayloadTooLargeError("body", MAX_BODY_BYTES)
    request = asyncio.current_task()
    is_late = False

    def give_up() -> None:
        nonlocal is_late
        is_late = True
        if request is not None:
            request.cancel()

    # A bare timer: `asyncio.timeout` costs a tenth of a request's CPU.
    timer = asyncio.get_running_loop().call_later(timeout_seconds, give_up)
    try:
        return await _receive_all(receive)
    except asyncio.CancelledError:
        # Whoever else cancels it has the last word.
        if request is not None and is_late and request.uncancel() == 0:
            raise RequestTimeoutError from None
        raise
    finally:
        timer.cancel()


async def _receive_all(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > MAX_BODY_BYTES:
            raise PayloadTooLargeError("body", MAX_BODY_BYTES)
        if not message.get("more_body", False):
            return b"".join(chunks)
