"""Reads what forms send."""

from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request

from taskmill.contracts.errors import InvalidRequestError
from taskmill.gateway.api.body_reader import receive_body
from taskmill.gateway.errors import CrossSiteRequestError, UnsupportedMediaTypeError

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 1_100
"""A page has 200 tasks at most; an operation may name 1,000."""


class Form:
    """The fields of a form.

    Args:
        pairs: As they came.
    """

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def one(self, name: str, default: str = "") -> str:
        """The value of a field, without what surrounds it."""
        return next((value.strip() for given, value in self._pairs if given == name), default)

    def text(self, name: str) -> str:
        """The value of a field as it was typed, its lines as everywhere else."""
        return next((value.replace("\r\n", "\n") for given, value in self._pairs if given == name), "")

    def all(self, name: str) -> list[str]:
        """All values of a field."""
        return [value for given, value in self._pairs if given == name]

    def names(self) -> set[str]:
        """The fields that are there."""
        return {name for name, _ in self._pairs}

    def has(self, name: str) -> bool:
        """Whether a field is there: a box is ticked."""
        return any(given == name for given, _ in self._pairs)


async def read_form(request: Request) -> Form:
    """Receive and parse the body of a request that the dashboard has sent.

    Raises:
        CrossSiteRequestError: Something else has sent it: no page of another site can set this header.
        UnsupportedMediaTypeError: It is no form.
        PayloadTooLargeError: It is larger than `MAX_BODY_BYTES`.
        RequestTimeoutError: It did not arrive in time.
        InvalidRequestError: It is not URL-encoded UTF-8, or has too many fields.
    """
    if "hx-request" not in request.headers:
        raise CrossSiteRequestError
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != FORM:
        raise UnsupportedMediaTypeError([FORM])
    body = await receive_body(dict(request.scope["headers"]), request.receive)
    try:
        text = body.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise InvalidRequestError("The form is not URL-encoded UTF-8 of up to 1,100 fields.") from error
    return Form(pairs)


def filled_in(request: Request, *, without: frozenset[str] = frozenset()) -> list[tuple[str, str]]:
    """The query parameters that say something: forms send those that were left empty, too.

    Raises:
        InvalidRequestError: There are too many.
    """
    try:
        query = parse_qsl(request.url.query, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise InvalidRequestError("The address has more than 1,100 parameters.") from error
    return [(name, value.strip()) for name, value in query if value.strip() and name not in without]


def encoded(pairs: list[tuple[str, str]]) -> bytes:
    """Parameters as a query string."""
    return urlencode(pairs).encode()
