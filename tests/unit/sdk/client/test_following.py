"""Following over many streams, on a clock of the test's own."""

import json
from collections.abc import Generator
from typing import Any
from uuid import UUID

import pytest
from httpx_sse import ServerSentEvent

from taskmill.sdk.client.errors import NoAnswerError, UnreadableAnswerError, WaitTimeoutError
from taskmill.sdk.client.following import Following
from taskmill.sdk.client.operations import LogEnds
from taskmill.sdk.errors import EventsGoneError, LogSetBackError

TASK_ID = UUID("01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42")
NOTHING_ELSE = ServerSentEvent(id="9")
RETRY = ServerSentEvent(retry=2_000)


class Clock:
    """A clock that a test sets."""

    seconds = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.seconds


def following(clock: Clock, *, after: int | None = 4, within_seconds: float | None = None) -> Following:
    """Somebody who follows the log."""
    return Following(None, after, {}, within_seconds=within_seconds, reconnect_within_seconds=60, now=clock)


def sent(position: int, *, event_type: str = "created") -> ServerSentEvent:
    """An event as a stream brings it; the title holds what some take for the end of a line."""
    document = {
        "id": f"{TASK_ID}.1",
        "type": f"taskmill.task.{event_type}.v1",
        "subject": str(TASK_ID),
        "sequence": 1,
        "data": {"kind": "echo", "title": "a\u2028b"},
    }
    return ServerSentEvent(event=event_type, id=str(position), data=json.dumps(document, ensure_ascii=False))


def perform(flow: Generator[Any, Any, Any], *answers: Any) -> None:
    """Answer the calls of a flow, to its end."""
    next(flow, None)
    for answer in answers:
        with pytest.raises(StopIteration):
            flow.send(answer)


def test_each_stream_begins_where_the_last_one_ended() -> None:
    """Also when nothing happened since; what comes a second time is dropped."""
    one = following(Clock())
    perform(one.begin())
    assert next(one.open()).headers["Last-Event-ID"] == "4"
    assert one.take(RETRY) is None
    event = one.take(sent(7))
    assert event is not None
    assert (event.position, event.task_id, event.version, event.data["title"]) == (7, TASK_ID, 1, "a\u2028b")
    assert one.take(sent(7)) is None
    assert next(one.open()).headers["Last-Event-ID"] == "7"
    assert one.take(NOTHING_ELSE) is None
    assert next(one.open()).headers["Last-Event-ID"] == "9"


def test_from_now_on_is_a_position() -> None:
    """It is asked for first, so that nothing is missed when the first stream breaks at once."""
    one = following(Clock(), after=None)
    perform(one.begin(), LogEnds(oldest=1, newest=30, removed=0))
    assert next(one.open()).headers["Last-Event-ID"] == "30"


def test_nobody_is_there_at_the_beginning() -> None:
    """That is waited out as long as later on, and not beyond the end."""
    clock = Clock()
    for after, within_seconds, patience in ((None, None, 60), (None, 10, 10)):
        assert next(following(clock, after=after, within_seconds=within_seconds).begin()).within_seconds == patience
    of_task = Following(TASK_ID, None, {}, within_seconds=None, reconnect_within_seconds=5, now=clock)
    assert next(of_task.begin()).within_seconds == 5
    one = following(clock, after=None, within_seconds=10)
    flow = one.begin()
    next(flow)
    clock.seconds = 10
    with pytest.raises(WaitTimeoutError):
        flow.throw(NoAnswerError("refused", was_sent=False))


@pytest.mark.parametrize(
    ("ends", "error"),
    [
        ({"oldest": 11, "newest": 20, "removed": 10}, EventsGoneError(after=4, removed=10)),
        ({"oldest": 1, "newest": 3, "removed": 0}, LogSetBackError(after=4, newest=3)),
    ],
)
def test_a_gap_is_an_error(ends: dict[str, int], error: EventsGoneError | LogSetBackError) -> None:
    """It says where it could go on."""
    one = following(Clock())
    with pytest.raises(type(error)) as raised:
        one.take(ServerSentEvent(event="reset", id="20", data=json.dumps(ends)))
    assert vars(raised.value) == vars(error)


def test_what_was_removed_before_the_begin() -> None:
    """Who wants all that is kept is told nothing of the rest."""
    one = following(Clock(), after=0)
    assert one.take(ServerSentEvent(event="removed", id="10", data='{"removed":10}')) is None
    assert next(one.open()).headers["Last-Event-ID"] == "10"


@pytest.mark.parametrize(
    "event", [sent(7, event_type="brand_new"), ServerSentEvent(id="x"), ServerSentEvent(id="7", data="{")]
)
def test_what_is_no_event(event: ServerSentEvent) -> None:
    """It is an error: to pass over it might be to miss something."""
    with pytest.raises(UnreadableAnswerError):
        following(Clock()).take(event)


def test_streams_that_say_nothing_come_to_an_end() -> None:
    """They do so when nothing was heard for as long as was said, and not while something is."""
    clock = Clock()
    one = following(clock)
    for seconds in (0, 50, 60, 110):
        clock.seconds = seconds
        next(one.open())
        one.take(RETRY)
        if seconds == 50:
            one.take(NOTHING_ELSE)
        assert one.pause_seconds() == 2
    clock.seconds = 121
    next(one.open())
    with pytest.raises(NoAnswerError):
        one.pause_seconds()


def test_time_is_over() -> None:
    """Before a stream, in it, and after it."""
    clock = Clock()
    one = following(clock, within_seconds=10)
    clock.seconds = 9
    assert next(one.open()).within_seconds == 1
    assert one.pause_seconds() == 1
    clock.seconds = 10
    for step in (lambda: next(one.open()), one.pause_seconds, lambda: one.take(NOTHING_ELSE)):
        with pytest.raises(WaitTimeoutError):
            step()


def test_a_single_task_is_chosen_by_type_only() -> None:
    """Other conditions might hide its end."""
    with pytest.raises(ValueError, match="type only"):
        Following(TASK_ID, None, {"kind": "echo"}, within_seconds=None, reconnect_within_seconds=60)
