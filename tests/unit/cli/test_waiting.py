"""Waiting for the end of a task."""

from collections.abc import Callable

import httpx
import pytest

from taskmill.cli import waiting
from taskmill.cli.waiting import raise_if_not_completed, wait_for_end
from taskmill.contracts.tasks import Task
from taskmill.gateway.api import examples
from taskmill.sdk.client import Client, RunCancelledError, RunFailedError, UnavailableError, WaitTimeoutError

Answers = list[str | int]


def task(status: str) -> Task:
    """A task that stands there."""
    return Task.model_validate({**examples.TASK, "status": status})


@pytest.fixture
def client() -> Callable[[Answers], Client]:
    """Makes a client that is answered with the task in these statuses, or with errors, in order; the last one stays."""

    def made(answers: Answers) -> Client:
        left = iter(answers[:-1])

        def answer(_: httpx.Request) -> httpx.Response:
            now = next(left, answers[-1])
            if isinstance(now, int):
                return httpx.Response(now, json={"code": "x", "detail": "X."})
            return httpx.Response(200, content=task(now).model_dump_json())

        return Client("http://x", transport=httpx.MockTransport(answer), attempts=1)

    return made


def test_it_ends(client: Callable[[Answers], Client]) -> None:
    """However long that takes, and whoever does not answer meanwhile."""
    found = wait_for_end(client(["queued", 503, 502, "in_progress", "completed"]), task("queued"), 30)
    assert found.status == "completed"


def test_it_has_ended(client: Callable[[Answers], Client]) -> None:
    """Then nobody is asked."""
    assert wait_for_end(client([500]), task("failed"), 0).status == "failed"


def test_time_is_over(client: Callable[[Answers], Client]) -> None:
    """The task goes on; if nobody answers, that is told."""
    with pytest.raises(WaitTimeoutError):
        wait_for_end(client(["queued"]), task("queued"), 0.01)
    with pytest.raises(UnavailableError):
        wait_for_end(client([503]), task("queued"), 0.01)


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("processor", "It waits: no processor serves the queue default."),
        ("kind", "It waits: no processor of the queue default has a handler for the kind echo."),
        ("resume", "It waits: the queue default is paused."),
        ("slot", ""),
        ("due_time", ""),
    ],
)
def test_it_is_held_up(
    reason: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What somebody has to do something about is told once, and again when time is over."""
    held_up = {**examples.TASK, "status": "queued", "kind": "echo", "queue": "default"}
    waits = Task.model_validate({**held_up, "waiting_for": {"reason": reason}})
    answers = iter([waits, waits, task("completed")])
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=next(answers).model_dump_json()))
    monkeypatch.setattr(waiting, "_HELD_UP_SECONDS", 0)
    assert wait_for_end(Client("http://x", transport=transport), waits, 30).status == "completed"
    assert capsys.readouterr().err.strip() == told
    assert str(WaitTimeoutError(3, waits)).endswith(told or "it goes on.")


def test_how_it_ended() -> None:
    """What was not completed is an error."""
    raise_if_not_completed(task("completed"))
    with pytest.raises(RunFailedError):
        raise_if_not_completed(task("failed"))
    with pytest.raises(RunCancelledError):
        raise_if_not_completed(task("cancelled"))
