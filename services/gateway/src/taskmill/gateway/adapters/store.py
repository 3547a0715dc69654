"""The task store, as the gateway sees it: requests over NATS, replies passed on as they came."""

from typing import Protocol

from pydantic import BaseModel

from taskmill.contracts.errors import OverloadedError, PayloadTooLargeError, StoreUnavailableError
from taskmill.contracts.limits import MAX_MESSAGE_BYTES
from taskmill.contracts.registry import Command
from taskmill.runtime.errors import NoRespondersError
from taskmill.runtime.reply import Reply

MAX_REQUEST_BYTES = MAX_MESSAGE_BYTES - 16 * 1024
"""A request as JSON: a message, less room for its headers."""

MAX_REQUESTS_IN_FLIGHT = 2_000


class Requester(Protocol):
    """Sends a request and waits for its reply; `taskmill.runtime.requests.RequestClient` is one."""

    async def request(self, subject: str, body: bytes, *, timeout_seconds: float | None = None) -> Reply:
        """Send `body` and return the reply; `timeout_seconds` None: the requester's own.

        Raises:
            NoRespondersError: Nobody is there.
            TimeoutError: Nobody answered in time.
            BusUnavailableError: NATS is away.
            RemoteError: The answer is an error.
        """


def request_json(request: BaseModel) -> bytes:
    """A request as compact JSON, without the fields that were never set: they are left to the store."""
    return request.__pydantic_serializer__.to_json(request, exclude_unset=True)


class Store:
    """Sends requests to the task store.

    Args:
        requester: Carries them.
    """

    def __init__(self, requester: Requester) -> None:
        self._requester = requester
        self._in_flight = 0

    async def ask(self, command: Command, request: BaseModel | bytes, *, timeout_seconds: float | None = None) -> Reply:
        """Send a request.

        Args:
            command: What is asked for.
            request: An instance of the command's request model, or its JSON as `request_json` makes it.
            timeout_seconds: How long it may take; None: as long as any.

        Returns:
            The JSON of the command's reply model, with the reply's headers.

        Raises:
            PayloadTooLargeError: The request does not fit a message, though the HTTP body fitted its limit: numbers
                such as `1e15` take more room when they are written out.
            OverloadedError: Too many requests wait for their reply.
            UnavailableError: Nobody answered in time.
            RemoteError: The store answered with an error.
        """
        body = request if isinstance(request, bytes) else request_json(request)
        if len(body) > MAX_REQUEST_BYTES:
            raise PayloadTooLargeError("request, written as compact JSON,", MAX_REQUEST_BYTES)
        if self._in_flight >= MAX_REQUESTS_IN_FLIGHT:
            raise OverloadedError
        self._in_flight += 1
        try:
            return await self._requester.request(command.subject, body, timeout_seconds=timeout_seconds)
        except (NoRespondersError, TimeoutError):
            raise StoreUnavailableError from None
        finally:
            self._in_flight -= 1
