"""Endpoints for those who run Taskmill, and for load balancers."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Response
from pydantic import BaseModel, Field

from taskmill.contracts import registry
from taskmill.contracts.errors import (
    BusUnavailableError,
    DatabaseUnavailableError,
    StoreUnavailableError,
    TaskmillError,
)
from taskmill.contracts.health import Components, Health, HealthStatus
from taskmill.contracts.requests import CheckHealth, ComponentState, FleetSummary, StoreHealth
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api.routes import route

CHECK_SECONDS = 1.0
"""How long the task store may take to say how it is."""


class Liveness(BaseModel):
    """How the process itself is."""

    status: Annotated[HealthStatus, Field(description="`ok`, or `degraded` with a 503.")] = HealthStatus.OK


class HealthEndpoints:
    """How Taskmill is.

    Args:
        is_bus_connected: Whether NATS answers.
        is_live: Whether all that runs in this process is at work.
    """

    def __init__(self, store: Store, is_bus_connected: Callable[[], bool], is_live: Callable[[], bool]) -> None:
        self._store = store
        self._is_live = is_live
        self._is_bus_connected = is_bus_connected

    @route(
        "GET",
        "/health",
        operation_id="getHealth",
        summary="Tell the state of every component",
        tags=["health"],
        response_model=Health,
        response_description="Every component is up.",
        responses={503: {"model": Health, "description": "A component is down."}},
    )
    async def health(self) -> Response:
        """Tell the state of PostgreSQL, NATS and the task store. 503 if any of them is down.

        And who is there for the tasks, which is no reason for a 503.
        """
        components, fleet = await self._state()
        if _missing(components) is None:
            return _json_response(Health(status=HealthStatus.OK, components=components, fleet=fleet), 200)
        response = _json_response(Health(status=HealthStatus.DEGRADED, components=components), 503)
        response.headers["Retry-After"] = "1"
        return response

    @route(
        "GET",
        "/livez",
        operation_id="getLiveness",
        summary="Tell whether the process works",
        tags=["health"],
        response_model=Liveness,
        response_description="It does.",
        responses={503: {"model": Liveness, "description": "A part of it has crashed, or is stuck."}},
    )
    async def livez(self) -> Response:
        """Tell whether the process works, whatever the state of the rest.

        Restart it if it does not answer, for its event loop is blocked, or if this is a 503 several times in a row:
        then a part of it crashes again and again, or looks after its connection to NATS no longer.
        """
        if self._is_live():
            return _json_response(Liveness(), 200)
        return _json_response(Liveness(status=HealthStatus.DEGRADED), 503)

    @route(
        "GET",
        "/readyz",
        operation_id="getReadiness",
        summary="Tell whether requests can be served",
        tags=["health"],
        response_model=Liveness,
        response_description="They can.",
        errors=[BusUnavailableError, DatabaseUnavailableError, StoreUnavailableError],
    )
    async def readyz(self) -> Response:
        """Tell whether requests can be served. Send none while this answers 503."""
        components, _ = await self._state()
        missing = _missing(components)
        if missing is not None:
            raise missing
        return _json_response(Liveness(), 200)

    async def _state(self) -> tuple[Components, FleetSummary | None]:
        down, up, unknown = ComponentState.DOWN, ComponentState.UP, ComponentState.UNKNOWN
        if not self._is_bus_connected():
            return Components(nats=down, store=unknown, postgresql=unknown), None
        try:
            reply = await self._store.ask(registry.HEALTH, CheckHealth(), timeout_seconds=CHECK_SECONDS)
        except TaskmillError:
            return Components(nats=up, store=down, postgresql=unknown), None
        health = StoreHealth.model_validate_json(reply.body)
        return Components(nats=up, store=up, postgresql=health.postgresql), health.fleet


def _missing(components: Components) -> TaskmillError | None:
    """What is down, as an error; when several are, the one that explains the others."""
    if components.nats is ComponentState.DOWN:
        return BusUnavailableError()
    if components.store is ComponentState.DOWN:
        return StoreUnavailableError()
    return DatabaseUnavailableError() if components.postgresql is ComponentState.DOWN else None


def _json_response(model: BaseModel, status: int) -> Response:
    return Response(model.model_dump_json(), status, media_type="application/json")
