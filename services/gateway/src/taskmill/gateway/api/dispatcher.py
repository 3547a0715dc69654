"""Finds the route of a request and has it answered; whatever goes wrong becomes a problem."""

import re
import time
from collections.abc import Sequence
from uuid import UUID

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from taskmill.contracts.errors import (
    BulkOperationNotFoundError,
    GroupNotFoundError,
    InternalError,
    ReplayNotFoundError,
    ScheduleNotFoundError,
    TaskmillError,
    TaskNotFoundError,
    WebhookNotFoundError,
)
from taskmill.gateway.api.admission import Admission, Told
from taskmill.gateway.api.problems import problem_response
from taskmill.gateway.api.scopes import PUBLIC
from taskmill.gateway.api.strict_route import StrictRoute
from taskmill.gateway.errors import MethodNotAllowedError, PathNotFoundError, error_headers
from taskmill.runtime.histogram import Histograms
from taskmill.runtime.metrics import Metric

_NOT_FOUND: dict[str, type[TaskmillError]] = {
    "tasks": TaskNotFoundError,
    "operations": BulkOperationNotFoundError,
    "groups": GroupNotFoundError,
    "webhooks": WebhookNotFoundError,
    "replays": ReplayNotFoundError,
    "schedules": ScheduleNotFoundError,
}
_WITH_ID = re.compile(rf"/(?P<collection>{'|'.join(_NOT_FOUND)})/[^/\n]+(?P<rest>(/[^\n]+)?)")
_ANY_ID = UUID(int=0)

HTTP_SECONDS = Metric(
    "taskmill_http_request_seconds",
    "histogram",
    "From a request over HTTP to the start of its answer, by operation and status.",
    ("operation", "status"),
)

NO_OPERATION = "none"
"""In metrics: no route fits."""


class Dispatcher:
    """The ASGI application behind FastAPI, instead of its layers of middleware: those cost as much CPU as all else.

    Args:
        routes: All routes. Of several that fit, the first is taken. One that is none of ours is public.
        admission: Says who may ask for what.
        seconds: Where it is counted how long answers take, by operation and status.
    """

    def __init__(self, routes: Sequence[BaseRoute], admission: Admission, seconds: Histograms) -> None:
        self._admission = admission
        self._routes = routes
        self._seconds = seconds
        # Paths without parameters need no search, the one that most requests go to among them.
        self._fixed: dict[tuple[str, str], BaseRoute] = {}
        for route in routes:
            if isinstance(route, StrictRoute) and "{" not in route.path:
                for method in route.methods or ():
                    self._fixed.setdefault((method, route.path), route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        begun_at = time.perf_counter()
        operation = NO_OPERATION
        told: Told = ()
        try:
            route = self._fixed.get((scope["method"], scope["path"])) or self._find(scope)
            if not isinstance(route, StrictRoute):
                await route.handle(scope, receive, send)
                return
            operation = route.unique_id
            scope["route"] = route
            if route.scope is not PUBLIC:
                told = await self._admission.admit(scope, route.scope)
            response = await route.answer(scope, receive)
        except TaskmillError as error:
            response = problem_response(error.problem(), error_headers(error))
        except ClientDisconnect:
            response = Response(status_code=400)  # nobody is there to read it
        except Exception:
            self._seconds[operation, "500"].observe(time.perf_counter() - begun_at)
            await problem_response(InternalError().problem())(scope, receive, send)
            # The server logs it with its traceback.
            raise
        if told:
            response.raw_headers.extend(told)
        self._seconds[operation, str(response.status_code)].observe(time.perf_counter() - begun_at)
        await response(scope, receive, send)

    def _find(self, scope: Scope) -> BaseRoute:
        """The first route that fits; what its path says goes into the scope.

        Raises:
            PathNotFoundError: No route has the path.
            RequestError: It would have one if the id in it were a UUID: there is nothing with that id.
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
        if methods:
            raise MethodNotAllowedError(methods)
        raise self._what_is_missing(scope)

    def _what_is_missing(self, scope: Scope) -> TaskmillError:
        """What to say where no route has the path."""
        given = _WITH_ID.fullmatch(scope["path"])
        if given is None:
            return PathNotFoundError()
        with_an_id = {**scope, "path": f"/{given['collection']}/{_ANY_ID}{given['rest']}"}
        is_route = any(route.matches(with_an_id)[0] is not Match.NONE for route in self._routes)
        return _NOT_FOUND[given["collection"]]() if is_route else PathNotFoundError()
