"""Whether a request is made again, and when."""

import httpx
import pytest

from taskmill.sdk.client import operations
from taskmill.sdk.client.calls import Call
from taskmill.sdk.client.errors import ApiProblem, ClientError, NoAnswerError, UnreadableAnswerError, api_error
from taskmill.sdk.client.retries import Retries, no_answer

TASK_ID = "01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42"
GET = operations.get(TASK_ID, wait=0)
CREATE = operations.create(b"{}", "key", wait=0, headers={})
UPDATE = operations.update(TASK_ID, {"title": "t"}, None)
CONDITIONAL_UPDATE = operations.update(TASK_ID, {"title": "t"}, 7)
DELETE = operations.delete(TASK_ID, 7, force=False)


def problem(status: int, retry_after_seconds: float | None = None) -> ClientError:
    """An answer with this status."""
    return api_error(ApiProblem(status=status, code="c", detail="d", retry_after_seconds=retry_after_seconds))


REQUEST = httpx.Request("GET", "http://user:password@gateway:8001/tasks")
LOST = no_answer(httpx.ReadTimeout("", request=REQUEST))
NOT_SENT = no_answer(httpx.ConnectError("refused", request=REQUEST))


@pytest.mark.parametrize("call", [GET, CREATE, UPDATE, DELETE], ids=lambda call: call.method)
@pytest.mark.parametrize("error", [LOST, NOT_SENT, problem(429), problem(502), problem(503), problem(504)], ids=repr)
def test_what_does_no_harm_is_done_again(call: Call[object], error: ClientError) -> None:
    """When it was not carried out, and when nobody knows."""
    assert Retries(call, 30).wait_after(error)


@pytest.mark.parametrize(("error", "is_repeated"), [(LOST, False), (NOT_SENT, True), (problem(429), True)], ids=repr)
def test_a_conditional_change(error: ClientError, *, is_repeated: bool) -> None:
    """Is made again only when it was certainly not made."""
    assert bool(Retries(CONDITIONAL_UPDATE, 30).wait_after(error)) is is_repeated
    assert Retries(CONDITIONAL_UPDATE, 30).wait_after(problem(503)) is False


@pytest.mark.parametrize(
    "error", [*(problem(status) for status in (400, 404, 409, 412, 422, 500)), UnreadableAnswerError(), ValueError()]
)
def test_what_would_fail_again(error: Exception) -> None:
    """Is not done again."""
    assert Retries(GET, 30).wait_after(error) is False


def test_waits_grow_to_a_limit() -> None:
    """Twice as long each time, less a random part."""
    retries = Retries(GET, 1_000, now=lambda: 0, share=lambda: 1)
    assert [retries.wait_after(LOST) for _ in range(8)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5])
    assert Retries(GET, 1_000, share=lambda: 0).wait_after(LOST) == pytest.approx(0.05)


def test_the_server_says_when() -> None:
    """What it says beats what would be waited otherwise."""
    retries = Retries(GET, 30, now=lambda: 0)
    assert retries.wait_after(problem(503, 7)) == 7
    assert retries.wait_after(problem(429, 0)) == 0


def test_time_is_over() -> None:
    """No wait goes beyond the end: that it is told now is better than later."""
    clock = 0.0
    retries = Retries(GET, 30, now=lambda: clock, share=lambda: 1)
    assert retries.wait_after(problem(503, 31)) is False
    clock = 29.95
    assert retries.wait_after(LOST) is False


@pytest.mark.parametrize(
    ("error", "was_sent"),
    [
        (httpx.ConnectError("x", request=REQUEST), False),
        (httpx.ConnectTimeout("x", request=REQUEST), False),
        (httpx.PoolTimeout("x", request=REQUEST), False),
        (httpx.ReadError("x", request=REQUEST), True),
        (httpx.WriteError("x", request=REQUEST), True),
        (httpx.RemoteProtocolError("x", request=REQUEST), True),
    ],
)
def test_whether_a_request_may_have_arrived(error: httpx.RequestError, *, was_sent: bool) -> None:
    """Not without a connection."""
    assert no_answer(error).was_sent is was_sent
    assert isinstance(no_answer(error), NoAnswerError)


def test_who_did_not_answer_is_named() -> None:
    """By scheme, host and port; without what lets somebody in."""
    assert str(NOT_SENT) == "No answer from http://gateway:8001: refused"
    assert str(LOST) == "No answer from http://gateway:8001: ReadTimeout"
