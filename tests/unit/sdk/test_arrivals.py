"""What a subscriber has heard and not looked at yet."""

import asyncio
from uuid import UUID

from taskmill.contracts import subjects
from taskmill.contracts.events import EventType
from taskmill.runtime.nats_protocol import encode_headers
from taskmill.runtime.ordered_consumer import StreamedMessage
from taskmill.sdk.event import Event
from taskmill.sdk.subscribing.arrivals import Arrival, Arrivals
from tests.support.scripted_log import TASK_ID, document


def message(**headers: str) -> StreamedMessage:
    """A message with these headers, `-` written as `_`."""
    block = encode_headers({name.replace("_", "-"): value for name, value in headers.items()})
    return StreamedMessage(subjects.event(EventType.QUEUED, "echo", TASK_ID), document(2), block)


async def test_what_arrives_is_taken_in_order() -> None:
    """With its position, and the one before it, where that is told."""
    arrivals = Arrivals(capacity=10, capacity_bytes=10_000)
    arrivals.put(message(Taskmill_Position="4", Taskmill_Previous_Position="2"))
    arrivals.put(message(Taskmill_Position="5"))
    assert await arrivals.wait(within_seconds=0)
    taken = arrivals.take(3)
    assert [(one.position, one.previous) for one in taken] == [(4, 2), (5, -1)]
    event = taken[0].event()
    assert (event.position, event.type, event.kind, event.task_id, event.version) == (4, "queued", "echo", TASK_ID, 2)
    assert not await arrivals.wait(within_seconds=0)


async def test_what_is_too_large_together_is_in_doubt() -> None:
    """What was taken makes room again."""
    arrivals = Arrivals(capacity=10, capacity_bytes=2 * len(document(2)))
    for position in ("1", "2"):
        arrivals.put(message(Taskmill_Position=position))
    assert len(arrivals.take(1)) == 1
    arrivals.put(message(Taskmill_Position="3"))
    assert not arrivals.is_doubtful
    arrivals.put(message(Taskmill_Position="4"))
    assert arrivals.is_doubtful
    assert arrivals.take(3) == []
    arrivals.is_doubtful = False
    for position in ("5", "6"):
        arrivals.put(message(Taskmill_Position=position))
    assert not arrivals.is_doubtful


async def test_what_does_not_fit_is_in_doubt() -> None:
    """Then nothing waits: all of it is read from the log."""
    arrivals = Arrivals(capacity=2, capacity_bytes=10_000)
    for position in ("1", "2", "3"):
        arrivals.put(message(Taskmill_Position=position))
    assert arrivals.is_doubtful
    assert arrivals.take(3) == []


async def test_doubt_wakes_who_waits() -> None:
    """And so does an arrival; what is no event of the log wakes nobody."""
    arrivals = Arrivals(capacity=2, capacity_bytes=10_000)
    arrivals.put(message())
    arrivals.put(message(Taskmill_Position="x"))
    assert not await arrivals.wait(within_seconds=0)
    for wake in (arrivals.doubt, lambda: arrivals.put(message(Taskmill_Position="1"))):
        waiting = asyncio.create_task(arrivals.wait(within_seconds=10))
        asyncio.get_running_loop().call_soon(wake)
        async with asyncio.timeout(5):
            assert await waiting
        arrivals.is_doubtful = False


def test_an_event_of_a_type_that_only_a_newer_version_knows_is_an_event() -> None:
    """Those who follow are not updated before the task store: they tell by the name whether they care."""
    subject = f"tasks.v1.event.paused.echo.{UUID(int=1)}"
    event = Arrival(7, 6, StreamedMessage(subject, b'{"sequence":3,"data":{}}', None)).event()
    assert (event.type, event.kind, event.task_id, event.version) == ("paused", "echo", UUID(int=1), 3)
    known = Event.of(7, "created", "echo", UUID(int=1), b'{"sequence":1,"data":{}}')
    assert known.type is EventType.CREATED
