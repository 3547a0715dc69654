"""Listens for the queues that are paused."""

import asyncio
from collections.abc import Callable

import structlog
from pydantic import ValidationError

from taskmill.contracts import subjects
from taskmill.contracts.control import QueuesPaused
from taskmill.processor.actors.execution import Execution
from taskmill.runtime.actor import Actor
from taskmill.runtime.nats_session import NatsSession

_log = structlog.get_logger(__name__)


class QueuePauses(Actor):
    """Has what was fetched of a paused queue, and waits for its turn, given back.

    Nothing more arrives of it: JetStream delivers nothing. A message that is lost is repeated by the store every second
    for as long as the queue is paused.

    Args:
        session: Where the messages come from.
        execution: Gives back.
    """

    name = "queue-pauses"

    def __init__(self, session: NatsSession, execution: Execution) -> None:
        self._session = session
        self._execution = execution

    async def run(self, started: Callable[[], None]) -> None:
        """Listen until stopped."""
        subscription = self._session.subscribe(subjects.QUEUES_PAUSED_SUBJECT, self._on_message)
        try:
            started()
            await self._stop_requested.wait()
        finally:
            self._session.unsubscribe(subscription)

    def _on_message(self, _subject: bytes, _reply: bytes, data: bytes, _headers: bytes | None) -> None:
        try:
            queues = QueuesPaused.model_validate_json(data).queues
        except ValidationError:
            _log.warning("queue_pauses.unreadable")
            return
        # Behind the work items that arrived before it.
        asyncio.get_running_loop().call_soon(self._execution.give_back_waiting, frozenset(queues))
