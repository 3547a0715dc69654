"""The dashboard as an ASGI application: finds the page, lets in who may see it, and shows what went wrong."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from taskmill.contracts.api_keys import Scope as ApiScope
from taskmill.contracts.errors import InternalError, TaskmillError
from taskmill.gateway.api.admission import Admission, caller_of
from taskmill.gateway.api.problems import problem_document
from taskmill.gateway.errors import MissingScopeError, PathNotFoundError, UnauthenticatedError, error_headers
from taskmill.gateway.ui.pages import Page, Parts, is_fragment, see
from taskmill.gateway.ui.route import PREFIX
from taskmill.gateway.ui.session import bring_credentials, login_address

_MEDIA_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_ASSETS = ("app.css", "app.js", "theme.js", "icon.svg")
_VENDOR = ("htmx.min.js", "idiomorph-ext.min.js", "uPlot.iife.min.js", "uPlot.min.css")


class Dashboard:
    """Answers what is asked for under `/ui`.

    Args:
        pages: All pages.
        parts: What they are made of.
        admission: Says who may ask for what.
    """

    def __init__(self, pages: Sequence[Page], parts: Parts, admission: Admission) -> None:
        self._parts = parts
        self._admission = admission
        self._pages = [(Route(PREFIX + page.path, _nobody, methods=[page.method]), page) for page in pages]
        static = files("taskmill.gateway.ui") / "static"
        self._assets = {name: (static / name).read_bytes() for name in _ASSETS}
        self._assets |= {name: (static / "vendor" / name).read_bytes() for name in _VENDOR}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = Request(scope, receive)
        try:
            response = await self._answer(scope, request)
        except UnauthenticatedError:
            response = see(login_address(request), request)
        except TaskmillError as error:
            response = self._failure(request, error)
        except ClientDisconnect:
            response = Response(status_code=400)  # nobody is there to read it
        except Exception:
            await self._failure(request, InternalError())(scope, receive, send)
            # The server logs it with its traceback.
            raise
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, request: Request) -> Response:
        path = scope["path"]
        if path.startswith(f"{PREFIX}/static/"):
            return self._asset(path.rpartition("/")[2])
        page = self._find(scope)
        told: Any = ()
        if page.scope is not None:
            # A browser sends a cookie to all ports of a host: it may be of another gateway, that lets in who has a key.
            if self._admission.needs_credentials:
                bring_credentials(scope, request)
            told = await self._admission.admit(scope, page.scope)
            # Whatever a page does, it answers with what only who may read is shown: attempts, lines, processors.
            if ApiScope.TASKS_READ not in caller_of(scope).scopes:
                raise MissingScopeError(ApiScope.TASKS_READ)
        response = await page.answer(request)
        response.raw_headers.extend(told)
        return response

    def _find(self, scope: Scope) -> Page:
        for route, page in self._pages:
            match, details = route.matches(scope)
            if match is Match.FULL:
                scope.update(details)
                return page
        raise PathNotFoundError

    def _asset(self, name: str) -> Response:
        if name not in self._assets:
            raise PathNotFoundError
        media_type = _MEDIA_TYPES[name[name.rindex(".") :]]
        headers = {"Cache-Control": "max-age=86400"}
        return Response(self._assets[name], headers=headers, media_type=media_type)

    def _failure(self, request: Request, error: TaskmillError) -> Response:
        """What went wrong: as a notice on the page that asked, or as a page."""
        problem = problem_document(error.problem())
        template = "notice.html" if is_fragment(request) else "error.html"
        response: Response = self._parts.render(request, template, status=problem.status, problem=problem)
        MutableHeaders(raw=response.raw_headers).update(error_headers(error))
        return response


async def _nobody(_request: Request) -> Response:
    """What the routes lead to, which are only asked whether they fit."""
    raise PathNotFoundError
