"""The limit for anything on Starlette: it reads a body, and does nothing."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_ANSWER = b'{"id":"echo"}'


async def create(request: Request) -> Response:
    """Answer."""
    await request.body()
    return Response(_ANSWER, 201, media_type="application/json")


app = Starlette(routes=[Route("/tasks", create, methods=["POST"])])
