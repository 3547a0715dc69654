"""Whether a request is made again, and when."""

import random
import time
from collections.abc import Callable
from typing import Any

import httpx

from taskmill.sdk.client.calls import Call
from taskmill.sdk.client.errors import ApiError, NoAnswerError, TooManyRequestsError, UnavailableError

FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 5.0


class Retries:
    """Decides for one call, as the hook of `stamina.retry_context`.

    A request is made again when certainly nothing was done (it could not be sent; 429), and, if it does no harm a
    second time, also when nobody knows: the connection broke, or 502, 503, 504. It waits as `Retry-After` says, or else
    twice as long each time, less a random part; and is not made again when time would be over by then.

    Args:
        call: What is asked.
        within_seconds: How long after the start it may be made again.
        now: A clock in seconds.
        share: A random number from 0 to 1.
    """

    def __init__(
        self,
        call: Call[Any],
        within_seconds: float,
        *,
        now: Callable[[], float] = time.monotonic,
        share: Callable[[], float] = random.random,
    ) -> None:
        self._call = call
        self._now = now
        self._share = share
        self._ends_at = now() + within_seconds
        self._next_wait_seconds = FIRST_WAIT_SECONDS

    def wait_after(self, error: Exception) -> float | bool:
        """How long to wait after an error before the call is made again, in seconds; False: it is not."""
        if not self._may_repeat(error):
            return False
        wait = self._next_wait_seconds * (1 + self._share()) / 2
        self._next_wait_seconds = min(self._next_wait_seconds * 2, LONGEST_WAIT_SECONDS)
        if isinstance(error, ApiError) and error.retry_after_seconds is not None:
            wait = error.retry_after_seconds
        return wait if self._now() + wait < self._ends_at else False

    def _may_repeat(self, error: Exception) -> bool:
        match error:
            case NoAnswerError():
                return self._call.is_repeatable or not error.was_sent
            case TooManyRequestsError():
                return True
            case UnavailableError():
                return self._call.is_repeatable
        return False


def no_answer(error: httpx.RequestError) -> NoAnswerError:
    """The error for what happened to a connection on which a request was made, or was to be."""
    was_sent = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
    url = error.request.url
    # Without user and password, if the URL has them: `netloc` is host and port.
    address = f"{url.scheme}://{url.netloc.decode()}"
    return NoAnswerError(str(error) or type(error).__name__, was_sent=was_sent, address=address)
