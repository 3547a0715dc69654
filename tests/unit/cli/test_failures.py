"""What is said of errors, and what commands end with."""

import pytest

from taskmill.cli.connecting import GatewayUnreachableError, Target
from taskmill.cli.contexts import NoSuchContextError
from taskmill.cli.database_errors import DatabaseAwayError, DatabaseUnknownError
from taskmill.cli.errors import RootRefusedError
from taskmill.cli.exit_codes import ExitCode
from taskmill.cli.failures import explain
from taskmill.contracts.errors import error_codes
from taskmill.gateway.api.http_errors import http_error
from taskmill.runtime.errors import SettingsError
from taskmill.sdk.client import (
    ApiProblem,
    EventsGoneError,
    NoAnswerError,
    UnreadableAnswerError,
    WaitTimeoutError,
)
from taskmill.sdk.client.errors import api_error

BY_STATUS = {
    400: ExitCode.USAGE,
    401: ExitCode.FAILED,
    403: ExitCode.FAILED,
    404: ExitCode.NOT_FOUND,
    409: ExitCode.CONFLICT,
    412: ExitCode.CONFLICT,
    413: ExitCode.USAGE,
    422: ExitCode.USAGE,
    429: ExitCode.FAILED,
    500: ExitCode.FAILED,
    503: ExitCode.UNREACHABLE,
    504: ExitCode.UNREACHABLE,
}
OF_THEIR_OWN = {"idempotency_key_reused": ExitCode.CONFLICT}


@pytest.mark.parametrize("code", sorted(error_codes()))
def test_what_the_api_refuses(code: str) -> None:
    """Every code of the API has an exit code, mostly by its status; its text is told."""
    status = http_error(code).status
    failure = explain(api_error(ApiProblem(status=status, code=code, detail="So it is.")))
    assert failure is not None
    assert failure.code is OF_THEIR_OWN.get(code, BY_STATUS[status])
    assert failure.text.startswith(f"So it is. ({status} {code})")


@pytest.mark.parametrize("status", [401, 403])
def test_who_may_not(status: int) -> None:
    """They are told what to do about it."""
    failure = explain(api_error(ApiProblem(status=status, code="no", detail="No.")))
    assert failure is not None
    assert failure.code is ExitCode.FAILED
    assert "key" in failure.text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WaitTimeoutError(3), ExitCode.NOT_ENDED),
        (UnreadableAnswerError("what?"), ExitCode.FAILED),
        (EventsGoneError(after=1, removed=3), ExitCode.FAILED),
        (SettingsError("TASKMILL_PORT: no"), ExitCode.USAGE),
        (RootRefusedError(), ExitCode.FAILED),
        (NoSuchContextError("x", []), ExitCode.NOT_FOUND),
        (DatabaseUnknownError(), ExitCode.USAGE),
        (DatabaseAwayError("why"), ExitCode.UNREACHABLE),
        (PermissionError("no"), ExitCode.FAILED),
    ],
)
def test_other_errors(error: Exception, code: ExitCode) -> None:
    """Each has its code."""
    failure = explain(error)
    assert failure is not None
    assert failure.code is code
    assert str(error) in failure.text


@pytest.mark.parametrize("name", ["taskmill.gateway.api", "asyncpg"])
def test_only_clients_are_installed(name: str) -> None:
    """It is said what to install; another module that is missing is a mistake."""
    failure = explain(ModuleNotFoundError(name=name))
    assert failure is not None
    assert (failure.code, "pip install 'taskmill[server]'" in failure.text) == (ExitCode.USAGE, True)
    assert explain(ModuleNotFoundError(name="nowhere")) is None


def test_nobody_has_foreseen_it() -> None:
    """A mistake of ours is shown as one."""
    assert explain(KeyError("x")) is None


@pytest.mark.parametrize(("was_sent", "doubt"), [(True, True), (False, False)])
def test_nobody_answers(was_sent: bool, doubt: bool) -> None:
    """Where it was tried, what says that it is there, what to do; and whether it may have been done."""
    target = Target("http://h:1", "secret", "context x")
    failure = explain(GatewayUnreachableError(target, NoAnswerError("It broke.", was_sent=was_sent)))
    assert failure is not None
    assert failure.code is ExitCode.UNREACHABLE
    assert "http://h:1 (context x): It broke." in failure.text
    assert ".." not in failure.text
    assert "TASKMILL_URL" in failure.text
    assert "taskmill up" in failure.text
    assert ("may have been carried out" in failure.text) is doubt
    assert "secret" not in failure.text
