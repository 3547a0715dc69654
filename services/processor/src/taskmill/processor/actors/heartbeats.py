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
from taskmill.processor.domain.held_work import HeldWork
from taskmill.processor.domain.messages import bundle_text, heartbeat_text, split_for_bundles
from taskmill.runtime.actor import Actor
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
        self._is_stopping = False
        self._unanswered = 0
        self._wake_thread: Callable[[], object] | None = None

    def stop(self) -> None:
        """End the thread."""
        self._is_stopping = True
        if self._wake_thread is not None:
            self._wake_thread()

    async def run(self, started: Callable[[], None]) -> None:
        """Beat until stopped."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def started_in_thread() -> None:
            loop.call_soon_threadsafe(started)

        def live() -> None:
            try:
                asyncio.run(self._beat(started_in_thread, loop))
            except Exception as error:
                loop.call_soon_threadsafe(ended.set_exception, error)
            else:
                loop.call_soon_threadsafe(ended.set_result, None)

        # A daemon, because a process that is told to end at once does not wait for anything.
        threading.Thread(target=live, name=self.name, daemon=True).start()
        await ended

    async def _beat(self, started: Callable[[], None], handlers_loop: asyncio.AbstractEventLoop) -> None:
        loop = asyncio.get_running_loop()
        wake = asyncio.Event()
        self._wake_thread = lambda: loop.call_soon_threadsafe(wake.set)
        session = NatsSession(self._settings, client_name=f"processor-heartbeats-{self._processor_id}")
        session.on_reconnect(wake.set)
        connection = asyncio.create_task(session.run(started))
        try:
            while not self._is_stopping and not connection.done():
                self._beat_once(session)
                waking = asyncio.create_task(wake.wait())
                done, _ = await asyncio.wait(
                    {waking, connection}, timeout=self._interval_seconds, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    self._watch(handlers_loop)
                waking.cancel()
                wake.clear()
        finally:
            self._wake_thread = None
            session.stop()
            await connection

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
