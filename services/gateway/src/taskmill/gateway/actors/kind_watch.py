"""Keeps the schemas of payloads fresh while somebody asks for them."""

from collections.abc import Callable

import structlog

from taskmill.contracts.errors import RemoteError, UnavailableError
from taskmill.gateway.adapters.payload_schemas import PayloadSchemas
from taskmill.runtime.actor import Actor, is_set_within, unless_set

_log = structlog.get_logger(__name__)

REFRESH_SECONDS = 2.0
"""How soon a gateway in use knows what processors say."""


class KindWatch(Actor):
    """Reads the schemas at the start, and then every few seconds, if they were asked for since.

    Args:
        schemas: What is kept fresh.
        refresh_seconds: The pause between two readings.
    """

    name = "kind-watch"

    def __init__(self, schemas: PayloadSchemas, *, refresh_seconds: float = REFRESH_SECONDS) -> None:
        self._schemas = schemas
        self._refresh_seconds = refresh_seconds

    async def run(self, started: Callable[[], None]) -> None:
        """Read until stopped."""
        started()
        while not self._stop_requested.is_set():
            self._schemas.used.clear()
            await unless_set(self._stop_requested, self._refresh())
            if not await is_set_within(self._stop_requested, self._refresh_seconds):
                await unless_set(self._stop_requested, self._schemas.used.wait())

    async def _refresh(self) -> None:
        try:
            await self._schemas.refresh()
        except (UnavailableError, RemoteError) as error:
            _log.debug("kinds.not_read", code=error.code)
