"""Calls the handlers."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Literal, assert_never
from uuid import UUID

import structlog

from taskmill.contracts.reports import Cancelled, GivenBack
from taskmill.contracts.tracing import TRACEPARENT_HEADER
from taskmill.processor.actors.reports import Reports
from taskmill.processor.domain.held_attempt import HeldAttempt
from taskmill.processor.domain.held_work import HeldWork
from taskmill.processor.domain.kind_limits import KindLimits
from taskmill.processor.domain.messages import (
    completed_text,
    failed_text,
    read_work_item,
    report_text,
    with_declared_limit,
    with_traceparent,
)
from taskmill.processor.domain.suspects import MAKES_WAY_AFTER_SECONDS, Suspects
from taskmill.runtime.actor import Actor
from taskmill.runtime.clock import Clock, utc_now
from taskmill.runtime.failpoint import failpoint
from taskmill.runtime.log_names import LOG_NAMES
from taskmill.runtime.nats_protocol import header_value
from taskmill.runtime.pull import DeliveredMessage
from taskmill.runtime.spans import Attributes, Span
from taskmill.runtime.tracing import current, is_tracing, start_span
from taskmill.sdk import Handler
from taskmill.sdk.calling import ending
from taskmill.sdk.calling.attempt import CANCEL_SECONDS, StopReason
from taskmill.sdk.calling.handler_calls import HandlerCalls

_log = structlog.get_logger(__name__)

STUCK_SECONDS = 30.0
"""How long what waits for a kind whose handlers do not end is kept here, and then kept away: others may do it."""


class Execution(Actor):
    """Runs each work item's handler, and stops it when its time is over or a client wants it.

    Args:
        handlers: The handler of each kind.
        reports: Told of every start and end.
        held: Where work items are noted from their fetch to their ack.
        slots: How many handlers run at once.
        grace_seconds: How long handlers may go on when the processor drains; then they are cancelled, and their work
            is given back.
        probation_seconds: How long a suspected attempt is at work before one on its last chance is begun beside it, and
            one on its last chance before any other is.
        renew_checkpoint: Called with an attempt whose processor may have died, before its handler is.
        now: Dates starts and ends.
        stuck_seconds: How long what waits for a kind whose handlers do not end is kept here, and then kept away.
    """

    name = "execution"

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        reports: Reports,
        held: HeldWork,
        *,
        slots: int,
        grace_seconds: float,
        probation_seconds: float,
        renew_checkpoint: Callable[[HeldAttempt], Awaitable[None]],
        now: Clock = utc_now,
        stuck_seconds: float = STUCK_SECONDS,
    ) -> None:
        self._handlers = handlers
        self._reports = reports
        self._held = held
        self._slots = slots
        self._grace_seconds = grace_seconds
        self._probation_seconds = probation_seconds
        self._renew_checkpoint = renew_checkpoint
        self._now = now
        self._stuck_seconds = stuck_seconds
        self._calls = HandlerCalls(now, reports.tell, self._time_out, self._on_thread_ended, log_as="processor")
        self._suspects = Suspects()
        self._limits = KindLimits({it.kind: it.concurrency for it in handlers.values() if it.concurrency is not None})
        self._stuck_kinds: set[str] = set()
        self._running: dict[HeldAttempt, asyncio.Task[None]] = {}
        self._listeners: list[Callable[[], None]] = []

    @property
    def free_slots(self) -> int:
        """How many more work items may be accepted now; negative when more wait here than should.

        What waits for others takes no slot, so that fresh work goes on; but no more than there are slots.
        """
        waiting_count = self._suspects.waiting_count + self._limits.waiting_count
        return self._slots - self._used_slots - max(0, waiting_count - self._slots)

    def on_slot_freed(self, listener: Callable[[], None]) -> None:
        """Have a function called whenever a handler has ended."""
        self._listeners.append(listener)

    def accept(self, delivery: DeliveredMessage, *, possible_crashes: int) -> bool:
        """Execute a work item that arrived, if a slot is free.

        What may have ended a processor before waits for its turn among such. It is held meanwhile, but not reported as
        started, so that a crash is not charged to it.

        Args:
            delivery: What arrived.
            possible_crashes: How many deliveries before this one somebody may have begun.

        Returns:
            Whether it was accepted; if not, it has to be declined. A redelivery of what is held here already is
            accepted, whether a slot is free or not.

        Raises:
            UndecodableWorkError: It is no work item.
        """
        work_item = read_work_item(delivery.body)
        if (handler := self._handlers.get(work_item.kind)) is not None:
            work_item = with_declared_limit(work_item, handler.defaults)
        attempt = HeldAttempt.fetched(
            work_item,
            delivery.delivery,
            delivery.reply,
            possible_crashes=possible_crashes,
            traceparent=header_value(delivery.headers, TRACEPARENT_HEADER) if is_tracing() else None,
        )
        if self._adopt(attempt):
            return True
        if self.free_slots <= 0:
            return False
        self._held.hold(attempt)
        failpoint("work.fetched")
        if work_item.kind not in self._handlers:
            _log.warning("attempt.unknown_kind", task_id=str(work_item.task_id), kind=work_item.kind)
            self._give_back(attempt, "unknown_kind")
        elif attempt.possible_crashes:
            self._suspects.enter(attempt)
            self._begin_suspect()
        else:
            self._start(attempt)
        return True

    def cancel(self, task_id: UUID, attempt: int) -> None:
        """Stop the handler of a task's attempt, if it is here. Repetitions change nothing.

        An async handler is cancelled, and may still clean up, or even complete. A sync one cannot be stopped: its
        thread goes on, but the attempt ends now.
        """
        for held in self._held.of_task(task_id):
            if held.key.attempt != attempt:
                continue
            if held in self._running:
                self._stop_handler(held, StopReason.CANCELLED)
            elif self._limits.give_up(held) or held in self._suspects:
                self._suspects.leave(held)
                self._reports.end(held, self._cancelled_text(held))
                self._begin_suspect()

    def give_back_waiting(self, queues: Collection[str]) -> None:
        """Give back what waits for its turn in queues that are paused: it must not begin while they are."""
        for attempt in [*self._suspects.take_waiting(queues), *self._limits.take_waiting(queues)]:
            self._give_back(attempt, "paused")
        self._begin_suspect()

    async def run(self, started: Callable[[], None]) -> None:
        """Serve until stopped; then give the handlers their time, and return when none runs that could be stopped."""
        started()
        await self._stop_requested.wait()
        self._calls.shut_down()
        for attempt in [*self._suspects.take_waiting(), *self._limits.take_waiting()]:
            self._give_back(attempt, "draining")
        if self._running:
            await asyncio.wait(self._running.values(), timeout=self._grace_seconds)
        for attempt in self._running:
            self._stop_handler(attempt, StopReason.DRAINING)
        if self._running:
            await asyncio.wait(self._running.values(), timeout=CANCEL_SECONDS)
        for attempt in self._running:
            _log.error("attempt.left_behind", task_id=str(attempt.work_item.task_id), kind=attempt.work_item.kind)
            self._give_back(attempt, "draining")
        await self._calls.close()

    @property
    def _used_slots(self) -> int:
        return len(self._running) + self._calls.given_up_count

    def _adopt(self, redelivered: HeldAttempt) -> bool:
        attempt = self._held.adopt(redelivered)
        if attempt is None:
            return False
        _log.info("attempt.redelivered_here", task_id=str(attempt.key.task_id), delivery=redelivered.delivery)
        has_new_fence = attempt.delivery == redelivered.delivery
        if has_new_fence and not attempt.is_ended:
            self._reports.announce_again(attempt)
        return True

    def _begin_suspect(self, *, of_kind: str | None = None) -> None:
        # At each end of a handler it is asked whether there are any, and nearly always there are none.
        if self._suspects.waiting_count and self._used_slots < self._slots:
            attempt = self._suspects.next_to_run(
                lambda it: of_kind in {None, it.work_item.kind} and self._limits.has_room(it)
            )
            if attempt is not None:
                self._start(attempt)

    def _let_next_begin(self, attempt: HeldAttempt) -> None:
        self._suspects.make_way(attempt)
        self._begin_suspect()

    def _acquit(self, attempt: HeldAttempt) -> None:
        """A suspect that has run so long did not end its processor: none need wait for its end."""
        self._suspects.leave(attempt)
        self._begin_suspect()

    def _start(self, attempt: HeldAttempt) -> None:
        if self._limits.enter(attempt):
            self._run(attempt)

    def _run(self, attempt: HeldAttempt) -> None:
        # What `asyncio.create_task` does beside it takes a third as long again.
        self._running[attempt] = asyncio.get_running_loop().create_task(self._execute(attempt))

    async def _execute(self, attempt: HeldAttempt) -> None:
        attempt.started_at = self._now()
        span = _begin_span(attempt) if is_tracing() else None
        # All that is logged here, by handlers, too, names the attempt. The names go before anything else is begun.
        names = LOG_NAMES.set(attempt.log_names)
        try:
            with current(span):
                self._reports.end(attempt, await self._outcome(attempt, span))
        finally:
            LOG_NAMES.reset(names)
            del self._running[attempt]
            self._suspects.leave(attempt)
            if self._calls.goes_on(attempt):
                self._lose_place(attempt)
            else:
                self._leave_place(attempt)
            self._on_slot_freed()

    def _on_thread_ended(self, attempt: HeldAttempt) -> None:
        if attempt not in self._running and not self._calls.goes_on(attempt):
            self._leave_place(attempt)
        self._on_slot_freed()

    def _leave_place(self, attempt: HeldAttempt) -> None:
        kind = attempt.work_item.kind
        self._limits.leave(attempt)
        # A suspect first: it would be passed for ever by those that stand in the line of the kind.
        self._begin_suspect(of_kind=kind)
        next_of_kind = self._limits.next_of(kind)
        if next_of_kind is not None:
            self._run(next_of_kind)

    def _lose_place(self, attempt: HeldAttempt) -> None:
        """A handler goes on beyond the end of its attempt: it counts as one of its kind until it ends."""
        kind = attempt.work_item.kind
        self._limits.lose(attempt)
        if self._limits.is_stuck(kind) and kind not in self._stuck_kinds:
            self._stuck_kinds.add(kind)
            _log.warning("kind.stuck", kind=kind)
            self._relieve_later(kind)

    def _relieve_later(self, kind: str) -> None:
        asyncio.get_running_loop().call_later(self._stuck_seconds, self._relieve, kind)

    def _relieve(self, kind: str) -> None:
        """Give back what waits for handlers that may never end: another processor may have room for it."""
        if not self._limits.is_stuck(kind):
            self._stuck_kinds.discard(kind)
            return
        for attempt in [*self._suspects.take_waiting(kind=kind), *self._limits.take_waiting(kind=kind)]:
            self._reports.end(attempt, _given_back_text(attempt, "not_now", self._stuck_seconds))
        self._begin_suspect()
        self._relieve_later(kind)

    def _on_slot_freed(self) -> None:
        self._begin_suspect()
        for listener in self._listeners:
            listener()

    async def _outcome(self, attempt: HeldAttempt, span: Span | None) -> bytes:
        """Call the handler and return the report of its end."""
        give_up = self._handlers[attempt.work_item.kind].give_up
        match await ending.ending_of(self._call(attempt), attempt, give_up=give_up):
            case ending.Returned(result_json):
                text = completed_text(attempt.fence, *self._times(attempt), result_json)
                return with_traceparent(text, attempt.traceparent)
            case ending.Failed() as failed:
                if span is not None:
                    span.fail(failed.failure.error.code)
                return self._failed_text(attempt, failed)
            case ending.PutOff(after_seconds):
                return _given_back_text(attempt, "not_now", after_seconds)
            case ending.Stopped():
                return self._stopped_text(attempt)
            case _ as never:
                assert_never(never)

    async def _call(self, attempt: HeldAttempt) -> Any:
        if attempt.stop_reason is not None:
            raise asyncio.CancelledError
        if attempt.possible_crashes:
            await self._announce_and_store(attempt)
            await self._renew_checkpoint(attempt)
            loop = asyncio.get_running_loop()
            loop.call_later(MAKES_WAY_AFTER_SECONDS, self._let_next_begin, attempt)
            loop.call_later(self._probation_seconds, self._acquit, attempt)
        else:
            self._reports.announce_soon(attempt)
        failpoint("work.started")
        handler = self._handlers[attempt.work_item.kind]
        return await self._calls.call(handler, attempt)

    async def _announce_and_store(self, attempt: HeldAttempt) -> None:
        """Wait until JetStream has stored the start: only so does the store learn of every crash it was in."""
        stored = asyncio.Event()
        attempt.on_start_stored = stored.set
        self._reports.announce(attempt)
        await stored.wait()

    def _time_out(self, attempt: HeldAttempt) -> None:
        # One that a client has cancelled may have gone on until now, but no longer.
        self._stop_handler(attempt, StopReason.TIMED_OUT)
        asyncio.get_running_loop().call_later(CANCEL_SECONDS, self._give_up, attempt)

    def _stop_handler(self, attempt: HeldAttempt, reason: StopReason) -> None:
        # Once only: a second cancellation would break into the handler's cleaning up.
        if attempt.stop_reason is not None:
            return
        attempt.stop_reason = reason
        # A task that is cancelled before its first step never runs, and would not report its end.
        if attempt.started_at is not None:
            self._running[attempt].cancel()

    def _give_up(self, attempt: HeldAttempt) -> None:
        """End an attempt whose handler ignores its cancellation. The handler keeps its slot."""
        if attempt.is_ended:
            return
        if attempt.stop_reason is StopReason.TIMED_OUT:
            self._reports.end(attempt, self._failed_text(attempt, ending.timed_out(attempt)))
        else:
            self._reports.end(attempt, self._stopped_text(attempt))
        self._suspects.leave(attempt)
        self._lose_place(attempt)
        self._begin_suspect()

    def _give_back(self, attempt: HeldAttempt, reason: Literal["draining", "unknown_kind", "paused"]) -> None:
        self._reports.end(attempt, _given_back_text(attempt, reason))

    def _cancelled_text(self, attempt: HeldAttempt) -> bytes:
        started_at, finished_at = self._times(attempt)
        return report_text(attempt.report(Cancelled, started_at=started_at, finished_at=finished_at))

    def _stopped_text(self, attempt: HeldAttempt) -> bytes:
        if attempt.stop_reason is StopReason.DRAINING:
            return _given_back_text(attempt, "draining")
        _log.info("attempt.cancelled", task_id=str(attempt.work_item.task_id), kind=attempt.work_item.kind)
        return self._cancelled_text(attempt)

    def _failed_text(self, attempt: HeldAttempt, failed: ending.Failed) -> bytes:
        failure = failed.failure
        _log.warning(
            "attempt.failed",
            task_id=str(attempt.work_item.task_id),
            kind=attempt.work_item.kind,
            code=failure.error.code,
            exc_info=failed.cause if failure.traceback else None,
        )
        return failed_text(attempt, failure, *self._times(attempt))

    def _times(self, attempt: HeldAttempt) -> tuple[datetime, datetime]:
        """When it began and ended; what never began did both just now."""
        now = self._now()
        return attempt.started_at or now, now


def _begin_span(attempt: HeldAttempt) -> Span | None:
    """Begin the span that a handler's own spans belong to, and all that comes of its reports."""
    work_item = attempt.work_item
    attributes: Attributes = {
        "taskmill.task_id": str(work_item.task_id),
        "taskmill.kind": work_item.kind,
        "taskmill.queue": work_item.queue,
        "taskmill.attempt": work_item.attempt,
        "taskmill.delivery": attempt.delivery,
    }
    span = start_span(f"run {work_item.kind}", "consumer", attempt.traceparent, attributes)
    if span is not None:
        attempt.traceparent = span.traceparent
    return span


def _given_back_text(
    attempt: HeldAttempt, reason: Literal["draining", "unknown_kind", "not_now", "paused"], after_seconds: float = 0
) -> bytes:
    return report_text(attempt.report(GivenBack, reason=reason, after_seconds=after_seconds))
