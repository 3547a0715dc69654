"""Requests to JetStream's own API (`$JS.API.>`)."""

import json
from typing import Any

from taskmill.contracts.errors import BusUnavailableError
from taskmill.runtime.errors import JetStreamError, NoRespondersError
from taskmill.runtime.nats_session import NatsSession

API_PREFIX = "$JS.API"
API_TIMEOUT_SECONDS = 5

NANOSECONDS = 1_000_000_000
"""In a second: JetStream counts time in nanoseconds."""


async def jetstream_request(
    session: NatsSession, operation: str, parameters: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Send a request to JetStream's API.

    Args:
        session: The connection.
        operation: What follows `$JS.API.`, such as `STREAM.INFO.TASK_WORK`.
        parameters: Its body; None: none.

    Raises:
        BusUnavailableError: Not connected, no JetStream there, or no answer in time.
        JetStreamError: It was refused.
    """
    body = b"" if parameters is None else json.dumps(parameters).encode()
    try:
        answer = await session.requests.request(f"{API_PREFIX}.{operation}", body, timeout_seconds=API_TIMEOUT_SECONDS)
    except (NoRespondersError, TimeoutError):
        raise BusUnavailableError from None
    reply: dict[str, Any] = json.loads(answer.body)
    if (error := reply.get("error")) is not None:
        raise JetStreamError(int(error.get("err_code", 0)), str(error.get("description", "refused")))
    return reply
