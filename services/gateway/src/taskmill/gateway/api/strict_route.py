"""The one kind of route that the gateway has: declared as FastAPI has it, read by ourselves.

An endpoint's signature says what it takes, and FastAPI makes the OpenAPI document from it. At run time `Parameters`
reads what it declares, for two reasons: strictness (JSON that cannot be kept exactly, coerced types, and unknown or
repeated query parameters are refused), and speed (FastAPI's own way costs more CPU than all the rest of a request).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Receive, Scope

from taskmill.contracts.errors import InternalError, TaskmillError
from taskmill.gateway.api.admission import REFUSALS
from taskmill.gateway.api.parameters import Parameters
from taskmill.gateway.api.problems import problem_responses
from taskmill.gateway.api.scopes import PUBLIC, SCOPES

Endpoint = Callable[..., Awaitable[Response]]


class StrictRoute(APIRoute):
    """A route whose endpoint gets exactly what its signature declares; see `Parameters` for what that may be.

    Args:
        path: The path, as Starlette has it: `/tasks/{task_id:uuid}`.
        endpoint: Answers a request. Its docstring is the operation's description.
        errors: What it may fail with, beyond what reading its parameters may.
        responses: Its other answers that OpenAPI shall know.
        options: Everything else that FastAPI knows of a route.
    """

    def __init__(
        self,
        path: str,
        endpoint: Endpoint,
        *,
        errors: Sequence[type[TaskmillError]] = (),
        responses: dict[int | str, dict[str, Any]] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(path, endpoint, responses=responses, **options)
        [method] = list(self.methods or ())
        self.scope = SCOPES[f"{method} {self.path_format}"]
        """What who asks must have; `PUBLIC`: nothing."""
        self.openapi_extra = {"security": [] if self.scope is PUBLIC else [{"bearer": [self.scope.value]}]}
        self._parameters = Parameters(self)
        # Added afterwards, because only now is known what reading the parameters may fail with.
        possible: set[type[TaskmillError]] = {*errors, *self._parameters.errors(), InternalError}
        if self.scope is not PUBLIC:
            possible.update(REFUSALS)
        self.responses = self.responses | problem_responses(possible)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as any route does, with HEAD taken for GET: the server leaves out the body of what answers it."""
        if "\n" in scope["path"]:
            # A path's pattern would match before a line feed at its end, too.
            return Match.NONE, {}
        if scope.get("method") == "HEAD":
            return super().matches({**scope, "method": "GET"})
        return super().matches(scope)

    async def answer(self, scope: Scope, receive: Receive) -> Response:
        """Answer a request that the path and the method match.

        Raises:
            TaskmillError: It cannot be answered as it wishes.
            ClientDisconnect: The client left before its body was complete.
        """
        response: Response = await self.endpoint(**await self._parameters.read(scope, receive))
        return response
