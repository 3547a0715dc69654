"""Says, for everything that this processor holds, that it is still held."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from taskmill.contracts import subjects
from taskmill.contracts.errors import BusUnavailableError
from taskmill.contracts.permissions import PROCESSOR
from taskmill.processor.domain.held_work import HeldWork
from taskmill.processor.domain.messages import bundle_text, heartbeat_text, split_for_bundles
from taskmill.runtime.actor import Actor, is_set_within, unless_set
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.settings import NatsSettings

_log = structlog.get_logger(__name__)

EXIT_STUCK = 70

MAX_UNANSWERED = 2
"""The event loop counts as stuck when it has done nothing over so many beats."""


class Heartbeats(Actor):
    """Beats in a thread of its own, over a connection of its own: a handler that blocks the loop keeps its lease.

    A beat tells JetStream that every held work item is in progress, and the store that every started attempt is held.
    Neither answers: a beat that is lost is made good by the next.

    A handler that holds the event loop beyond its own time cannot be stopped by anything in its process, and stops
    everything else there. Then the process ends at once, as in a crash: its work is delivered again elsewhere, and the
    crash is charged to what ran.

    Args:
        settings: Where NATS is.
        held: What is held.
        processor_id: Signs the reports.
        interval_seconds: The time between two beats.
    """

    name = "heartbeats"

    def __init__(self, settings: NatsSettings, held: HeldWork, *, processor_id: str, interval_seconds: float) -> None:
        self._settings = settings
        self._held = held
        self._processor_id = processor_id
        self._interval_seconds = interval_seconds
        self._unanswered = 0

    async def run(self, started: Callable[[], None]) -> None:
        """Beat until stopped, then end the thread."""
        loop, loop_of_thread = asyncio.get_running_loop(), asyncio.new_event_loop()
        ended: asyncio.Future[None] = loop.create_future()
        is_over = asyncio.Event()

        def started_in_thread() -> None:
            loop.call_soon_threadsafe(started)

        def live() -> None:
            error: Exception | None = None
            try:
                with asyncio.Runner(loop_factory=lambda: loop_of_thread) as runner:
                    runner.run(self._beat(started_in_thread, loop, is_over))
            except Exception as raised:
                error = raised
            with suppress(RuntimeError):  # the loop may be closed when a drain was cut short
                loop.call_soon_threadsafe(_settle, ended, error)

        # A daemon, because a process that is told to end at once does not wait for anything.
        threading.Thread(target=live, name=self.name, daemon=True).start()
        try:
            await unless_set(self._stop_requested, asyncio.shield(ended))
        finally:
            with suppress(RuntimeError):  # the thread may have ended by itself
                loop_of_thread.call_soon_threadsafe(is_over.set)
        await ended

    async def _beat(
        self, started: Callable[[], None], handlers_loop: asyncio.AbstractEventLoop, is_over: asyncio.Event
    ) -> None:
        session = NatsSession(
            self._settings,
            client_name=f"processor-heartbeats-{self._processor_id}",
            inbox_prefix=PROCESSOR.inbox_prefix,
        )
        session.on_reconnect(lambda: self._beat_once(session))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(session.run(started))
            while not await is_set_within(is_over, self._interval_seconds):
                self._watch(handlers_loop)
                self._beat_once(session)
            session.stop()

    def _watch(self, handlers_loop: asyncio.AbstractEventLoop) -> None:
        # Counted in beats: after the whole process was halted for a while, the loop still has its chance to answer.
        if self._unanswered >= MAX_UNANSWERED and self._held.is_overdue(time.monotonic()):
            _log.critical("processor.stuck", exit_code=EXIT_STUCK)
            os._exit(EXIT_STUCK)
        self._unanswered += 1
        with suppress(RuntimeError):  # the loop may be closed when a drain was cut short
            handlers_loop.call_soon_threadsafe(self._on_answer)

    def _on_answer(self) -> None:
        self._unanswered = 0

    def _beat_once(self, session: NatsSession) -> None:
        reports = [heartbeat_text(fence) for fence in self._held.started_fences()]
        try:
            session.write_acks(self._held.replies(), b"+WPI")
            for part in split_for_bundles(reports):
                session.publish(subjects.report(self._processor_id), bundle_text(self._processor_id, part))
        except BusUnavailableError:
            _log.debug("heartbeats.unsent", reports=len(reports))


def _settle(ended: "asyncio.Future[None]", error: Exception | None) -> None:
    if ended.done():
        return
    if error is None:
        ended.set_result(None)
    else:
        ended.set_exception(error)
