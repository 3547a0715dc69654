"""The kind `webhook-delivery`: tells a webhook one event, signed as Standard Webhooks has it."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import BaseModel, ConfigDict, JsonValue
from pydantic_core import from_json
from standardwebhooks import Webhook as Signer

from taskmill.contracts import registry
from taskmill.contracts.errors import RemoteError, UnavailableError, WebhookNotFoundError
from taskmill.contracts.events import EVENT_CONTENT_TYPE
from taskmill.contracts.log import Position
from taskmill.contracts.webhooks import (
    DELIVERY_ATTEMPTS,
    DELIVERY_KIND,
    DELIVERY_LADDER_SECONDS,
    REPLAY_HEADER,
    PreparedDelivery,
    PrepareDelivery,
    SwitchOffWebhook,
    Webhook,
)
from taskmill.processor.adapters.outside import Outside
from taskmill.processor.domain.delivery_lanes import DeliveryLanes
from taskmill.processor.errors import AddressRefusedError
from taskmill.runtime.clock import utc_now
from taskmill.sdk import Context, NotNow, Retry, TaskApp, TaskFailedError

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 20.0
"""For everything: connecting, sending, and the head of the answer."""

STORE_AWAY_SECONDS = 5.0
"""When a delivery comes again that could not ask the store what it needs."""

MAX_RETRY_AFTER_SECONDS = 24 * 3600
"""A receiver may ask for a longer wait than the ladder's, but for no longer one than this."""


def register(app: TaskApp, outside: Outside) -> None:
    """Add the kind."""
    lanes = DeliveryLanes(outside.slots, time.monotonic)
    app.task(DELIVERY_KIND, retry=Retry(attempts=DELIVERY_ATTEMPTS))(Deliverer(outside, lanes).deliver)


class DeliveryPayload(BaseModel):
    """What `webhook-delivery` takes. All else is asked at each attempt, so that what changes counts at once."""

    model_config = ConfigDict(extra="forbid")

    webhook_id: UUID
    position: Position
    event_id: str
    replay_id: UUID | None = None


class Deliverer:
    """Delivers events.

    Args:
        outside: The store, and the client for HTTP.
        lanes: How many may be in flight.
        now: Signs, and reads `Retry-After`.
        timeout_seconds: How long a receiver may take.
    """

    def __init__(
        self,
        outside: Outside,
        lanes: DeliveryLanes,
        *,
        now: Callable[[], datetime] = utc_now,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._http = outside.http
        self._store = outside.store
        self._lanes = lanes
        self._now = now
        self._timeout_seconds = timeout_seconds

    async def deliver(self, request: DeliveryPayload, context: Context) -> JsonValue:
        """Send an event to a webhook, once.

        Returns:
            The status that it was answered with, of the class 2xx.

        Raises:
            NotNow: As many deliveries to the webhook as may are in flight here, or the store is away.
            TaskFailedError: It was not accepted. With another attempt, as the ladder says: `bad_status`, `timeout`,
                `redirected`, `address_refused`, `request_failed`, `store_error`. Without: `gone` (the webhook is off
                now), `webhook_deleted`, `webhook_off`, `event_forgotten`.
        """
        with self._lanes.pass_through(request.webhook_id) as passage:
            prepared = await self._prepare(request, context)
            document = _document(prepared)
            headers = {
                "Content-Type": EVENT_CONTENT_TYPE,
                **signature_headers(document, prepared.secrets, self._now()),
                **({} if request.replay_id is None else {REPLAY_HEADER: str(request.replay_id)}),
            }
            passage.is_answered = False
            try:
                response = await self._post(prepared.url, document.encode(), headers)
            except TaskFailedError as failure:
                raise _later(failure, context, None) from failure.__cause__
            passage.is_answered = True
        return await self._judge(request, prepared, response, context)

    async def _prepare(self, request: DeliveryPayload, context: Context) -> PreparedDelivery:
        wanted = PrepareDelivery(webhook_id=request.webhook_id, position=request.position)
        try:
            return await self._store.ask(registry.PREPARE_DELIVERY, wanted, PreparedDelivery)
        except UnavailableError as error:
            raise NotNow(STORE_AWAY_SECONDS) from error
        except RemoteError as error:
            if error.problem().code == WebhookNotFoundError.code:
                raise TaskFailedError("webhook_deleted", "The webhook was deleted.", is_final=True) from None
            if error.problem().retry_after_seconds is not None:
                raise NotNow(STORE_AWAY_SECONDS) from error
            failure = TaskFailedError("store_error", f"The store answered {error.problem().code}.")
            raise _later(failure, context, None) from error

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> "httpx.Response":
        # Here, because a processor that sends no requests need not hold it in memory.
        import httpx  # noqa: PLC0415

        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._http.client() as client,
                # Only the head of the answer counts: its body is not read.
                client.stream("POST", url, content=body, headers=headers, follow_redirects=False) as response,
            ):
                return response
        except (TimeoutError, httpx.TimeoutException) as error:
            message = f"There was no answer within {self._timeout_seconds:g} s."
            raise TaskFailedError("timeout", message) from error
        except AddressRefusedError as error:
            raise TaskFailedError(
                "address_refused",
                "The address is not public; where that is wanted, TASKMILL_HTTP_ALLOW_PRIVATE=true allows it.",
            ) from error
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise TaskFailedError("request_failed", f"There was no answer ({type(error).__name__}).") from error

    async def _judge(
        self, request: DeliveryPayload, prepared: PreparedDelivery, response: "httpx.Response", context: Context
    ) -> JsonValue:
        status = response.status_code
        if response.is_success:
            return {"status": status}
        if status == HTTPStatus.GONE:
            await self._switch_off(request.webhook_id, prepared.revision)
            raise TaskFailedError("gone", "The receiver answered 410: the webhook is off now.", is_final=True)
        if response.is_redirect:
            failure = TaskFailedError("redirected", f"The receiver answered {status}; redirects are not followed.")
        else:
            failure = TaskFailedError("bad_status", f"The receiver answered {status}.")
        raise _later(failure, context, retry_after_seconds(response.headers.get("Retry-After"), self._now()))

    async def _switch_off(self, webhook_id: UUID, revision: int) -> None:
        wanted = SwitchOffWebhook(id=webhook_id, revision=revision)
        try:
            await self._store.ask(registry.SWITCH_OFF_WEBHOOK, wanted, Webhook)
        except UnavailableError as error:
            raise NotNow(STORE_AWAY_SECONDS) from error
        except RemoteError as error:
            if error.problem().retry_after_seconds is not None:
                raise NotNow(STORE_AWAY_SECONDS) from error


def signature_headers(document: str, secrets: list[str], now: datetime) -> dict[str, str]:
    """The headers that prove where a delivery comes from: one signature for each active secret."""
    # Of the event itself: anybody may make a task, whose payload says what it likes.
    event_id = str(from_json(document)["id"])
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Signer(secret).sign(event_id, now, document) for secret in secrets),
    }


def ladder_seconds(attempt: int, attempt_limit: int) -> int:
    """How long a delivery waits behind an attempt.

    Args:
        attempt: Its number, over all runs of the task.
        attempt_limit: That of the last one in this run: a delivery that is asked for again climbs from the start.
    """
    step = DELIVERY_ATTEMPTS - 1 - (attempt_limit - attempt)
    return DELIVERY_LADDER_SECONDS[min(max(step, 0), len(DELIVERY_LADDER_SECONDS) - 1)]


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """What the header `Retry-After` (RFC 9110 §10.2.3) asks for; None: nothing that can be understood."""
    if header is None:
        return None
    if header.isascii() and header.isdigit():
        return float(header[:10])
    try:
        return (parsedate_to_datetime(header) - now).total_seconds()
    except (ValueError, TypeError):
        # No date, or one without a time zone.
        return None


def _document(prepared: PreparedDelivery) -> str:
    if not prepared.is_enabled:
        raise TaskFailedError("webhook_off", "The webhook is off.", is_final=True)
    if prepared.document is None:
        raise TaskFailedError("event_forgotten", "The event is no longer in the log.", is_final=True)
    return prepared.document


def _later(failure: TaskFailedError, context: Context, asked_seconds: float | None) -> TaskFailedError:
    """A failure after which the next attempt waits as the ladder says, or longer if the receiver asks for it."""
    wait = float(ladder_seconds(context.attempt, context.attempt_limit))
    failure.retry_after_seconds = max(wait, min(asked_seconds or 0.0, MAX_RETRY_AFTER_SECONDS))
    return failure
