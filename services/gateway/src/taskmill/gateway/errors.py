"""Errors that only HTTP has. What every error is over HTTP stands in `api/http_errors.py`.

RequestError
├── PathNotFoundError          not_found
├── MalformedHttpError         malformed_http
├── HeadTooLargeError          head_too_large
├── MethodNotAllowedError      method_not_allowed
├── RequestTimeoutError        request_timeout
├── UnsupportedMediaTypeError  unsupported_media_type
├── UnauthenticatedError       unauthenticated
├── MissingScopeError          missing_scope
├── CrossSiteRequestError      cross_site_request
├── HostNotAllowedError        host_not_allowed
└── RateLimitedError           rate_limited
UnavailableError
└── ProviderUnavailableError   identity_provider_unavailable
"""

from collections.abc import Collection, Mapping, Sequence

from taskmill.contracts.api_keys import Scope
from taskmill.contracts.errors import Problem, RequestError, TaskmillError, UnavailableError

MAX_HEAD_BYTES = 64 * 1024
"""What the target of a request and its headers may have; what came in one piece of the network may exceed it."""


def error_headers(error: TaskmillError) -> dict[str, str]:
    """The headers that an error is told with."""
    return dict(getattr(error, "headers", ()))


class PathNotFoundError(RequestError):
    """There is nothing at the path."""

    code = "not_found"
    detail = "There is nothing at this path."


class MalformedHttpError(RequestError):
    """What came in is no HTTP request."""

    code = "malformed_http"
    detail = "This is not an HTTP/1.1 request that can be read."


class HeadTooLargeError(RequestError):
    """The target of a request and its headers together are too large."""

    code = "head_too_large"
    detail = f"The request's target and headers have more than {MAX_HEAD_BYTES} bytes."


class MethodNotAllowedError(RequestError):
    """The path exists, but not for the method; the header `Allow` has the methods that it exists for."""

    code = "method_not_allowed"
    detail = "The method is not one of those in the header Allow."

    def __init__(self, methods: Collection[str]) -> None:
        super().__init__()
        allowed = sorted({*methods, "HEAD"} if "GET" in methods else methods)
        self.headers = {"Allow": ", ".join(allowed)}


class RequestTimeoutError(RequestError):
    """The body did not arrive in time."""

    code = "request_timeout"
    detail = "The request's body did not arrive in time."


class UnsupportedMediaTypeError(RequestError):
    """The body is not in a form that the operation reads."""

    code = "unsupported_media_type"

    def __init__(self, media_types: Sequence[str]) -> None:
        super().__init__(f"The body must be UTF-8 of the type {' or '.join(media_types)}, without a content coding.")


class UnauthenticatedError(RequestError):
    """Nobody knows who asks: no credentials were brought, or they do not hold."""

    code = "unauthenticated"
    detail = "It takes an API key, or a token, as `Authorization: Bearer`."

    def __init__(self, detail: str | None = None, *, were_given: bool = False) -> None:
        super().__init__(detail)
        self.headers = {"WWW-Authenticate": 'Bearer error="invalid_token"' if were_given else "Bearer"}


class MissingScopeError(RequestError):
    """Who asks may not do this; the header `WWW-Authenticate` has the scope that it takes."""

    code = "missing_scope"

    def __init__(self, *scopes: Scope) -> None:
        needed = " ".join(scopes)
        super().__init__(f"It takes the scope {' and '.join(f'`{scope}`' for scope in scopes)}.")
        self.headers = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{needed}"'}


class CrossSiteRequestError(RequestError):
    """A web page of another site has its reader's browser ask."""

    code = "cross_site_request"
    detail = "Pages of other sites may ask for nothing here."


class HostNotAllowedError(RequestError):
    """The request was sent to a name that is not this gateway's."""

    code = "host_not_allowed"
    detail = "The gateway does not answer under the name in the header Host (TASKMILL_ALLOWED_HOSTS)."


class RateLimitedError(RequestError):
    """Who asks has asked as often as they may for now."""

    code = "rate_limited"
    detail = "No more requests for now (TASKMILL_RATE_LIMIT)."
    retry_after_seconds = 1

    def __init__(self, retry_after_seconds: int, headers: Mapping[str, str]) -> None:
        super().__init__()
        self.headers = headers
        self._retry_after_seconds = retry_after_seconds

    def problem(self) -> Problem:
        """With when it will be worth asking again."""
        return super().problem().model_copy(update={"retry_after_seconds": self._retry_after_seconds})


class ProviderUnavailableError(UnavailableError):
    """The keys of the identity provider cannot be had, so no token can be checked."""

    code = "identity_provider_unavailable"
    detail = "The identity provider does not answer."
    retry_after_seconds = 10


HTTP_ONLY_ERRORS: tuple[type[TaskmillError], ...] = (
    MalformedHttpError,
    HeadTooLargeError,
    PathNotFoundError,
    MethodNotAllowedError,
    RequestTimeoutError,
    UnsupportedMediaTypeError,
    UnauthenticatedError,
    MissingScopeError,
    CrossSiteRequestError,
    HostNotAllowedError,
    RateLimitedError,
    ProviderUnavailableError,
)
"""Errors that arise in the gateway, and never cross the bus."""
