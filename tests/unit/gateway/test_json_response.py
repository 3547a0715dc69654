"""Answers whose JSON is there already."""

from starlette.responses import Response

from taskmill.gateway.api.json_response import JsonResponse


def test_it_says_what_an_ordinary_response_would() -> None:
    """Status, body and headers are the same; only the way there is shorter."""
    headers = {"Location": "/tasks/1", "ETag": '"1"'}
    made = JsonResponse(b'{"id":1}', 201, headers)
    ordinary = Response(b'{"id":1}', 201, headers=headers, media_type="application/json")
    assert (made.status_code, made.body, made.raw_headers) == (201, ordinary.body, ordinary.raw_headers)
    made.headers["Vary"] = "Accept"
    assert (b"vary", b"Accept") in made.raw_headers
