"""TASK_WORK, and what tells a processor to stop: the relay is the one who writes there."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson

from taskmill.contracts import subjects
from taskmill.contracts.control import CancelAttempt
from taskmill.contracts.events import REMOVED_BY_RETENTION, EventType
from taskmill.contracts.streams import MESSAGE_ID_HEADER, WORK_STREAM
from taskmill.contracts.tracing import TRACEPARENT_HEADER
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.outbound import OutboundMessage
from taskmill.runtime.publisher import Publisher
from taskmill.runtime.spans import Attributes, Span
from taskmill.runtime.stream_state import purge_subject
from taskmill.runtime.tracing import ending, is_tracing, start_span
from taskmill.task_store.adapters.placeholders import Placeholder
from taskmill.task_store.adapters.work_consumers import WorkConsumers
from taskmill.task_store.domain.events import id_text
from taskmill.task_store.domain.publication import UnpublishedEvent, WaitingWork

PURGES_AT_ONCE = 100


class WorkStream:
    """Publishes work items, and withdraws those that are in vain.

    Args:
        consumers: Makes the consumers of a queue exist before its work is published.
    """

    def __init__(self, session: NatsSession, publisher: Publisher, consumers: WorkConsumers) -> None:
        self._session = session
        self._publisher = publisher
        self._consumers = consumers
        self._placeholder = Placeholder(session, subjects.WORK_PLACEHOLDER_SUBJECT)

    async def follow(self, events: Sequence[UnpublishedEvent]) -> None:
        """Do to the work what events ask for. To do it again for the same events does no harm.

        Raises:
            BusUnavailableError: Not all of it may be done.
            JetStreamError: JetStream refuses.
        """
        await self._withdraw([event for event in events if event.must_stop and _stops_execution(event)])
        await self._publish(_wanted_work(events))

    def stop_handler(self, task_id: UUID, attempt: int) -> None:
        """Tell the processor that executes an attempt, whichever it is, to stop. It may not hear it.

        Raises:
            BusUnavailableError: Not connected.
        """
        self._session.publish(subjects.cancel(task_id), CancelAttempt(attempt=attempt).model_dump_json().encode())

    async def _withdraw(self, events: Sequence[UnpublishedEvent]) -> None:
        ended = list({event.task_id for event in events if event.type is not EventType.CANCEL_REQUESTED})
        for start in range(0, len(ended), PURGES_AT_ONCE):
            purges = [
                purge_subject(self._session, WORK_STREAM, subjects.task_work(task_id))
                for task_id in ended[start : start + PURGES_AT_ONCE]
            ]
            await asyncio.gather(*purges)
        for event in events:
            self.stop_handler(event.task_id, _data(event)["attempt"])

    async def _publish(self, waiting: Sequence[tuple[UnpublishedEvent, WaitingWork]]) -> None:
        if not waiting:
            return
        for queue in {work.queue for _, work in waiting}:
            await self._consumers.ensure(queue)
        spans = [_span(event, work) for event, work in waiting] if is_tracing() else [None] * len(waiting)
        messages = [_message(event, work, span) for (event, work), span in zip(waiting, spans, strict=True)]
        with ending(spans):
            await self._publisher.publish_all(messages)
        self._placeholder.note(sum(len(message.body) for message in messages), len(messages))


def _wanted_work(events: Sequence[UnpublishedEvent]) -> list[tuple[UnpublishedEvent, WaitingWork]]:
    """The work that events ask for, unless one that follows takes it back or asks for other work instead."""
    wanted: dict[UUID, tuple[UnpublishedEvent, WaitingWork]] = {}
    for event in events:
        if event.work is not None:
            wanted[event.task_id] = event, event.work
        elif event.must_stop:
            wanted.pop(event.task_id, None)
    return list(wanted.values())


def _stops_execution(event: UnpublishedEvent) -> bool:
    """Whether an execution may go on that the event says is over: after most failures it has ended by itself."""
    data = _data(event)
    # What retention removes has ended long ago.
    if data.get("reason") == REMOVED_BY_RETENTION:
        return False
    # A task that was never asked to be processed has no attempt that anybody could execute.
    if event.type is not EventType.FAILED:
        return bool(data["attempt"] > 0)
    return bool(data["error"]["code"] == "crash_loop")


def _data(event: UnpublishedEvent) -> dict[str, Any]:
    data: dict[str, Any] = orjson.loads(event.document)["data"]
    return data


def _span(event: UnpublishedEvent, work: WaitingWork) -> Span | None:
    attributes: Attributes = {"taskmill.task_id": str(event.task_id), "taskmill.attempt": work.attempt}
    return start_span(f"dispatch {work.queue}", "producer", work.traceparent, attributes)


def _message(event: UnpublishedEvent, work: WaitingWork, span: Span | None = None) -> OutboundMessage:
    """The `WorkItem` that an event asks for; a test reads it with its model."""
    traceparent = work.traceparent if span is None else span.traceparent
    task_id = id_text(event.task_id)
    item = {
        "task_id": task_id,
        "run": work.run,
        "attempt": work.attempt,
        "dispatch": work.dispatch,
        "attempt_limit": work.attempt_limit,
        "first_attempt": work.first_attempt,
        "crashes": work.crashes,
        "timeout_seconds": work.timeout_seconds,
        "title": work.title,
        "kind": event.kind,
        "queue": work.queue,
        "priority": work.priority,
        "labels": orjson.Fragment(work.labels),
        "payload": orjson.Fragment(work.payload),
        "checkpoint": orjson.Fragment(work.checkpoint),
    }
    return OutboundMessage(
        subject=subjects.work(work.queue, work.priority, event.kind, task_id),
        body=orjson.dumps(item),
        # The dispatch makes it another message than the lost one that it replaces, which JetStream may remember.
        headers={
            MESSAGE_ID_HEADER: f"{task_id}:{work.attempt}:{work.dispatch}",
            **({} if traceparent is None else {TRACEPARENT_HEADER: traceparent}),
        },
    )
