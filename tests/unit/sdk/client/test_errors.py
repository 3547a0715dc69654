"""What a client makes of an answer that is none of success."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from taskmill.gateway.api.http_errors import HTTP_ERRORS
from taskmill.sdk import Client
from taskmill.sdk.client import (
    AlreadyFinishedError,
    ApiError,
    ConflictError,
    ForbiddenError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    NotFoundError,
    PreconditionFailedError,
    QueueFullError,
    RunActiveError,
    ServerError,
    TaskNotFoundError,
    TooManyRequestsError,
    UnauthorizedError,
    UnavailableError,
    UniqueKeyHeldError,
    UnreadableAnswerError,
)

TASK_ID = "01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42"
BY_STATUS = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    412: PreconditionFailedError,
    429: TooManyRequestsError,
}


def get_answered(response: httpx.Response) -> None:
    """Have a client read a task, once, and be answered with this."""
    with Client(attempts=1, transport=httpx.MockTransport(lambda _: response)) as client:
        client.get(TASK_ID)


def error_for(status: int, code: str, **headers: str) -> ApiError:
    """What a client raises when it is answered with a problem."""
    problem = {"code": code, "detail": "a detail", "errors": [{"pointer": "/a", "detail": "b", "code": "c"}]}
    with pytest.raises(ApiError) as raised:
        get_answered(httpx.Response(status, json=problem, headers=headers))
    return raised.value


@pytest.mark.parametrize("code", HTTP_ERRORS)
def test_every_code_has_a_class(code: str) -> None:
    """The one that its status has, or one of its own."""
    status = HTTP_ERRORS[code].status
    error = error_for(status, code, **{"X-Request-ID": "r1"})
    assert (error.status, error.code, error.detail, error.request_id) == (status, code, "a detail", "r1")
    assert [(part.pointer, part.detail, part.code) for part in error.errors] == [("/a", "b", "c")]
    if status == 503:
        assert isinstance(error, UnavailableError)
    elif status >= 500:
        assert isinstance(error, ServerError)
    elif code == "idempotency_key_reused":
        assert isinstance(error, ConflictError)
    else:
        assert isinstance(error, BY_STATUS.get(status, InvalidRequestError))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("task_not_found", TaskNotFoundError),
        ("run_active", RunActiveError),
        ("already_finished", AlreadyFinishedError),
        ("idempotency_key_reused", IdempotencyKeyReusedError),
        ("queue_full", QueueFullError),
        ("unique_key_held", UniqueKeyHeldError),
    ],
)
def test_some_codes_have_a_class_of_their_own(code: str, error: type[ApiError]) -> None:
    """Those that a program deals with by themselves."""
    assert type(error_for(HTTP_ERRORS[code].status, code)) is error


def test_the_task_in_the_way_is_told() -> None:
    """By its id; most problems name none."""
    assert error_for(409, "run_active").task_id is None
    problem = {"code": "unique_key_held", "detail": "a detail", "task_id": TASK_ID}
    with pytest.raises(UniqueKeyHeldError) as raised:
        get_answered(httpx.Response(409, json=problem))
    assert str(raised.value.task_id) == TASK_ID


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (300, InvalidRequestError),
        (401, UnauthorizedError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (418, InvalidRequestError),
        (500, ServerError),
        (502, UnavailableError),
        (504, UnavailableError),
        (507, ServerError),
    ],
)
def test_an_unknown_code_falls_back_to_the_status(status: int, error: type[ApiError]) -> None:
    """As does an answer that is no problem at all."""
    assert type(error_for(status, "brand_new")) is error
    with pytest.raises(ApiError) as raised:
        get_answered(httpx.Response(status, html="<h1>Sorry</h1>"))
    assert type(raised.value) is error
    assert raised.value.code == f"http_{status}"


def test_when_to_come_again() -> None:
    """In seconds, or as an instant; nonsense is nothing."""
    soon = datetime.now(UTC) + timedelta(seconds=100)
    assert error_for(503, "overloaded").retry_after_seconds is None
    assert error_for(503, "overloaded", **{"Retry-After": "soon"}).retry_after_seconds is None
    assert error_for(503, "overloaded", **{"Retry-After": "7"}).retry_after_seconds == 7
    assert error_for(503, "overloaded", **{"Retry-After": "-7"}).retry_after_seconds is None
    absurd = "Mon, 01 Jan 99999999999 00:00:00 GMT"
    assert error_for(503, "overloaded", **{"Retry-After": absurd}).retry_after_seconds is None
    after = error_for(503, "overloaded", **{"Retry-After": format_datetime(soon, usegmt=True)}).retry_after_seconds
    assert after is not None
    assert 90 < after <= 100


@pytest.mark.parametrize("response", [httpx.Response(200, text="It works!"), httpx.Response(200, json={"id": 1})])
def test_what_is_not_the_api(response: httpx.Response) -> None:
    """A success that makes no sense is an error, too."""
    with pytest.raises(UnreadableAnswerError):
        get_answered(response)


def test_what_is_no_stream() -> None:
    """A page where a stream was asked for is an error, and not read for ever."""
    page = httpx.Response(200, html="<h1>It works!</h1>")
    with Client(transport=httpx.MockTransport(lambda _: page)) as client, pytest.raises(UnreadableAnswerError):
        next(client.watch(after=0))
    assert page.is_closed
