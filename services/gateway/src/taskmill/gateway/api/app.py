"""The gateway's application: every route of the REST interface, and its OpenAPI document."""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any
from uuid import UUID

import uuid_utils
from fastapi import FastAPI
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from taskmill.gateway.adapters.key_ring import KeyRing
from taskmill.gateway.adapters.log import Log
from taskmill.gateway.adapters.payload_schemas import PayloadSchemas
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api.admission import Admission
from taskmill.gateway.api.bulk_endpoints import BulkEndpoints
from taskmill.gateway.api.dispatcher import HTTP_SECONDS, Dispatcher
from taskmill.gateway.api.documentation import DocumentationEndpoints
from taskmill.gateway.api.event_endpoints import EventEndpoints
from taskmill.gateway.api.fleet_endpoints import FleetEndpoints
from taskmill.gateway.api.group_endpoints import GroupEndpoints
from taskmill.gateway.api.health_endpoints import HealthEndpoints
from taskmill.gateway.api.key_endpoints import KeyEndpoints
from taskmill.gateway.api.list_endpoints import ListEndpoints
from taskmill.gateway.api.metrics_endpoints import MetricsEndpoints
from taskmill.gateway.api.payload_check import PayloadCheck
from taskmill.gateway.api.problems import ProblemDocument
from taskmill.gateway.api.routes import declared_routes
from taskmill.gateway.api.schedule_endpoints import ScheduleEndpoints
from taskmill.gateway.api.scopes import SECURITY_SCHEMES
from taskmill.gateway.api.task_endpoints import TaskEndpoints
from taskmill.gateway.api.traced_requests import TracedRequests
from taskmill.gateway.api.turn_endpoints import TurnEndpoints
from taskmill.gateway.api.webhook_endpoints import WebhookEndpoints
from taskmill.gateway.followers import Feed
from taskmill.runtime.clock import Clock, utc_now
from taskmill.runtime.histogram import REQUEST_BUCKETS, Histograms
from taskmill.runtime.metrics import Metrics
from taskmill.runtime.tracing import is_tracing


class Gateway(FastAPI):
    """FastAPI, with the schema of problems in its OpenAPI document, and with a dispatcher in place of its middleware.

    Every operation of the document refers to the schema.

    Attributes:
        http_seconds: How long answers take, by operation and status.
    """

    http_seconds: Histograms

    def __init__(self, admission: Admission, **options: Any) -> None:
        self._admission = admission
        super().__init__(**options)

    def build_middleware_stack(self) -> ASGIApp:
        """Our own, of one layer; of two where requests are traced."""
        dispatcher = Dispatcher(self.routes, self._admission, self.http_seconds)
        return TracedRequests(dispatcher) if is_tracing() else dispatcher

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document; made once."""
        document = super().openapi()
        schemas = document["components"]["schemas"]
        if ProblemDocument.__name__ not in schemas:
            schema = ProblemDocument.model_json_schema(
                mode="serialization", ref_template="#/components/schemas/{model}"
            )
            schemas |= schema.pop("$defs")
            schemas[ProblemDocument.__name__] = schema
            document["components"]["securitySchemes"] = SECURITY_SCHEMES
            if not self._admission.needs_credentials:
                _say_that_credentials_are_optional(document)
        return document


def _say_that_credentials_are_optional(document: dict[str, Any]) -> None:
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    for operation in operations:
        if operation["security"]:
            operation["security"] = [*operation["security"], {}]


def _new_id() -> str:
    # The library's own kind of UUID is made and written in a tenth of the time that Python's takes.
    return str(uuid_utils.uuid7())


def create_app(
    store: Store,
    log: Log,
    feed: Feed,
    schemas: PayloadSchemas,
    *,
    is_bus_connected: Callable[[], bool],
    admission: Admission,
    ring: KeyRing,
    now: Clock = utc_now,
    is_live: Callable[[], bool] = lambda: True,
    metrics: Metrics | None = None,
    new_id: Callable[[], str] = _new_id,
    others: Sequence[BaseRoute] = (),
) -> FastAPI:
    """Build the application.

    Args:
        store: The task store.
        log: What happened.
        feed: What happens.
        schemas: What payloads must fit.
        is_bus_connected: Whether NATS answers.
        admission: Says who may ask for what.
        ring: The API keys that are used here.
        now: The clock.
        is_live: Whether all that runs in this process is at work.
        metrics: What the gateway tells, to which its requests are added; None: nothing else.
        new_id: Makes the id of whatever is new, a UUID of version 7 as text.
        others: Routes of what is no part of the REST interface.
    """
    metrics = metrics or Metrics()

    def new_uuid() -> UUID:
        return UUID(new_id())

    payloads = PayloadCheck(schemas)
    app = Gateway(
        admission,
        title="Taskmill",
        version=version("taskmill-gateway"),
        summary="A task service: post a task, have it processed in the background, and see what becomes of it.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_tags=[
            {"name": "tasks", "description": "Make, read, change, process and delete tasks."},
            {
                "name": "bulk operations",
                "description": "Process, cancel and delete many tasks, and follow how far it is.",
            },
            {"name": "groups", "description": "Make tasks that have one outcome together, and what follows it."},
            {"name": "kinds", "description": "What can be done, and what it takes."},
            {"name": "history", "description": "What was done for a task, what happened, and what happens."},
            {"name": "schedules", "description": "Have tasks made again and again."},
            {"name": "webhooks", "description": "Have events sent by HTTP, and see what became of it."},
            {"name": "fleet", "description": "See the processors and the queues, and pause a queue."},
            {"name": "turns", "description": "Limit what is processed at once, and share queues among keys."},
            {"name": "keys", "description": "Make, list and revoke API keys."},
            {"name": "health", "description": "How Taskmill is."},
            {"name": "documentation", "description": "What the answers mean."},
        ],
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # `TracedRequests` does it where it is wanted; this costs each request a tenth of its CPU in any case.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        routes=[
            *declared_routes(TaskEndpoints(store, feed, payloads, new_id)),
            *declared_routes(ListEndpoints(store, schemas)),
            *declared_routes(EventEndpoints(store, log, feed)),
            *declared_routes(BulkEndpoints(store, new_uuid)),
            *declared_routes(GroupEndpoints(store, payloads, new_id)),
            *declared_routes(WebhookEndpoints(store, new_uuid)),
            *declared_routes(ScheduleEndpoints(store, payloads, new_uuid)),
            *declared_routes(FleetEndpoints(store)),
            *declared_routes(TurnEndpoints(store)),
            *declared_routes(KeyEndpoints(store, ring, now)),
            *declared_routes(HealthEndpoints(store, is_bus_connected, is_live)),
            *declared_routes(MetricsEndpoints(metrics)),
            *declared_routes(DocumentationEndpoints()),
            *others,
        ],
    )
    app.http_seconds = Histograms(REQUEST_BUCKETS)
    metrics.add(HTTP_SECONDS, lambda: app.http_seconds)
    return app
