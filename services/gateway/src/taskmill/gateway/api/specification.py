"""The OpenAPI document without a gateway that runs."""

from typing import Any, cast

from taskmill.gateway.adapters.callers import Callers
from taskmill.gateway.adapters.key_ring import KeyRing
from taskmill.gateway.adapters.log import Log
from taskmill.gateway.adapters.payload_schemas import PayloadSchemas
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api.admission import Admission
from taskmill.gateway.api.app import create_app
from taskmill.gateway.followers import Feed


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document of this version, as `GET /openapi.json` serves it."""
    # Endpoints ask what they are given when a request comes, and none does.
    nobody = cast("Any", None)
    store, log, feed = cast("Store", nobody), cast("Log", nobody), cast("Feed", nobody)
    ring = KeyRing(store)
    app = create_app(
        store,
        log,
        feed,
        PayloadSchemas(store),
        is_bus_connected=lambda: False,
        admission=Admission(Callers(ring, None, None)),
        ring=ring,
    )
    return app.openapi()
