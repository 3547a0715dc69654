"""Tells the store what happens to the attempts, and acknowledges work once its end is stored."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import structlog

from taskmill.contracts import subjects
from taskmill.contracts.errors import TaskmillError
from taskmill.contracts.reports import Checkpointed, HandlerReport, Hello, Logged, Submitted
from taskmill.contracts.streams import MESSAGE_ID_HEADER
from taskmill.processor.domain.announcements import Announcements, replacement_key
from taskmill.processor.domain.held_attempt import HeldAttempt
from taskmill.processor.domain.held_work import HeldWork
from taskmill.processor.domain.messages import (
    bundle_text,
    report_text,
    started_text,
    with_traceparent,
    with_what_was_told,
)
from taskmill.processor.domain.report_queue import QueuedReport, ReportQueue
from taskmill.processor.errors import UnstorableError
from taskmill.runtime.actor import Actor
from taskmill.runtime.backoff import Backoff
from taskmill.runtime.failpoint import failpoint
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.outbound import OutboundMessage
from taskmill.runtime.publisher import Publisher

_log = structlog.get_logger(__name__)

TICK_SECONDS = 0.02

HELLO_INTERVAL_SECONDS = 10
"""The store takes a processor for gone when it has not heard of it for three times as long."""

HELLOS_PER_SCHEMAS = 6
"""One in so many hellos repeats the schemas of payloads, in case that they got lost; the others refer to them."""

FIRST_HELLO_RETRY_SECONDS = 0.1
"""How soon the first hello is tried again: a store that starts at the same time has made the streams in a moment."""

TRIES_IN_DRAIN = 3

MAX_UNSENT_REPORTS = 5_000
MAX_UNSENT_BYTES = 32 * 1024 * 1024
"""No new work is fetched while more than this waits to be stored."""


class Reports(Actor):
    """Sends everything that happened since the last bundle as one, again and again until it is stored.

    It has started once the first hello is stored: before that the store has not made the streams, and there is no work.
    While NATS is away, or the stream of reports is full, reports wait here in memory, and `has_room` becomes false.

    Args:
        session: Where acks of work items are written.
        publisher: Publishes bundles.
        held: What is released once its end is stored.
        hello: What this processor serves; told at the start, after each reconnect, when it drains, and regularly, with
            how many handlers run then.
        processor_id: Signs the bundles.
        boot_id: Differs for every start of every processor: message ids are made from it.
        hello_interval_seconds: The time between two hellos.
    """

    name = "reports"

    def __init__(
        self,
        session: NatsSession,
        publisher: Publisher,
        held: HeldWork,
        hello: Hello,
        *,
        processor_id: str,
        boot_id: str,
        hello_interval_seconds: float = HELLO_INTERVAL_SECONDS,
    ) -> None:
        self._session = session
        self._publisher = publisher
        self._held = held
        self._whole_hello = hello
        self._brief_hello = hello.model_copy(update={"payload_schemas": None})
        self._hellos_until_schemas = 0
        self._processor_id = processor_id
        self._boot_id = boot_id
        self._hello_interval_seconds = hello_interval_seconds
        self._next_hello: asyncio.TimerHandle | None = None
        self._queue = ReportQueue()
        self._announcements = Announcements()
        self._unstored: list[QueuedReport] = []
        self._bundle_count = 0
        self._is_heard = False
        self._is_draining = False
        self._is_tick_due = False
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: list[Callable[[], None]] = []
        session.on_reconnect(self._greet)

    @property
    def has_room(self) -> bool:
        """Whether so little waits to be stored that new work may be fetched."""
        return len(self._queue) < MAX_UNSENT_REPORTS and self._queue.size_bytes < MAX_UNSENT_BYTES

    @property
    def unsent_count(self) -> int:
        """How many reports wait to be stored."""
        return len(self._queue) + len(self._unstored)

    def on_stored(self, listener: Callable[[], None]) -> None:
        """Have a function called whenever a bundle was stored."""
        self._listeners.append(listener)

    def say_draining(self) -> None:
        """Tell that no more work is taken. Idempotent."""
        if not self._is_draining:
            self._is_draining = True
            if self._is_heard:
                self._greet()

    def announce_soon(self, attempt: HeldAttempt) -> None:
        """Report before long that an attempt has started, unless its end comes first."""
        loop = self._loop or asyncio.get_running_loop()
        self._announcements.expect_start(attempt, loop.time())
        self._arm_tick()

    def announce(self, attempt: HeldAttempt) -> None:
        """Report at once that an attempt has started, if it has; `on_start_stored` is called when that is stored."""
        if attempt.started_at is not None:
            text = with_traceparent(started_text(attempt.fence, attempt.started_at), attempt.traceparent)
            self._put((attempt, "started"), QueuedReport(text, on_stored=attempt.on_start_stored))

    def announce_again(self, attempt: HeldAttempt) -> None:
        """Report that an attempt goes on under another fence: that it has started, and what it submitted before.

        What it submitted under the fence before may have come when somebody else held the attempt, and the store counts
        anew: the end, and what is submitted from now on, would wait in vain for what does not count.
        """
        self.announce(attempt)
        for report in attempt.submissions:
            self._put(object(), QueuedReport(_text_of_today(attempt, report)))

    def tell(self, attempt: HeldAttempt, report_type: type[HandlerReport], /, **content: Any) -> None:
        """Report soon what the handler of an attempt says, as the type of report wants it. Thread-safe.

        What it said before it returned is told before its end, or never; what it says after its end is void.

        Raises:
            ValidationError: `content` is not what the report holds beside the fence.
        """
        if attempt.is_ended or self._loop is None:
            return
        if self._announcements.hear(attempt, attempt.report(report_type, **content)):
            # The loop may be closed when a thread outlives the process's drain.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._arm_tick)

    def end(self, attempt: HeldAttempt, text: bytes) -> None:
        """Report the end of an attempt; the work item is acknowledged once the report is stored.

        Args:
            attempt: What ended. Any further end of it, and whatever its handler still says, is ignored.
            text: The report.
        """
        if attempt.is_ended:
            return
        attempt.is_ended = True
        last_words = self._announcements.end(attempt)
        if last_words:
            # They count for nothing without a start before them. It may have been told: a second one changes nothing.
            self.announce(attempt)
            for report in last_words:
                self._put_said(attempt, report)
        elif not attempt.told_at:
            # The end stands for the start too.
            self._queue.discard((attempt, "started"))
        text = with_what_was_told(text, attempt)
        self._put((attempt, "ended"), QueuedReport(text, ended_attempt=attempt))

    def stop(self) -> None:
        """Let `run` return as soon as everything is stored, or cannot be for too long."""
        super().stop()
        if self._is_heard:
            # The last word: nothing runs here any more, so whoever waits for the end of a drain need not wait longer.
            self._greet()
        self._wake.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Store what is reported until stopped."""
        self._loop = asyncio.get_running_loop()
        self._greet()
        try:
            await self._store_bundle()
            self._is_heard = True
            started()
            while True:
                while self._unstored or len(self._queue):
                    await self._store_bundle()
                if self._stop_requested.is_set():
                    return
                await self._wake.wait()
                self._wake.clear()
        except UnstorableError:
            # Their work items are not acknowledged, so they are executed again elsewhere.
            if self._is_heard:
                _log.error("reports.lost", count=len(self._unstored) + len(self._queue))
        finally:
            self._cancel_next_hello()

    def _greet(self) -> None:
        """Say everything, as at the start and after a reconnect: whoever is there may be new."""
        self._hellos_until_schemas = 0
        self._greet_again()

    def _greet_again(self) -> None:
        is_whole = self._hellos_until_schemas == 0
        self._hellos_until_schemas = (self._hellos_until_schemas or HELLOS_PER_SCHEMAS) - 1
        hello = self._whole_hello if is_whole else self._brief_hello
        stands = {"running": self._held.running_count, "is_draining": self._is_draining}
        self._put("hello", QueuedReport(report_text(hello.model_copy(update=stands))))
        self._cancel_next_hello()
        self._next_hello = asyncio.get_running_loop().call_later(self._hello_interval_seconds, self._greet_again)

    def _cancel_next_hello(self) -> None:
        if self._next_hello is not None:
            self._next_hello.cancel()

    def _put(self, key: object, report: QueuedReport) -> None:
        self._queue.put(key, report)
        self._wake.set()

    async def _store_bundle(self) -> None:
        # After a crash of this actor the bundle is still here, and goes out under the same message id.
        if not self._unstored:
            self._unstored = self._queue.cut()
            self._bundle_count += 1
        message = OutboundMessage(
            subject=subjects.report(self._processor_id),
            body=bundle_text(self._processor_id, (report.text for report in self._unstored)),
            headers={MESSAGE_ID_HEADER: f"{self._boot_id}:{self._bundle_count}"},
        )
        failpoint("report.before_publish")
        await self._until_done(lambda: self._publisher.publish(message))
        failpoint("report.published")
        ended = [report.ended_attempt for report in self._unstored if report.ended_attempt is not None]
        if ended:
            await self._until_done(lambda: self._acknowledge(ended))
        stored, self._unstored = self._unstored, []
        for report in stored:
            if report.on_stored is not None:
                report.on_stored()
        for listener in self._listeners:
            listener()

    async def _acknowledge(self, ended: list[HeldAttempt]) -> None:
        self._session.write_acks([attempt.reply for attempt in ended])
        failpoint("work.ack_written")
        self._held.release(ended)

    def _put_said(self, attempt: HeldAttempt, report: HandlerReport) -> None:
        key = (attempt, replacement_key(report))
        # It comes behind what was said meanwhile, and under the fence of today.
        self._queue.discard(key)
        on_stored = attempt.note_lines_stored if isinstance(report, Logged) else None
        if isinstance(report, Checkpointed):
            attempt.checkpointed = report.number
        elif isinstance(report, Submitted):
            attempt.submissions.append(report)
        self._put(key, QueuedReport(_text_of_today(attempt, report), on_stored=on_stored))

    def _arm_tick(self) -> None:
        if not self._is_tick_due:
            self._is_tick_due = True
            asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        self._is_tick_due = False
        now = asyncio.get_running_loop().time()
        for attempt in self._announcements.due_starts(now):
            self.announce(attempt)
        for attempt, report in self._announcements.due_reports(now):
            if not attempt.is_ended:
                self._put_said(attempt, report)
        if self._announcements:
            self._arm_tick()

    async def _until_done(self, action: Callable[[], Awaitable[object]]) -> None:
        """Try until it succeeds: for ever, but in the drain only a few times."""
        backoff = Backoff(base_seconds=0.05, cap_seconds=1 if self._is_heard else FIRST_HELLO_RETRY_SECONDS)
        failures = failures_in_drain = 0
        while True:
            try:
                await action()
            except TaskmillError as error:
                failures += 1
                failures_in_drain += self._stop_requested.is_set()
                if failures_in_drain > TRIES_IN_DRAIN:
                    raise UnstorableError from error
                if failures == 1:
                    self._log_delay(error)
                await asyncio.sleep(backoff.next())
            else:
                if failures:
                    _log.info("reports.resumed", failures=failures)
                return

    def _log_delay(self, error: TaskmillError) -> None:
        if self._is_heard:
            _log.warning("reports.delayed", code=error.code)
        else:
            _log.info("reports.awaiting_store", code=error.code)


def _text_of_today(attempt: HeldAttempt, report: HandlerReport) -> bytes:
    """What a handler said, under the fence that its attempt has by now."""
    return report_text(report.model_copy(update=attempt.fence._asdict()))
