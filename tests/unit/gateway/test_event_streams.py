"""Streams of events that cannot be sent."""

import pytest

from taskmill.contracts import registry
from tests.support.gateway import RememberingStore, assert_problem, client_of, gateway_app

STREAM = {"Accept": "text/event-stream"}
EVENTS_OF_A_TASK = "/tasks/0199a1b2-7c3d-7e4f-8a9b-0c1d2e3f4a5b/events"


@pytest.mark.parametrize("path", ["/events", "/events?after=7", EVENTS_OF_A_TASK])
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


@pytest.mark.parametrize(
    ("path", "headers", "parameter"),
    [
        (f"{EVENTS_OF_A_TASK}?after=7", {}, "after"),
        (f"{EVENTS_OF_A_TASK}?limit=7", STREAM, "limit"),
        (f"{EVENTS_OF_A_TASK}?cursor=x&after=7", STREAM, "cursor"),
        ("/events?after=7&limit=50", STREAM, "limit"),
    ],
)
async def test_what_means_nothing_to_the_answer_is_refused(path: str, headers: dict[str, str], parameter: str) -> None:
    """What belongs to a page does not go with a stream, nor the other way round; nothing is asked of the store."""
    store = RememberingStore()
    async with client_of(gateway_app(store)) as client:
        problem = assert_problem(await client.get(path, headers=headers), 422, "invalid_request")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(parameter, "not_applicable")]
    assert store.asked == []


@pytest.mark.parametrize("path", ["/events", EVENTS_OF_A_TASK])
async def test_what_is_accepted_decides_and_is_said_to(path: str) -> None:
    """No cache may give a page to who wants a stream, or the other way round."""
    store = RememberingStore()
    store.answers(registry.EVENTS, {"items": [], "next_cursor": None, "removed": 0})
    store.answers(registry.READ_LOG, {"items": [], "next_after": 0, "oldest": 0, "newest": 0, "removed": 0})
    async with client_of(gateway_app(store)) as client:
        for accept, media_type in [
            ("*/*", "application/json"),
            ("text/event-stream;q=0", "application/json"),
            ("application/json, text/event-stream;q=0.5", "application/json"),
            ("text/event-stream", "text/event-stream"),
            ("TEXT/EVENT-STREAM, */*;q=0.1", "text/event-stream"),
        ]:
            response = await client.get(path, headers={"Accept": accept})
            assert response.headers["content-type"].partition(";")[0] == media_type, accept
            assert response.headers["vary"] == "Accept"
