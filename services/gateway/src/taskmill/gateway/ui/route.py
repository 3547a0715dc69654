"""Leads everything under `/ui` to the dashboard, which is loaded when somebody first opens it."""

from collections.abc import Callable

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

PREFIX = "/ui"


class DashboardRoute(BaseRoute):
    """The one route of the dashboard.

    Args:
        load: Makes the dashboard.
    """

    def __init__(self, load: Callable[[], ASGIApp]) -> None:
        self._load = load
        self._dashboard: ASGIApp | None = None

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See `BaseRoute`."""
        path = scope["path"]
        is_ours = scope["type"] == "http" and (path == PREFIX or path.startswith(f"{PREFIX}/"))
        return (Match.FULL if is_ours else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if self._dashboard is None:
            self._dashboard = self._load()
        await self._dashboard(scope, receive, send)
