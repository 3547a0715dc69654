"""Answers that are pages of a list."""

from urllib.parse import parse_qsl, urlencode

from fastapi import Request, Response
from pydantic import BaseModel

from taskmill.runtime.reply import Reply

NEXT = {"Link": {"description": 'The next page, as `rel="next"`, if any.', "schema": {"type": "string"}}}
"""The headers of a page, for OpenAPI."""


class _Page(BaseModel):
    """The one field of a page that the gateway reads."""

    next_cursor: str | None = None


def page_response(request: Request, reply: Reply) -> Response:
    """A page of the store, with the address of the next one in the header `Link`."""
    response = Response(reply.body, media_type="application/json")
    cursor = _Page.model_validate_json(reply.body).next_cursor
    if cursor is not None:
        response.headers["Link"] = f'<{_next_page(request, cursor)}>; rel="next"'
    return response


def _next_page(request: Request, cursor: str) -> str:
    parameters = [pair for pair in parse_qsl(request.url.query, keep_blank_values=True) if pair[0] != "cursor"]
    return f"{request.url.path}?{urlencode([*parameters, ('cursor', cursor)])}"
