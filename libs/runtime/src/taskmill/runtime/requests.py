"""Request and reply between services, with deadlines, errors that keep their code, and bounded work.

An error is answered as ADR-32 has it: headers `Nats-Service-Error` and `Nats-Service-Error-Code`, and our `Problem` as
the body. A large reply is deflated, with the header `Content-Encoding: deflate`.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import structlog
from pydantic import ValidationError

from taskmill.contracts.errors import (
    BusUnavailableError,
    InternalError,
    OverloadedError,
    PayloadTooLargeError,
    Problem,
    RemoteError,
    StoreUnavailableError,
    TaskmillError,
)
from taskmill.runtime.actor import Actor, is_set_within
from taskmill.runtime.failpoint import failpoint
from taskmill.runtime.nats_protocol import decode_headers
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.request_mux import NoRespondersError

_log = structlog.get_logger(__name__)

DEFLATE_ABOVE_BYTES = 512 * 1024
MAX_INFLATED_BYTES = 64 * 1024 * 1024

_ERROR_HEADER = "Nats-Service-Error"
_ERROR_CODE_HEADER = "Nats-Service-Error-Code"
_ENCODING_HEADER = "Content-Encoding"
_DEFLATE = "deflate"
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Reply(NamedTuple):
    """What a request is answered with.

    Attributes:
        body: What it says.
        headers: What else is to be known of it, by name. `Content-Encoding` is not for handlers to set.
    """

    body: bytes
    headers: Mapping[str, str] = _NO_HEADERS


Handler = Callable[[bytes], Awaitable[bytes | Reply]]
"""Takes the body of a request and returns its reply, or just its body; a `TaskmillError` becomes an error reply."""


class RequestClient:
    """Sends requests to other services.

    Args:
        session: The connection.
        timeout_seconds: How long each request may take.
    """

    def __init__(self, session: NatsSession, *, timeout_seconds: float) -> None:
        self._requests = session.requests
        self._timeout_seconds = timeout_seconds

    async def request(self, subject: str, body: bytes, *, timeout_seconds: float | None = None) -> Reply:
        """Send a request and return its reply.

        A request that ends in an `UnavailableError` may have been carried out all the same.

        Args:
            subject: Where it goes.
            body: What it says.
            timeout_seconds: How long it may take; None: what the client was made with.

        Raises:
            StoreUnavailableError: No service answered in time, or none is there.
            BusUnavailableError: Not connected, at once; or the connection was lost meanwhile.
            RemoteError: The service answered with an error.
            PayloadTooLargeError: The request is larger than NATS takes.
        """
        if timeout_seconds is None:
            timeout_seconds = self._timeout_seconds
        try:
            answer = await self._requests.request(subject, body, timeout_seconds=timeout_seconds)
        except (NoRespondersError, TimeoutError):
            raise StoreUnavailableError from None
        return Reply(answer.body) if answer.headers is None else _read(answer.body, decode_headers(answer.headers))


def _read(body: bytes, headers: dict[str, str]) -> Reply:
    if headers.pop(_ENCODING_HEADER, None) == _DEFLATE:
        body = _inflate(body)
    if _ERROR_CODE_HEADER not in headers:
        return Reply(body, headers)
    try:
        problem = Problem.model_validate_json(body)
    except ValidationError:
        raise InternalError from None
    raise RemoteError(problem)


def _inflate(body: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(body, MAX_INFLATED_BYTES)
    except zlib.error:
        raise InternalError from None
    if not inflater.eof:
        raise InternalError
    return inflated


class RequestServer(Actor):
    """Answers requests, each in an asyncio task of its own.

    Args:
        session: The connection.
        name: The actor's name.
        routes: The handler of each subject; no wildcards.
        group: The queue group: of all servers in it, one gets a request.
        max_in_flight: Requests beyond it are answered with `overloaded` at once.
        deadline_seconds: A handler that takes longer is cancelled within a second, and the request answered with
            `overloaded`.
    """

    def __init__(
        self,
        session: NatsSession,
        name: str,
        routes: Mapping[str, Handler],
        *,
        group: str,
        max_in_flight: int,
        deadline_seconds: float = 10,
    ) -> None:
        self.name = name
        self._session = session
        self._routes = routes
        self._group = group
        self._max_in_flight = max_in_flight
        self._deadline_seconds = deadline_seconds
        # In the order in which they began, so that the overdue ones come first.
        self._in_flight: dict[asyncio.Task[None], float] = {}
        self._stop_requested = asyncio.Event()

    def stop(self) -> None:
        """Begin the drain: unsubscribe, then finish what is in flight."""
        self._stop_requested.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Serve until drained."""
        subscriptions = [
            self._session.subscribe(subject, partial(self._on_request, handler), queue=self._group)
            for subject, handler in self._routes.items()
        ]
        try:
            # Ready only when the server knows the subscriptions, or a request sent now would find nobody.
            await self._session.flush()
            started()
            while not await is_set_within(self._stop_requested, 1):
                self._cancel_overdue()
            for subscription in subscriptions:
                await self._session.drain(subscription)
            await self._finish()
        finally:
            for subscription in subscriptions:
                self._session.unsubscribe(subscription)
            for task in self._in_flight:
                task.cancel()

    def _on_request(self, handler: Handler, _subject: bytes, reply: bytes, body: bytes, _headers: bytes | None) -> None:
        if not reply:
            return
        if len(self._in_flight) >= self._max_in_flight:
            self._answer_error(reply.decode(), OverloadedError())
            return
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._answer(handler, reply.decode(), body))
        self._in_flight[task] = loop.time()
        task.add_done_callback(self._in_flight.pop)

    async def _answer(self, handler: Handler, reply: str, body: bytes) -> None:
        try:
            answer = await handler(body)
        except TaskmillError as error:
            self._answer_error(reply, error)
        except asyncio.CancelledError:
            self._answer_error(reply, OverloadedError())
            raise
        except Exception:
            _log.exception("request.failed", server=self.name)
            self._answer_error(reply, InternalError())
        else:
            failpoint("store.before_reply")
            self._answer_with(reply, *(answer if isinstance(answer, Reply) else Reply(answer)))

    def _answer_with(self, reply: str, body: bytes, headers: Mapping[str, str]) -> None:
        if len(body) > DEFLATE_ABOVE_BYTES:
            body, headers = zlib.compress(body, 1), {**headers, _ENCODING_HEADER: _DEFLATE}
        try:
            self._session.publish(reply, body, headers=headers)
        except PayloadTooLargeError:
            _log.error("request.reply_too_large", server=self.name, reply_bytes=len(body))
            self._answer_error(reply, InternalError())
        except BusUnavailableError:
            _log.warning("request.unanswered", server=self.name)

    def _answer_error(self, reply: str, error: TaskmillError) -> None:
        problem = error.problem()
        headers = {
            _ERROR_HEADER: problem.detail.replace("\r", " ").replace("\n", " "),
            _ERROR_CODE_HEADER: problem.code,
        }
        try:
            self._session.publish(reply, problem.model_dump_json().encode(), headers=headers)
        except (TaskmillError, ValueError):
            _log.warning("request.unanswered", server=self.name, code=problem.code)

    def _cancel_overdue(self) -> None:
        latest_start = asyncio.get_running_loop().time() - self._deadline_seconds
        for task, started_at in self._in_flight.items():
            if started_at > latest_start:
                break
            task.cancel()

    async def _finish(self) -> None:
        while self._in_flight:
            await asyncio.wait(self._in_flight, timeout=1)
            self._cancel_overdue()
        with suppress(BusUnavailableError):
            await self._session.flush()
