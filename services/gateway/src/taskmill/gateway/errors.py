"""Errors that only HTTP has. What every error is over HTTP stands in `api/http_errors.py`.

RequestError
├── PathNotFoundError          not_found
├── MalformedHttpError         malformed_http
├── MethodNotAllowedError      method_not_allowed
├── RequestTimeoutError        request_timeout
└── UnsupportedMediaTypeError  unsupported_media_type
"""

from collections.abc import Collection, Sequence

from taskmill.contracts.errors import RequestError


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

    def __init__(self, methods: Collection[str]) -> None:
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
