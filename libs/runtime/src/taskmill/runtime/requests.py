"""Request and reply between services, with deadlines, errors that keep their code, and bounded work.

An error is answered as ADR-32 has it: headers `Nats-Service-Error` and `Nats-Service-Error-Code`, and our `Problem` as
the body. A large reply is deflated, with the header `Content-Encoding: deflate`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import MappingProxyType

import structlog
from pydantic import ValidationError

from taskmill.contracts.errors import (
    BusUnavailableError,
    InternalError,
    InvalidRequestError,
    OverloadedError,
    PayloadTooLargeError,
    Problem,
    RemoteError,
    TaskmillError,
)
from taskmill.contracts.tracing import TRACEPARENT_HEADER
from taskmill.runtime.actor import Actor, is_set_within
from taskmill.runtime.deflation import DEFLATE, DEFLATE_ABOVE_BYTES, ENCODING_HEADER, deflate, inflate
from taskmill.runtime.nats_protocol import INBOXES, NO_HEADERS, decode_headers, encode_headers, header_value
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.reply import Reply
from taskmill.runtime.request_bundles import (
    Part,
    RequestBundler,
    read_requests,
    read_traceparents,
    trace_headers,
    write_replies,
)
from taskmill.runtime.request_stats import EndpointStats
from taskmill.runtime.tracing import current, ending, is_tracing, start_child, start_span

_log = structlog.get_logger(__name__)

_ERROR_HEADER = "Nats-Service-Error"
_ERROR_CODE_HEADER = "Nats-Service-Error-Code"

RequestHandler = Callable[[bytes], Awaitable[bytes | Reply]]
"""Takes the body of a request and returns its reply, or just its body; a `TaskmillError` becomes an error reply."""

BundleHandler = Callable[[Sequence[bytes], Sequence[str | None]], Awaitable[Sequence[bytes | Reply | TaskmillError]]]
"""Takes the bodies of the requests of a bundle, and the traceparent of the span of each (None: it is not traced), and
returns what each is answered with."""


class RequestClient:
    """Sends requests to other services.

    Args:
        session: The connection.
        timeout_seconds: How long each request may take.
        bundled: Subjects whose requests travel together when they are made in the same moment, and where they then go.
    """

    def __init__(
        self, session: NatsSession, *, timeout_seconds: float, bundled: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._requests = session.requests
        self._timeout_seconds = timeout_seconds
        self._bundlers = {
            subject: RequestBundler(session.requests, subject, bundle_subject, timeout_seconds=timeout_seconds)
            for subject, bundle_subject in bundled.items()
        }

    async def request(self, subject: str, body: bytes, *, timeout_seconds: float | None = None) -> Reply:
        """Send a request and return its reply.

        A request that ends in a `TimeoutError` or a `BusUnavailableError` may have been carried out all the same.

        Args:
            subject: Where it goes.
            body: What it says.
            timeout_seconds: How long it may take; None: what the client was made with.

        Raises:
            NoRespondersError: No service is there.
            TimeoutError: None answered in time.
            BusUnavailableError: Not connected, at once; or the connection was lost meanwhile.
            RemoteError: The service answered with an error.
            PayloadTooLargeError: The request is larger than NATS takes.
        """
        span = start_child(subject, "client")
        if span is None:
            return await self._exchange(subject, body, timeout_seconds, None)
        with ending([span]):
            return await self._exchange(subject, body, timeout_seconds, span.traceparent)

    async def _exchange(
        self, subject: str, body: bytes, timeout_seconds: float | None, traceparent: str | None
    ) -> Reply:
        bundler = self._bundlers.get(subject) if timeout_seconds is None else None
        if bundler is not None:
            answer = await bundler.request(body, traceparent)
        else:
            timeout_seconds = self._timeout_seconds if timeout_seconds is None else timeout_seconds
            headers = trace_headers(traceparent)
            answer = await self._requests.request(subject, body, timeout_seconds=timeout_seconds, headers=headers)
        return Reply(answer.body) if answer.headers is None else _read(answer.body, decode_headers(answer.headers))


def _read(body: bytes, headers: dict[str, str]) -> Reply:
    if headers.pop(ENCODING_HEADER, None) == DEFLATE:
        body = inflate(body)
    if _ERROR_CODE_HEADER not in headers:
        return Reply(body, headers)
    try:
        problem = Problem.model_validate_json(body)
    except ValidationError:
        raise InternalError from None
    raise RemoteError(problem)


class RequestServer(Actor):
    """Answers requests, each in an asyncio task of its own. One whose answer would not go to an inbox is passed over.

    Args:
        session: The connection.
        name: The actor's name.
        routes: The handler of each subject; no wildcards.
        group: The queue group: of all servers in it, one gets a request.
        max_in_flight: Requests beyond it are answered with `overloaded` at once.
        deadline_seconds: A handler that takes longer is cancelled within a second, and the request answered with
            `overloaded`.
        bundled: The handler of each subject on which bundles of requests come.
    """

    def __init__(
        self,
        session: NatsSession,
        name: str,
        routes: Mapping[str, RequestHandler],
        *,
        group: str,
        max_in_flight: int,
        deadline_seconds: float = 10,
        bundled: Mapping[str, BundleHandler] = MappingProxyType({}),
    ) -> None:
        self.name = name
        self._session = session
        self._routes = routes
        self._bundled = bundled
        self._group = group
        self._max_in_flight = max_in_flight
        self._deadline_seconds = deadline_seconds
        self.stats = {subject: EndpointStats() for subject in (*routes, *bundled)}
        """What became of the requests, by subject."""
        # In the order in which they began, so that the overdue ones come first.
        self._in_flight: dict[asyncio.Task[None], float] = {}

    async def run(self, started: Callable[[], None]) -> None:
        """Serve until stopped; then unsubscribe, and finish what is in flight."""
        subscriptions = [
            self._session.subscribe(subject, partial(self._on_request, handler, self.stats[subject]), queue=self._group)
            for subject, handler in self._routes.items()
        ]
        subscriptions += [
            self._session.subscribe(subject, partial(self._on_bundle, handler, self.stats[subject]), queue=self._group)
            for subject, handler in self._bundled.items()
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

    def _on_request(
        self,
        handler: RequestHandler,
        stats: EndpointStats,
        subject: bytes,
        reply: bytes,
        body: bytes,
        headers: bytes | None,
    ) -> None:
        if not reply.startswith(INBOXES):
            return
        parent = header_value(headers, TRACEPARENT_HEADER) if headers is not None and is_tracing() else None
        if parent is None:
            self._begin(reply.decode(), stats, lambda: handler(body))
        else:
            self._begin(reply.decode(), stats, lambda: _traced(subject.decode(), parent, lambda: handler(body)))

    def _on_bundle(
        self,
        handler: BundleHandler,
        stats: EndpointStats,
        subject: bytes,
        reply: bytes,
        body: bytes,
        headers: bytes | None,
    ) -> None:
        if reply.startswith(INBOXES):
            self._begin(reply.decode(), stats, lambda: self._answer_bundle(handler, subject.decode(), body, headers))

    def _begin(self, reply: str, stats: EndpointStats, handle: Callable[[], Awaitable[bytes | Reply]]) -> None:
        if len(self._in_flight) >= self._max_in_flight:
            stats.note(0, OverloadedError.code)
            self._answer_error(reply, OverloadedError())
            return
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._answer(handle, reply, stats))
        self._in_flight[task] = loop.time()
        task.add_done_callback(self._in_flight.pop)

    async def _answer_bundle(self, handler: BundleHandler, subject: str, body: bytes, headers: bytes | None) -> Reply:
        requests = read_requests(body, headers)
        if requests is None:
            raise InvalidRequestError
        if not is_tracing():
            answers = await handler(requests, [None] * len(requests))
            return Reply(*write_replies([_part(answer) for answer in answers]))
        spans = [
            None if parent is None else start_span(subject, "server", parent)
            for parent in read_traceparents(headers, len(requests))
        ]
        with ending(spans):
            answers = await handler(requests, [None if span is None else span.traceparent for span in spans])
            for span, answer in zip(spans, answers, strict=True):
                if span is not None and isinstance(answer, TaskmillError):
                    span.fail(answer.problem().code)
        return Reply(*write_replies([_part(answer) for answer in answers]))

    async def _answer(self, handle: Callable[[], Awaitable[bytes | Reply]], reply: str, stats: EndpointStats) -> None:
        begun_at = time.perf_counter()
        code = None
        try:
            answer = await handle()
        except TaskmillError as error:
            code = error.problem().code
            self._answer_error(reply, error)
        except asyncio.CancelledError:
            code = OverloadedError.code
            self._answer_error(reply, OverloadedError())
            raise
        except Exception:
            code = InternalError.code
            _log.exception("request.failed", server=self.name)
            self._answer_error(reply, InternalError())
        else:
            self._answer_with(reply, *(answer if isinstance(answer, Reply) else Reply(answer)))
        finally:
            stats.note(time.perf_counter() - begun_at, code)

    def _answer_with(self, reply: str, body: bytes, headers: Mapping[str, str]) -> None:
        if len(body) > DEFLATE_ABOVE_BYTES:
            body, headers = deflate(body), {**headers, ENCODING_HEADER: DEFLATE}
        try:
            self._session.publish(reply, body, headers=headers)
        except PayloadTooLargeError:
            _log.error("request.reply_too_large", server=self.name, reply_bytes=len(body))
            self._answer_error(reply, InternalError())
        except BusUnavailableError:
            _log.warning("request.unanswered", server=self.name)

    def _answer_error(self, reply: str, error: TaskmillError) -> None:
        body, headers = _error_reply(error)
        try:
            self._session.publish(reply, body, headers=headers)
        except (TaskmillError, ValueError):
            _log.warning("request.unanswered", server=self.name, code=error.code)

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


async def _traced(name: str, parent: str, handle: Callable[[], Awaitable[bytes | Reply]]) -> bytes | Reply:
    span = start_span(name, "server", parent)
    with current(span):
        try:
            return await handle()
        except TaskmillError as error:
            if span is not None:
                span.fail(error.problem().code)
            raise


def _part(answer: bytes | Reply | TaskmillError) -> Part:
    if isinstance(answer, bytes):
        return Part(NO_HEADERS, answer)
    body, headers = _error_reply(answer) if isinstance(answer, TaskmillError) else answer
    return Part(encode_headers(headers), body)


def _error_reply(error: TaskmillError) -> Reply:
    problem = error.problem()
    headers = {
        _ERROR_HEADER: problem.detail.replace("\r", " ").replace("\n", " "),
        _ERROR_CODE_HEADER: problem.code,
    }
    return Reply(problem.model_dump_json().encode(), headers)
