"""What the gateway says of its own and the others' health."""

import httpx
import pytest

from taskmill.contracts import registry
from taskmill.contracts.errors import StoreUnavailableError
from tests.support.gateway import RememberingStore, assert_problem

FLEET = {
    "processors": 2,
    "paused_queues": 1,
    "unserved_queues": ["reports"],
    "unknown_kinds": [{"queue": "media", "kind": "thumb"}],
    "differing_kinds": ["echo"],
}

STATES = [
    (True, {"postgresql": "up"}, ("up", "up", "up"), None),
    (True, {"postgresql": "up", "fleet": FLEET}, ("up", "up", "up"), None),
    (True, {"postgresql": "down"}, ("up", "up", "down"), "database_unavailable"),
    (True, StoreUnavailableError(), ("up", "down", "unknown"), "store_unavailable"),
    (False, {"postgresql": "up"}, ("down", "unknown", "unknown"), "bus_unavailable"),
]


@pytest.mark.parametrize(("is_bus_connected", "answer", "states", "code"), STATES)
async def test_health_names_every_component(
    is_bus_connected: bool,
    answer: object,
    states: tuple[str, str, str],
    code: str | None,
    client: httpx.AsyncClient,
    store: RememberingStore,
) -> None:
    """Each has its state, and one that is down makes it 503."""
    store.is_bus_connected = is_bus_connected
    store.answers(registry.HEALTH, answer)
    response = await client.get("/health")
    assert response.status_code == (200 if code is None else 503)
    assert response.headers.get("retry-after") == (None if code is None else "1")
    assert response.json() == {
        "status": "ok" if code is None else "degraded",
        "components": dict(zip(("nats", "store", "postgresql"), states, strict=True)),
        "fleet": answer.get("fleet") if code is None and isinstance(answer, dict) else None,
    }


@pytest.mark.parametrize(("is_bus_connected", "answer", "code"), [(*cause, code) for *cause, _, code in STATES])
async def test_ready_is_who_can_serve(
    is_bus_connected: bool,
    answer: object,
    code: str | None,
    client: httpx.AsyncClient,
    store: RememberingStore,
) -> None:
    """Not ready is a problem that names the cause."""
    store.is_bus_connected = is_bus_connected
    store.answers(registry.HEALTH, answer)
    response = await client.get("/readyz")
    if code is None:
        assert (response.status_code, response.json()) == (200, {"status": "ok"})
    else:
        assert_problem(response, 503, code)


async def test_alive_is_who_answers(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """Whatever the state of the rest, and without asking for it."""
    store.is_bus_connected = False
    response = await client.get("/livez")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert store.asked == []
