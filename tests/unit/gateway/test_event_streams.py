"""Streams of events that cannot be sent."""

import pytest

from tests.support.gateway import RememberingStore, assert_problem, client_of, gateway_app

STREAM = {"Accept": "text/event-stream"}


@pytest.mark.parametrize("path", ["/events", "/events?after=7", "/tasks/0199a1b2-7c3d-7e4f-8a9b-0c1d2e3f4a5b/events"])
async def test_a_log_that_cannot_be_read_ends_the_stream(path: str) -> None:
    """A browser comes again after a stream, but never after another answer than 200."""
    async with client_of(gateway_app(RememberingStore())) as client:
        response = await client.get(path, headers=STREAM)
        assert (response.status_code, response.text) == (200, "retry: 1000\n\n")
        assert_problem(await client.get(path), 503, "store_unavailable")


async def test_an_id_that_is_none_is_refused() -> None:
    """Before the stream begins: to come again with it would not help."""
    async with client_of(gateway_app(RememberingStore())) as client:
        assert_problem(await client.get("/events", headers={**STREAM, "Last-Event-ID": "x"}), 422, "invalid_request")
