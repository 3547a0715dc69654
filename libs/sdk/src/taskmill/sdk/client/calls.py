"""A request of the API and how its answer is read: as values, so that both clients share them."""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import httpx
from pydantic import ValidationError

from taskmill.contracts.errors import Problem
from taskmill.sdk.client.errors import ApiError, ApiProblem, NotFoundError, UnreadableAnswerError, api_error

EVENT_STREAM = "text/event-stream"

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T_co]):
    """One request.

    Attributes:
        method: The HTTP method.
        path: Behind the base URL.
        read: Makes the value of a successful answer.
        params: The query.
        headers: Beside those of every request.
        body: JSON; None: none.
        is_repeatable: Whether it may be made again when nobody knows whether it was carried out.
        is_gone_fine: Whether "not found" is as good as success when the request is made again: it was carried out.
        accepts: Statuses of errors that are answers all the same, if their body can be read.
        is_stream: Whether the answer is read by who called, bit by bit.
        wait_seconds: How long the answer may take beside what any request may; of a stream, each bit of it.
        within_seconds: How long the request may be made again, as often as it takes; None: as the client says.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T_co]
    params: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    is_repeatable: bool = True
    is_gone_fine: bool = False
    accepts: Collection[int] = ()
    is_stream: bool = False
    wait_seconds: float = 0
    within_seconds: float | None = None


Flow: TypeAlias = Generator[Call[Any], Any, T]
"""Several calls, one after another: yields each, gets what it was answered, or its error, and returns what came out."""


class Page(NamedTuple, Generic[T]):
    """Some items of a list."""

    items: Sequence[T]
    next_call: "Call[Page[T]] | None"
    """For the next page; None: this was the last."""


def is_read_later(call: Call[Any], response: httpx.Response) -> bool:
    """Whether an answer is the stream that was asked for, whose body is left to who called."""
    return call.is_stream and response.is_success and is_event_stream(response)


def is_event_stream(response: httpx.Response) -> bool:
    """Whether an answer says that it is a stream of events."""
    return bool(response.headers.get("Content-Type", "").startswith(EVENT_STREAM))


def read_answer(call: Call[T], response: httpx.Response, *, is_first: bool) -> T:
    """What a call was answered.

    Args:
        call: What was asked.
        response: The answer; its body has been received, unless it is a stream.
        is_first: Whether the request was made for the first time.

    Raises:
        ApiError: It is an error.
        UnreadableAnswerError: It is none, but cannot be read either.
    """
    if not (response.is_success or response.status_code == httpx.codes.NOT_MODIFIED):
        error = _error(response)
        if response.status_code in call.accepts:
            with suppress(ValueError):
                return call.read(response)
        if not (call.is_gone_fine and not is_first and isinstance(error, NotFoundError)):
            raise error
    try:
        return call.read(response)
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableAnswerError(f"The answer to {call.method} {call.path} cannot be read: {error}") from error


def _error(response: httpx.Response) -> ApiError:
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        # A proxy's, most likely.
        problem = Problem(code=f"http_{response.status_code}", detail=response.reason_phrase or "No explanation.")
    return api_error(
        ApiProblem(
            status=response.status_code,
            code=problem.code,
            detail=problem.detail,
            errors=problem.errors,
            task_id=problem.task_id,
            request_id=response.headers.get("X-Request-ID"),
            retry_after_seconds=_retry_after_seconds(response.headers.get("Retry-After")),
        )
    )


def _retry_after_seconds(header: str | None) -> float | None:
    """What `Retry-After` says (RFC 9110 §10.2.3): seconds, or an instant; None: nothing that can be read."""
    if header is None:
        return None
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        instant = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    return max((instant.replace(tzinfo=instant.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)
