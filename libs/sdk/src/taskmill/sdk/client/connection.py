"""What both clients have in common: where the API is, how long things may take, and how a request is made."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from taskmill.sdk.client.calls import Call
from taskmill.sdk.client.errors import UnreadableAnswerError
from taskmill.sdk.client.retries import Retries, no_answer

DEFAULT_URL = "http://127.0.0.1:8000"
REQUEST_TIMEOUT_SECONDS = 10.0
ATTEMPTS = 10
RETRY_WITHIN_SECONDS = 30.0
CONNECT_WITHIN_SECONDS = 5.0

_LOST = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError, httpx.ProxyError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How the API is reached.

    Attributes:
        base_url: Where it is; None: what `TASKMILL_URL` says, or else `http://127.0.0.1:8000`.
        api_key: Sent as `Authorization: Bearer`; None: what `TASKMILL_API_KEY` says, or else nothing is sent.
        request_timeout_seconds: How long an answer may take, beside what it was asked to wait.
        attempts: How often a request is made at most.
        retry_within_seconds: How long after its start a request may be made again.

    Raises:
        ValueError: A number is not above 0, the URL is none of HTTP, or the key cannot be sent.
    """

    base_url: str | None = None
    api_key: str | None = None
    request_timeout_seconds: float = REQUEST_TIMEOUT_SECONDS
    attempts: int = ATTEMPTS
    retry_within_seconds: float = RETRY_WITHIN_SECONDS

    def __post_init__(self) -> None:
        if min(self.request_timeout_seconds, self.attempts, self.retry_within_seconds) <= 0:
            raise ValueError("timeouts and the number of attempts are more than 0")
        try:
            scheme = httpx.URL(self._url).scheme
        except httpx.InvalidURL as error:
            raise ValueError(f"the base URL cannot be read: {error}") from error
        if scheme not in {"http", "https"}:
            raise ValueError("the base URL begins with http:// or https://")
        if not (self._key.isascii() and self._key.isprintable()):
            raise ValueError("the API key has printable ASCII characters only")

    @property
    def _url(self) -> str:
        return self.base_url or os.environ.get("TASKMILL_URL") or DEFAULT_URL

    @property
    def _key(self) -> str:
        return self.api_key or os.environ.get("TASKMILL_API_KEY") or ""

    def http_options(self) -> dict[str, Any]:
        """What an `httpx.Client` or `httpx.AsyncClient` is made with."""
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return {"base_url": self._url, "headers": headers}

    def request(self, http: httpx.Client | httpx.AsyncClient, call: Call[Any]) -> httpx.Request:
        """The request for a call."""
        answer_within = call.wait_seconds + (0 if call.is_stream else self.request_timeout_seconds)
        return http.build_request(
            call.method,
            call.path,
            params=list(call.params),
            headers=call.headers,
            content=call.body,
            timeout=httpx.Timeout(
                self.request_timeout_seconds,
                connect=min(CONNECT_WITHIN_SECONDS, self.request_timeout_seconds),
                read=answer_within,
            ),
        )

    def attempts_at(self, call: Call[Any]) -> dict[str, Any]:
        """What `stamina.retry_context` is told of a call."""
        if call.within_seconds is not None:
            return {"on": Retries(call, call.within_seconds).wait_after, "attempts": None, "timeout": None}
        retries = Retries(call, self.retry_within_seconds + call.wait_seconds)
        return {"on": retries.wait_after, "attempts": self.attempts, "timeout": None}


@contextmanager
def losses_told() -> Iterator[None]:
    """Have a connection that breaks told as `NoAnswerError`, and what cannot be decoded as `UnreadableAnswerError`."""
    try:
        yield
    except _LOST as error:
        raise no_answer(error) from error
    except httpx.DecodingError as error:
        raise UnreadableAnswerError(f"The answer is not encoded as it says: {error}") from error
