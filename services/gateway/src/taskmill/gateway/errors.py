"""Errors that only HTTP has, and the one table of what every error is over HTTP.

RequestError
├── PathNotFoundError          not_found
├── MalformedHttpError         malformed_http
├── MethodNotAllowedError      method_not_allowed
├── RequestTimeoutError        request_timeout
└── UnsupportedMediaTypeError  unsupported_media_type
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from taskmill.contracts.errors import InternalError, RequestError


class PathNotFoundError(RequestError):
    """There is nothing at the path."""

    code = "not_found"
    detail = "There is nothing at this path."


class MalformedHttpError(RequestError):
    """What came in is no HTTP request."""

    code = "malformed_http"
    detail = "This is not an HTTP/1.1 request that can be read."


class MethodNotAllowedError(RequestError):
    """The path exists, but not for the method; the header `Allow` has the methods that it exists for."""

    code = "method_not_allowed"
    detail = "The method is not one of those in the header Allow."

    def __init__(self, methods: Collection[str] = ()) -> None:
        super().__init__()
        self.allowed = sorted({*methods, "HEAD"} if "GET" in methods else methods)


class RequestTimeoutError(RequestError):
    """The body did not arrive in time."""

    code = "request_timeout"
    detail = "The request's body did not arrive in time."


class UnsupportedMediaTypeError(RequestError):
    """The body is not in a form that the operation reads."""

    code = "unsupported_media_type"

    def __init__(self, media_types: Sequence[str]) -> None:
        super().__init__(f"The body must be UTF-8 of the type {' or '.join(media_types)}, without a content coding.")


HTTP_ONLY_ERRORS: tuple[type[RequestError], ...] = (
    MalformedHttpError,
    PathNotFoundError,
    MethodNotAllowedError,
    RequestTimeoutError,
    UnsupportedMediaTypeError,
)
"""Errors that arise in the gateway, and never cross the bus."""


@dataclass(frozen=True, slots=True)
class HttpError:
    """What an error is over HTTP.

    Attributes:
        status: The status code.
        title: What every error of this kind is called, for people.
    """

    status: int
    title: str


HTTP_ERRORS = {
    "invalid_json": HttpError(400, "The body is no JSON that can be kept"),
    "malformed_http": HttpError(400, "No HTTP request"),
    "not_found": HttpError(404, "Nothing at this path"),
    "task_not_found": HttpError(404, "No such task"),
    "bulk_operation_not_found": HttpError(404, "No such bulk operation"),
    "method_not_allowed": HttpError(405, "Method not allowed"),
    "request_timeout": HttpError(408, "The body did not arrive in time"),
    "already_finished": HttpError(409, "There is nothing to cancel"),
    "illegal_transition": HttpError(409, "The lifecycle has no such way"),
    "run_active": HttpError(409, "The task is being processed"),
    "task_exists": HttpError(409, "The task exists already"),
    "revision_mismatch": HttpError(412, "The task has changed"),
    "payload_too_large": HttpError(413, "Too large"),
    "unsupported_media_type": HttpError(415, "Unsupported media type"),
    "field_not_editable": HttpError(422, "A field is not editable"),
    "idempotency_key_reused": HttpError(422, "The Idempotency-Key was used for another request"),
    "invalid_request": HttpError(422, "The request does not fit its schema"),
    "too_many_queues": HttpError(422, "Too many queues"),
    "queue_full": HttpError(429, "The queue is full"),
    "internal_error": HttpError(500, "Internal error"),
    "bus_unavailable": HttpError(503, "The message bus is away"),
    "database_unavailable": HttpError(503, "The database is away"),
    "overloaded": HttpError(503, "Overloaded"),
    "store_unavailable": HttpError(503, "The task store is away"),
}


def http_error(code: str) -> HttpError:
    """What the error with this code is over HTTP; a code from a newer task store is an internal error."""
    return HTTP_ERRORS.get(code, HTTP_ERRORS[InternalError.code])
