"""Who looks at the dashboard: whoever brings a key in a cookie, for a browser sends no `Authorization` by itself."""

from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from taskmill.contracts.errors import TaskmillError
from taskmill.gateway.ui.forms import read_form
from taskmill.gateway.ui.pages import Parts, page, see
from taskmill.gateway.ui.route import PREFIX

COOKIE = "taskmill_key"
LOGIN = f"{PREFIX}/login"
_SEVERAL_DAYS = 7 * 24 * 3600


def bring_credentials(scope: Scope, request: Request) -> None:
    """Let the cookie count as the credentials of a request that has no others."""
    key = request.cookies.get(COOKIE)
    if key and "authorization" not in request.headers:
        scope["headers"] = [*scope["headers"], (b"authorization", b"Bearer " + key.encode("latin-1", "replace"))]


def login_address(request: Request) -> str:
    """Where to show who one is, to come back here."""
    wanted = request.headers.get("hx-current-url") or str(request.url)
    address = urlsplit(wanted)
    here = f"{address.path}?{address.query}" if address.query else address.path
    return f"{LOGIN}?next={quote(here, safe='')}"


def _own_page(address: str) -> str:
    """An address within the dashboard, or else its first page."""
    is_own = address.startswith(f"{PREFIX}/") and not address.startswith(LOGIN) and "\\" not in address
    return address if is_own and address.isprintable() else f"{PREFIX}/tasks"


def _is_https(request: Request) -> bool:
    """Whether the browser speaks HTTPS, if only to what stands before the gateway: its `Origin` says so."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")


class SessionPages:
    """Where people bring a key, and where they take it away again."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @page("GET", "/login", None)
    async def login(self, request: Request) -> Response:
        """Ask for a key."""
        return self._form(request, _own_page(request.query_params.get("next", "")))

    @page("POST", "/login", None)
    async def log_in(self, request: Request) -> Response:
        """Keep the key in a cookie that only the dashboard is sent, if it holds."""
        form = await read_form(request)
        key, wanted = form.one("key"), _own_page(form.one("next"))
        if not key or not key.isascii() or not key.isprintable() or set(key) & set(' ",;\\'):
            return self._form(request, wanted, "That is no API key.")
        scope = {**request.scope, "headers": [*request.scope["headers"], (b"authorization", b"Bearer " + key.encode())]}
        try:
            await self._parts.admit(scope)
        except TaskmillError as error:
            return self._form(request, wanted, error.problem().detail)
        response = see(wanted, request)
        response.set_cookie(
            COOKIE,
            key,
            max_age=_SEVERAL_DAYS,
            path=PREFIX,
            secure=_is_https(request),
            httponly=True,
            samesite="strict",
        )
        return response

    @page("POST", "/logout", None)
    async def log_out(self, request: Request) -> Response:
        """Forget the key."""
        await read_form(request)
        response = see(LOGIN, request)
        response.delete_cookie(COOKIE, path=PREFIX)
        return response

    def _form(self, request: Request, wanted: str, error: str | None = None) -> Response:
        return self._parts.render(request, "login.html", status=200 if error is None else 422, next=wanted, error=error)
