"""Finds the route of a request and has it answered; whatever goes wrong becomes a problem."""

from collections.abc import Sequence

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from taskmill.contracts.errors import InternalError, TaskmillError
from taskmill.gateway.api.problems import problem_response
from taskmill.gateway.api.strict_route import StrictRoute
from taskmill.gateway.errors import MethodNotAllowedError, PathNotFoundError


class Dispatcher:
    """The ASGI application behind FastAPI, instead of its layers of middleware: those cost as much CPU as all else.

    Args:
        routes: All routes. Of several that fit, the first is taken.
    """

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = routes
        # Paths without parameters need no search, the one that most requests go to among them.
        self._fixed: dict[tuple[str, str], BaseRoute] = {}
        for route in routes:
            if isinstance(route, StrictRoute) and "{" not in route.path:
                for method in route.methods or ():
                    self._fixed.setdefault((method, route.path), route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            route = self._fixed.get((scope["method"], scope["path"])) or self._find(scope)
            if not isinstance(route, StrictRoute):
                await route.handle(scope, receive, send)
                return
            response = await route.answer(scope, receive)
        except MethodNotAllowedError as error:
            response = problem_response(error.problem(), {"Allow": ", ".join(error.allowed)})
        except TaskmillError as error:
            response = problem_response(error.problem())
        except ClientDisconnect:
            response = Response(status_code=400)  # nobody is there to read it
        except Exception:
            await problem_response(InternalError().problem())(scope, receive, send)
            # The server logs it with its traceback.
            raise
        await response(scope, receive, send)

    def _find(self, scope: Scope) -> BaseRoute:
        """The first route that fits; what its path says goes into the scope.

        Raises:
            PathNotFoundError: No route has the path.
            MethodNotAllowedError: Some have, but for other methods.
        """
        methods: set[str] = set()
        for route in self._routes:
            match, details = route.matches(scope)
            if match is Match.FULL:
                scope.update(details)
                return route
            if match is Match.PARTIAL:
                methods |= set(getattr(route, "methods", ()))
        if not methods:
            raise PathNotFoundError
        raise MethodNotAllowedError(methods)
