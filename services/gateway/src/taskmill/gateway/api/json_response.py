"""Answers that are JSON already."""

from collections.abc import Mapping

from starlette.responses import Response


class JsonResponse(Response):
    """JSON as it came from the store; made in a third of the time that Starlette takes, which looks for more.

    Args:
        body: The text.
        status_code: Neither 204 nor 304, which have no body.
        headers: What else clients are told; neither of the body's length nor of its type.
    """

    media_type = "application/json"

    def __init__(self, body: bytes, status_code: int, headers: Mapping[str, str]) -> None:
        self.body = body
        self.status_code = status_code
        self.background = None
        self.raw_headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        self.raw_headers += ((b"content-length", b"%d" % len(body)), (b"content-type", b"application/json"))
