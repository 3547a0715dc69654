"""Makes each request over HTTP a span, in the trace of its client if that sends one."""

from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taskmill.contracts.tracing import TRACEPARENT_HEADER
from taskmill.runtime.tracing import current, start_span

_HEADER = TRACEPARENT_HEADER.encode()


class TracedRequests:
    """The layer before the dispatcher, where requests are traced.

    FastAPI's own tracing would want its layers of middleware, which this application does not have.

    Args:
        app: Answers; it leaves the route that it found in the scope.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        parent = next((value.decode("latin-1") for name, value in scope["headers"] if name == _HEADER), None)
        span = start_span(method, "server", parent, {"http.request.method": method})

        async def send_noted(message: Message) -> None:
            if span is not None and message["type"] == "http.response.start":
                status = message["status"]
                path = getattr(scope.get("route"), "path", None)
                known = {} if path is None else {"http.route": path}
                name = None if path is None else f"{method} {path}"
                span.describe({"http.response.status_code": status, **known}, name=name)
                if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    span.fail(str(status))
            await send(message)

        with current(span):
            await self._app(scope, receive, send_noted)
