"""Says, for everything that this processor holds, that it is still held."""

import asyncio
import threading
from collections.abc import Callable

import structlog

from taskmill.contracts import subjects
from taskmill.contracts.errors import BusUnavailableError
from taskmill.processor.domain.held_work import HeldWork
from taskmill.processor.domain.report_text import bundle_text, heartbeat_text, split_for_bundles
from taskmill.runtime.actor import Actor
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.settings import NatsSettings

_log = structlog.get_logger(__name__)


class Heartbeats(Actor):
    """Beats in a thread of its own, over a connection of its own: a handler that blocks the loop keeps its lease.

    A beat tells JetStream that every held work item is in progress, and the store that every started attempt is held.
    Neither answers: a beat that is lost is made good by the next.

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
                asyncio.run(self._beat(started_in_thread))
            except Exception as error:
                loop.call_soon_threadsafe(ended.set_exception, error)
            else:
                loop.call_soon_threadsafe(ended.set_result, None)

        # A daemon, because a process that is told to end at once does not wait for anything.
        threading.Thread(target=live, name=self.name, daemon=True).start()
        await ended

    async def _beat(self, started: Callable[[], None]) -> None:
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
                await asyncio.wait(
                    {waking, connection}, timeout=self._interval_seconds, return_when=asyncio.FIRST_COMPLETED
                )
                waking.cancel()
                wake.clear()
        finally:
            self._wake_thread = None
            session.stop()
            await connection

    def _beat_once(self, session: NatsSession) -> None:
        reports = [heartbeat_text(fence) for fence in self._held.started_fences()]
        try:
            session.write_acks(self._held.replies(), b"+WPI")
            for part in split_for_bundles(reports):
                session.publish(subjects.report(self._processor_id), bundle_text(self._processor_id, part))
        except BusUnavailableError:
            _log.debug("heartbeats.unsent", reports=len(reports))
