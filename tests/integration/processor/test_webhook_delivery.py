"""The kind `webhook-delivery`, against receivers on this machine."""

import asyncio
import base64
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel
from standardwebhooks import Webhook as Receiver
from standardwebhooks import WebhookVerificationError

from taskmill.cli.embedded.ports import free_port
from taskmill.contracts import registry
from taskmill.contracts.errors import RemoteError, StoreUnavailableError, WebhookNotFoundError
from taskmill.contracts.registry import Command
from taskmill.contracts.status import Priority
from taskmill.contracts.webhooks import DELIVERY_ATTEMPTS, DELIVERY_LADDER_SECONDS, PreparedDelivery
from taskmill.contracts.work import WorkItem
from taskmill.processor.adapters.guarded_http import GuardedHttp, is_public_address
from taskmill.processor.adapters.name_lookups import IpAddress
from taskmill.processor.adapters.outside import Outside
from taskmill.processor.adapters.store import Store
from taskmill.processor.domain.delivery_lanes import DeliveryLanes
from taskmill.processor.handlers.webhook_delivery import Deliverer
from taskmill.sdk import Context, InvalidPayloadError, NotNow, TaskApp, TaskFailedError
from tests.support.http_server import http_server, response

SECRETS = ["whsec_" + base64.b64encode(bytes([number]) * 24).decode() for number in range(2)]
EVENT_ID = "01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42.3"
DOCUMENT = f'{{"id":"{EVENT_ID}","data":{{"title":"grüße 🎈"}}}}'
WEBHOOK_ID = uuid4()


@dataclass
class PreparedStore(Store):
    """Knows one webhook.

    Attributes:
        prepared: What a delivery needs, or why it cannot be told.
        asked: What was asked, in order.
    """

    prepared: PreparedDelivery | Exception
    asked: list[tuple[Command, BaseModel]] = field(default_factory=list)

    async def ask(self, command: Command, request: BaseModel, reply: type[Any]) -> Any:  # noqa: ARG002
        """Remember and answer."""
        self.asked.append((command, request))
        if command is not registry.PREPARE_DELIVERY:
            return None
        if isinstance(self.prepared, Exception):
            raise self.prepared
        return self.prepared


def known(url: str, **fields: Any) -> PreparedDelivery:
    """A webhook as the store tells it."""
    told = {"url": url, "secrets": SECRETS, "is_enabled": True, "revision": 7, "document": DOCUMENT, **fields}
    return PreparedDelivery.model_validate(told)


async def deliver(
    store: PreparedStore,
    *,
    attempt: int = 1,
    attempt_limit: int = DELIVERY_ATTEMPTS,
    is_allowed: Callable[[IpAddress], bool] | None = None,
    payload: Any = None,
    timeout_seconds: float = 20,
    lanes: DeliveryLanes | None = None,
) -> Any:
    """Call the handler once."""
    item = WorkItem(
        task_id=uuid4(),
        run=1,
        attempt=attempt,
        attempt_limit=attempt_limit,
        dispatch=1,
        title="t",
        kind="webhook-delivery",
        queue="webhooks",
        priority=Priority.MEDIUM,
    )
    deliverer = Deliverer(
        Outside(GuardedHttp(is_allowed), store, slots=100),
        lanes or DeliveryLanes(100, time.monotonic),
        timeout_seconds=timeout_seconds,
    )
    wanted = {"webhook_id": str(WEBHOOK_ID), "position": 5, "event_id": EVENT_ID, "replay_id": None, **(payload or {})}
    app = TaskApp("test")
    app.task("webhook-delivery")(deliverer.deliver)
    handler = app.handlers["webhook-delivery"]
    return await handler.function(handler.read(wanted), Context(item, lambda *_args, **_content: None))


async def failure(store: PreparedStore, **options: Any) -> TaskFailedError:
    """Call the handler, which must fail."""
    with pytest.raises(TaskFailedError) as raised:
        await deliver(store, **options)
    return raised.value


def received(request: str) -> tuple[dict[str, str], str]:
    """The headers and the body of a request."""
    head, _, body = request.partition("\r\n\r\n")
    return dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:]), body


async def test_a_delivery_is_signed_and_is_the_event() -> None:
    """Byte for byte, and verified with either of the two secrets, by the library that receivers use."""
    requests: list[str] = []

    def answer(request: str) -> bytes:
        requests.append(request)
        return response(status="204 No Content")

    async with http_server(answer) as url:
        store = PreparedStore(known(f"{url}/hook"))
        assert await deliver(store) == {"status": 204}
        await deliver(store, payload={"replay_id": str(UUID(int=9))})
    assert requests[0].startswith("POST /hook HTTP/1.1\r\n")
    # Names are told apart by case nowhere, but signatures are: so the headers are read as they came.
    head, _, body = requests[0].partition("\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    assert body == DOCUMENT
    assert headers["webhook-id"] == EVENT_ID
    assert headers["Content-Type"] == "application/cloudevents+json"
    assert "Taskmill-Replay" not in headers
    assert received(requests[1])[0]["taskmill-replay"] == str(UUID(int=9))
    for secret in SECRETS:
        assert Receiver(secret).verify(body, headers)["id"] == EVENT_ID
    with pytest.raises(WebhookVerificationError):
        Receiver("whsec_" + base64.b64encode(b"x" * 24).decode()).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Receiver(SECRETS[0]).verify(body + " ", headers)


async def test_a_receiver_that_answers_500_is_asked_again_as_the_ladder_says() -> None:
    """Immediately, then after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h; anew with each run."""
    async with http_server(lambda _: response(status="500 Broken")) as url:
        store = PreparedStore(known(url))
        for first in (1, 11):
            limit = first + DELIVERY_ATTEMPTS - 1
            waits = []
            for attempt in range(first, limit):
                failed = await failure(store, attempt=attempt, attempt_limit=limit)
                assert (failed.code, failed.is_final, str(failed)) == (
                    "bad_status",
                    False,
                    "The receiver answered 500.",
                )
                waits.append(failed.retry_after_seconds)
            assert waits == list(DELIVERY_LADDER_SECONDS)
            assert (await failure(store, attempt=limit, attempt_limit=limit)).code == "bad_status"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 5), ("120", 120), ("999999999999999", 86_400), ("-5", 5), ("soon", 5), ("in an hour", 3_600)],
)
async def test_retry_after_is_honoured_within_bounds(header: str, seconds: float) -> None:
    """It may prolong a step of the ladder, up to a day."""
    if header == "in an hour":
        header = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    async with http_server(lambda _: response(status="503 Busy", Retry_After=header)) as url:
        failed = await failure(PreparedStore(known(url)))
    assert failed.retry_after_seconds == pytest.approx(seconds, abs=2)


async def test_redirects_are_not_followed() -> None:
    """What the target would answer does not count."""
    requests: list[str] = []

    def answer(request: str) -> bytes:
        requests.append(request)
        return response()

    async with (
        http_server(answer) as target,
        http_server(lambda _: response(status="302 Found", Location=target)) as url,
    ):
        failed = await failure(PreparedStore(known(url)))
    assert (failed.code, failed.is_final, failed.retry_after_seconds) == ("redirected", False, 5)
    assert requests == []


async def test_a_receiver_that_hangs_is_given_up_in_time() -> None:
    """It counts as no answer."""
    async with http_server(lambda _: b"") as url:
        failed = await failure(PreparedStore(known(url)), timeout_seconds=0.1)
    assert (failed.code, failed.retry_after_seconds) == ("timeout", 5)


async def test_a_receiver_that_has_vanished_is_asked_again() -> None:
    """Nobody listens there any more."""
    failed = await failure(PreparedStore(known(f"http://127.0.0.1:{free_port()}")))
    assert (failed.code, failed.is_final, failed.retry_after_seconds) == ("request_failed", False, 5)


async def test_this_machine_is_refused() -> None:
    """As for `http-request`."""
    requests: list[str] = []
    async with http_server(lambda request: requests.append(request) or response()) as url:  # type: ignore[func-returns-value]
        failed = await failure(PreparedStore(known(url)), is_allowed=is_public_address)
    assert (failed.code, requests) == ("address_refused", [])


async def test_410_switches_the_webhook_off() -> None:
    """As it was when the delivery was prepared; and there is no other attempt."""
    async with http_server(lambda _: response(status="410 Gone")) as url:
        store = PreparedStore(known(url))
        failed = await failure(store)
    assert (failed.code, failed.is_final) == ("gone", True)
    command, request = store.asked[-1]
    assert command is registry.SWITCH_OFF_WEBHOOK
    assert request.model_dump() == {"id": WEBHOOK_ID, "revision": 7}


@pytest.mark.parametrize(
    ("prepared", "code"),
    [
        (known("http://nowhere.invalid", is_enabled=False), "webhook_off"),
        (known("http://nowhere.invalid", document=None), "event_forgotten"),
        (RemoteError(WebhookNotFoundError().problem()), "webhook_deleted"),
    ],
)
async def test_what_has_no_receiver_any_more_is_given_up(prepared: PreparedDelivery | Exception, code: str) -> None:
    """Nothing is sent, and there is no other attempt."""
    failed = await failure(PreparedStore(prepared))
    assert (failed.code, failed.is_final) == (code, True)


async def test_while_the_store_is_away_no_attempt_is_spent() -> None:
    """The delivery comes again."""
    with pytest.raises(NotNow):
        await deliver(PreparedStore(StoreUnavailableError()))


async def test_the_id_is_that_of_the_event() -> None:
    """Whatever the payload says."""
    requests: list[str] = []

    def answer(request: str) -> bytes:
        requests.append(request)
        return response()

    async with http_server(answer) as url:
        await deliver(PreparedStore(known(url)), payload={"event_id": "another"})
    assert received(requests[0])[0]["webhook-id"] == EVENT_ID


async def test_a_payload_of_somebody_else_is_refused() -> None:
    """Anybody may make a task of this kind."""
    with pytest.raises(InvalidPayloadError):
        await deliver(PreparedStore(known("http://nowhere.invalid")), payload={"webhook_id": "x"})


async def test_receivers_that_hang_hold_nobody_up() -> None:
    """Each has one delivery in flight; one more is put off at once, and a webhook's that answers goes through."""
    lanes = DeliveryLanes(100, time.monotonic)
    good, *bad = ({"webhook_id": str(uuid4())} for _ in range(26))
    async with http_server(lambda _: b"") as hanging, http_server(lambda _: response()) as url:
        await deliver(PreparedStore(known(url)), lanes=lanes, payload=good)
        held = [
            asyncio.create_task(failure(PreparedStore(known(hanging)), lanes=lanes, payload=one, timeout_seconds=2))
            for one in bad
        ]
        await asyncio.sleep(0)
        for unknown in (bad[0], {"webhook_id": str(uuid4())}):
            with pytest.raises(NotNow):
                await deliver(PreparedStore(known(hanging)), lanes=lanes, payload=unknown)
        async with asyncio.timeout(1):
            assert await deliver(PreparedStore(known(url)), lanes=lanes, payload=good) == {"status": 200}
        assert {failed.code for failed in await asyncio.gather(*held)} == {"timeout"}
