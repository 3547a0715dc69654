"""The adapter of the task store: what it sends, and what it refuses to send."""

import asyncio
from uuid import UUID

import pytest

from taskmill.contracts import registry
from taskmill.contracts.errors import OverloadedError, PayloadTooLargeError, StoreUnavailableError
from taskmill.contracts.requests import GetTask, UpdateTask
from taskmill.gateway.adapters.store import MAX_REQUEST_BYTES, MAX_REQUESTS_IN_FLIGHT, Store
from taskmill.runtime.errors import NoRespondersError
from taskmill.runtime.reply import Reply
from tests.support.eventually import eventually

TASK_ID = UUID("01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42")


class SilentRequester:
    """Takes requests and answers none until it may."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes, float | None]] = []
        self.may_answer = asyncio.Event()

    async def request(self, subject: str, body: bytes, *, timeout_seconds: float | None = None) -> Reply:
        """Remember, and answer when it may."""
        self.asked.append((subject, body, timeout_seconds))
        await self.may_answer.wait()
        return Reply(b"{}")


async def test_a_request_is_its_json_on_its_subject() -> None:
    """What was never set is not sent; the time that it may take is handed on."""
    requester = SilentRequester()
    requester.may_answer.set()
    request = UpdateTask(id=TASK_ID, changes={"title": "ü"})
    assert await Store(requester).ask(registry.UPDATE, request, timeout_seconds=1.5) == Reply(b"{}")
    body = f'{{"id":"{TASK_ID}","changes":{{"title":"ü"}}}}'.encode()
    assert requester.asked == [("tasks.v1.cmd.update", body, 1.5)]


async def test_a_request_must_fit_a_message() -> None:
    """One byte more than fits is refused here, in words that the client understands."""
    requester = SilentRequester()
    requester.may_answer.set()
    store = Store(requester)
    overhead = len(f'{{"id":"{TASK_ID}","changes":{{"payload":""}}}}')
    fitting = "x" * (MAX_REQUEST_BYTES - overhead)
    await store.ask(registry.UPDATE, UpdateTask(id=TASK_ID, changes={"payload": fitting}))
    with pytest.raises(PayloadTooLargeError):
        await store.ask(registry.UPDATE, UpdateTask(id=TASK_ID, changes={"payload": fitting + "x"}))
    assert len(requester.asked) == 1


async def test_no_more_requests_wait_than_there_is_room_for() -> None:
    """The next is refused at once; when one has its reply, there is room again."""
    requester = SilentRequester()
    store = Store(requester)
    waiting = [asyncio.create_task(store.ask(registry.GET, GetTask(id=TASK_ID))) for _ in range(MAX_REQUESTS_IN_FLIGHT)]
    await eventually(lambda: len(requester.asked) == MAX_REQUESTS_IN_FLIGHT, every_seconds=0)
    with pytest.raises(OverloadedError):
        await store.ask(registry.GET, GetTask(id=TASK_ID))
    requester.may_answer.set()
    await asyncio.gather(*waiting)
    assert await store.ask(registry.GET, GetTask(id=TASK_ID)) == Reply(b"{}")


@pytest.mark.parametrize("error", [NoRespondersError, TimeoutError])
async def test_a_store_that_does_not_answer_is_unavailable(error: type[Exception]) -> None:
    """Whether none is there or none answers in time; and the request waits no longer."""

    class Nobody(SilentRequester):
        async def request(self, subject: str, body: bytes, *, timeout_seconds: float | None = None) -> Reply:  # noqa: ARG002
            raise error

    store = Store(Nobody())
    for _ in range(MAX_REQUESTS_IN_FLIGHT + 1):
        with pytest.raises(StoreUnavailableError):
            await store.ask(registry.GET, GetTask(id=TASK_ID))
