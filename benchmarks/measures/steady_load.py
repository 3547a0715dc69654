"""Tasks at a steady rate, and when each was completed."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import nats
from nats.aio.msg import Msg

from benchmarks.client import body_length, encode_request
from benchmarks.errors import MeasurementError
from benchmarks.measures.processing import PROCESSED_TASK
from benchmarks.stack import RunningStack
from benchmarks.waiting import eventually

_CONNECTIONS = 64
_COMPLETED_EVENTS = "tasks.v1.event.completed.>"
_LAST_ONE_WITHIN_SECONDS = 60
_CREATED = b"HTTP/1.1 201"


async def completion_times(stack: RunningStack, *, rate: float, seconds: float) -> list[float]:
    """Post tasks at a steady rate, and tell for each how long it took to its `completed` event.

    The time counts from the moment at which the task was to be posted: that a client was late is no excuse.

    Args:
        stack: Where to.
        rate: Tasks in a second.
        seconds: How long.

    Returns:
        Milliseconds.

    Raises:
        MeasurementError: A task was refused, or not completed within a minute after the last was posted.
    """
    completed_at: dict[str, float] = {}

    async def note(message: Msg) -> None:
        completed_at[message.subject.rpartition(".")[2]] = time.monotonic()

    connection = await nats.connect(stack.nats_url)
    try:
        await connection.subscribe(_COMPLETED_EVENTS, cb=note)
        await connection.flush()
        due_at = await _post_steadily(stack, rate, int(rate * seconds))
        await eventually(lambda: due_at.keys() <= completed_at.keys(), within_seconds=_LAST_ONE_WITHIN_SECONDS)
    finally:
        await connection.close()
    return [(completed_at[task_id] - moment) * 1000 for task_id, moment in due_at.items()]


async def _post_steadily(stack: RunningStack, rate: float, tasks: int) -> dict[str, float]:
    """Post tasks, each at its moment; return the moments by task id."""
    began_at = time.monotonic() + 0.1
    moments = (began_at + number / rate for number in itertools.islice(itertools.count(), tasks))
    due_at: dict[str, float] = {}
    async with asyncio.TaskGroup() as group:
        for _ in range(_CONNECTIONS):
            group.create_task(_post_at(stack, moments, due_at))
    return due_at


async def _post_at(stack: RunningStack, moments: Iterator[float], due_at: dict[str, float]) -> None:
    """On one connection, take the next moment, wait for it, post, and so on."""
    address = urlsplit(stack.url)
    request = encode_request(address.netloc, "POST", "/tasks", PROCESSED_TASK, headers=stack.headers)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        for moment in moments:
            await asyncio.sleep(moment - time.monotonic())
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(body_length(head))
            if not head.startswith(_CREATED):
                raise MeasurementError(f"a task was refused: {body[:500]!r}")
            due_at[_task_id(body)] = moment
    finally:
        writer.close()


def _task_id(body: bytes) -> str:
    # Reading all of the JSON would cost more than all else that the client does.
    return body.partition(b'"id":"')[2][:36].decode()
