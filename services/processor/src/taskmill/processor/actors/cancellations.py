"""Listens for the tasks that clients want to be stopped."""

import asyncio
from collections.abc import Callable

import structlog
from pydantic import ValidationError

from taskmill.contracts import subjects
from taskmill.contracts.control import CancelAttempt
from taskmill.processor.actors.execution import Execution
from taskmill.runtime.actor import Actor
from taskmill.runtime.nats_session import NatsSession

_log = structlog.get_logger(__name__)


class Cancellations(Actor):
    """Has the handler of each task that is cancelled stopped, if it runs here.

    A message that is lost is repeated by the store for as long as the attempt's lease runs.

    Args:
        session: Where the messages come from.
        execution: Stops the handlers.
    """

    name = "cancellations"

    def __init__(self, session: NatsSession, execution: Execution) -> None:
        self._session = session
        self._execution = execution

    async def run(self, started: Callable[[], None]) -> None:
        """Listen until stopped."""
        subscription = self._session.subscribe(subjects.CANCEL_SUBJECTS, self._on_message)
        try:
            started()
            await self._stop_requested.wait()
        finally:
            self._session.unsubscribe(subscription)

    def _on_message(self, subject: bytes, _reply: bytes, data: bytes, _headers: bytes | None) -> None:
        try:
            task_id = subjects.parse_cancel(subject.decode())
            attempt = CancelAttempt.model_validate_json(data).attempt
        except (ValueError, ValidationError):
            _log.warning("cancellations.unreadable")
            return
        # Behind the work items that arrived before it and are not begun yet.
        asyncio.get_running_loop().call_soon(self._execution.cancel, task_id, attempt)
