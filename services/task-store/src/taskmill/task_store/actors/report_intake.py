"""Takes in what processors report, and acknowledges it once it is committed."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import structlog

from taskmill.contracts import subjects
from taskmill.contracts.errors import BusUnavailableError, OverloadedError, TaskmillError, UnavailableError
from taskmill.contracts.reports import Hello, Report, ReportBundle, RunReport
from taskmill.contracts.streams import REPORTS_CONSUMER, REPORTS_STREAM
from taskmill.runtime.actor import Actor
from taskmill.runtime.failpoint import failpoint
from taskmill.runtime.mailbox import BatchingMailbox
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.pull import DeliveredMessage, PullConsumer
from taskmill.runtime.set_aside import set_aside
from taskmill.runtime.spans import Span
from taskmill.runtime.tracing import is_tracing, start_span
from taskmill.task_store.adapters.placeholders import Placeholder
from taskmill.task_store.adapters.report_bundles import read_bundle
from taskmill.task_store.domain.operations import Answer, Operation, OverdueBundle
from taskmill.task_store.domain.patience import LATER_SECONDS, Patience

_log = structlog.get_logger(__name__)

MAX_BUNDLES_IN_HAND = 64
"""Bundles that are asked for, or taken in and not yet settled: with `MAX_BODY_BYTES` each, 48 MiB."""

MAX_BUNDLES_WAITING = 32
"""Bundles in hand beside those, of which only those reports are left that wait for others: with 24 MiB at most. What
else must wait is asked for again, as a whole."""

IN_HAND_SECONDS = 1
"""How often JetStream is told which bundles are still in hand. Most are settled long before the first time."""

UNAVAILABLE_SECONDS = 1.0
"""How soon what could not be written is asked for again."""

_ACK = b"+ACK"
_IN_HAND = b"+WPI"
_NEVER = b"+TERM"


class _Held:
    """A bundle in hand: it is settled when each of the parts that it was offered in has been answered, and none waits.

    Attributes:
        open_parts: How many have not been.
        early: Those reports of each that came before others that they must follow.
        repeat_after_seconds: How soon it is to come again; 0: it is done.
        given_up: What sets aside the parts of it that are no good, to be called once it is done.
    """

    __slots__ = ("early", "given_up", "open_parts", "repeat_after_seconds", "reply", "sequence", "spans")

    def __init__(self, delivery: DeliveredMessage) -> None:
        self.reply = delivery.reply
        self.sequence = delivery.stream_sequence
        self.open_parts = 0
        self.early: list[ReportBundle] = []
        self.repeat_after_seconds = 0.0
        self.given_up: list[Callable[[], None]] = []
        self.spans: list[Span] = []

    def repeat_after(self, seconds: float) -> None:
        """It is to come again, not sooner than after so long."""
        self.repeat_after_seconds = max(self.repeat_after_seconds, seconds)


class ReportIntake(Actor):
    """Pulls bundles and offers each as one operation to the mailbox of writes.

    A bundle is acknowledged after its commit, and asked for again a second later when the database was away. One with
    reports that have overtaken others stays in hand for some time, and those alone are offered again and again; at last
    once more, to be applied without what is missing if they may be. A bundle that PostgreSQL refuses for its data is
    offered again report by report, so that the bad one alone is lost. What cannot be read, or is refused, is set aside
    for an operator.

    Args:
        session: The connection.
        writes: The mailbox of writes.
        greet: Called with the id of a processor and what it said of itself, once its queues are committed.
    """

    name = "report-intake"

    def __init__(
        self,
        session: NatsSession,
        writes: BatchingMailbox[Operation, Answer],
        *,
        greet: Callable[[str, Hello], None],
    ) -> None:
        self._session = session
        self._writes = writes
        self._greet = greet
        self._placeholder = Placeholder(session, subjects.REPORT_PLACEHOLDER_SUBJECT)
        self._pull = PullConsumer(
            session, stream=REPORTS_STREAM, consumer=REPORTS_CONSUMER, deliver=self._take_in, on_change=self._ask
        )
        self._patience = Patience()
        self._waiting: dict[_Held, asyncio.TimerHandle] = {}
        session.on_disconnect(self._let_go)
        self.set_aside = 0
        """How many bundles and reports were given up, for they cannot be read or stored."""
        self._in_hand: set[str] = set()
        self._keeping: asyncio.TimerHandle | None = None
        self._settled: list[tuple[str, bytes]] = []
        self._all_settled = asyncio.Event()

    @property
    def redelivered(self) -> int:
        """How many of the bundles had been delivered before."""
        return self._pull.redelivered

    def stop(self) -> None:
        """Begin the drain: pull nothing more, settle what is in hand. What waits is left to others."""
        super().stop()
        self._pull.stop()

    async def run(self, started: Callable[[], None]) -> None:
        """Take in reports until drained."""
        await self._pull.run(started)
        while self._in_hand:
            self._all_settled.clear()
            await self._all_settled.wait()

    def _ask(self) -> None:
        free = MAX_BUNDLES_IN_HAND - (len(self._in_hand) - len(self._waiting)) - self._pull.outstanding
        # Half at a time, or every bundle that is settled would cost a request.
        if free >= MAX_BUNDLES_IN_HAND // 2:
            self._pull.pull(free)

    def _take_in(self, delivery: DeliveredMessage) -> None:
        """Runs in the read loop, so that the work is left to the next turn of the event loop."""
        self._placeholder.note(len(delivery.body))
        loop = asyncio.get_running_loop()
        self._in_hand.add(delivery.reply)
        if self._keeping is None:
            self._keeping = loop.call_later(IN_HAND_SECONDS, self._keep)
        loop.call_soon(self._apply, delivery)

    def _keep(self) -> None:
        """Keep what is in hand from being delivered to others; only what a dead or halted store has is."""
        self._keeping = None
        if self._in_hand:
            self._keeping = asyncio.get_running_loop().call_later(IN_HAND_SECONDS, self._keep)
            with suppress(BusUnavailableError):  # it may come twice then, and changes nothing
                self._session.write_acks(self._in_hand, _IN_HAND)

    def _apply(self, delivery: DeliveredMessage) -> None:
        held = _Held(delivery)
        bundle = self._read(delivery, held)
        if bundle is None:
            _log.error("reports.undecodable", subject=delivery.subject, bundle_bytes=len(delivery.body))
            self._finish(held, _NEVER)
        else:
            self._offer(_traced(bundle, held.spans) if is_tracing() else bundle, held)

    def _read(self, delivery: DeliveredMessage, held: _Held) -> ReportBundle | None:
        put_aside = partial(self._set_aside, delivery.body, found_at=delivery.subject, reason="unreadable")
        try:
            return read_bundle(delivery.body, lambda: held.given_up.append(put_aside))
        except Exception:
            # Whatever strangers have thought of, what comes behind it is served.
            _log.exception("reports.not_read", subject=delivery.subject)
            held.given_up.append(put_aside)
            return None

    def _offer(self, bundle: ReportBundle, held: _Held) -> None:
        held.open_parts += 1
        if not self._writes.offer(bundle, lambda answer: self._on_answer(bundle, held, answer)):
            self._on_answer(bundle, held, OverloadedError())

    def _on_answer(self, bundle: ReportBundle, held: _Held, answer: Answer | TaskmillError) -> None:
        if isinstance(answer, UnavailableError):
            # Nothing that it waits for could come meanwhile.
            self._patience.forget(held.sequence)
            held.repeat_after(UNAVAILABLE_SECONDS)
        elif isinstance(answer, TaskmillError):
            self._on_refusal(bundle, held)
        else:
            self._greet_processors(bundle)
            if answer.early:
                self._note_early(bundle, answer.early, held)
        self._close_part(held)

    def _note_early(self, bundle: ReportBundle, early: Sequence[RunReport], held: _Held) -> None:
        if isinstance(bundle, OverdueBundle):
            _log.error("reports.out_of_turn", processor_id=bundle.processor_id, reports=len(early))
        else:
            held.early.append(_part(ReportBundle, bundle, early))

    def _close_part(self, held: _Held) -> None:
        held.open_parts -= 1
        if held.open_parts > 0:
            return
        if held.early and not held.repeat_after_seconds:
            self._wait(held)
        else:
            self._settle_held(held)

    def _wait(self, held: _Held) -> None:
        """Offer again before long what is early; all else of the bundle is applied, and need not come again."""
        loop = asyncio.get_running_loop()
        wait_seconds = self._patience.wait_seconds(held.sequence, loop.time())
        if wait_seconds is None:
            for bundle in held.early:
                _log.warning("reports.overdue", processor_id=bundle.processor_id, reports=len(bundle.reports))
            self._offer_early(OverdueBundle, held)
        elif len(self._waiting) < MAX_BUNDLES_WAITING and not self._stop_requested.is_set():
            self._waiting[held] = loop.call_later(wait_seconds, self._offer_early, ReportBundle, held)
            self._ask()
        else:
            held.repeat_after(wait_seconds)
            self._settle_held(held)

    def _offer_early(self, kind: type[ReportBundle], held: _Held) -> None:
        self._waiting.pop(held, None)
        early, held.early = held.early, []
        # Until all are offered, an answer that comes at once does not close the bundle.
        held.open_parts += 1
        for bundle in early:
            self._offer(_part(kind, bundle, bundle.reports), held)
        self._close_part(held)

    def _let_go(self) -> None:
        """NATS is away, and nothing can come that is waited for: what waits comes again, and waits anew."""
        self._patience = Patience()
        waiting, self._waiting = self._waiting, {}
        for held, timer in waiting.items():
            timer.cancel()
            held.repeat_after(LATER_SECONDS)
            _end(held)
            self._in_hand.discard(held.reply)
        if not self._in_hand:
            self._all_settled.set()

    def _on_refusal(self, bundle: ReportBundle, held: _Held) -> None:
        if len(bundle.reports) == 1:
            [report] = bundle.reports
            _log.error("reports.refused", processor_id=bundle.processor_id, type=report.type, **_attempt_of(report))
            body, found_at = bundle.model_dump_json().encode(), subjects.report(bundle.processor_id)
            held.given_up.append(partial(self._set_aside, body, found_at=found_at, reason="refused"))
            return
        for report in bundle.reports:
            self._offer(_part(type(bundle), bundle, [report]), held)

    def _set_aside(self, body: bytes, *, found_at: str, reason: str) -> None:
        self.set_aside += 1
        set_aside(self._session, subjects.SET_ASIDE_REPORTS_SUBJECT, body, found_at=found_at, reason=reason)

    def _settle_held(self, held: _Held) -> None:
        _end(held)
        if held.repeat_after_seconds:
            self._settle(held.reply, b'-NAK {"delay":%d}' % (held.repeat_after_seconds * 1e9))
        else:
            self._finish(held, _ACK)

    def _finish(self, held: _Held, body: bytes) -> None:
        """It does not come again."""
        self._patience.forget(held.sequence)
        for put_aside in held.given_up:
            put_aside()
        self._settle(held.reply, body)

    def _settle(self, reply: str, body: bytes) -> None:
        """Note how JetStream is answered; everything that is settled in this turn goes out in one write."""
        if not self._settled:
            asyncio.get_running_loop().call_soon(self._write_settled)
        self._settled.append((reply, body))

    def _write_settled(self) -> None:
        failpoint("reports.applied")
        settled, self._settled = self._settled, []
        self._in_hand.difference_update(reply for reply, _ in settled)
        try:
            for body in {body for _, body in settled}:
                self._session.write_acks([reply for reply, answer in settled if answer == body], body)
        except BusUnavailableError:
            _log.info("reports.not_acknowledged", bundles=len(settled))  # they come again, and change nothing
        self._ask()
        if not self._in_hand:
            self._all_settled.set()

    def _greet_processors(self, bundle: ReportBundle) -> None:
        for report in bundle.reports:
            if isinstance(report, Hello):
                self._greet(bundle.processor_id, report)


def _part(kind: type[ReportBundle], bundle: ReportBundle, reports: Sequence[Report]) -> ReportBundle:
    """Some reports of a bundle, as a bundle of some kind."""
    return kind.model_construct(processor_id=bundle.processor_id, reports=list(reports))


def _traced(bundle: ReportBundle, spans: list[Span]) -> ReportBundle:
    """Begin a span for each report that is traced; what comes of a report belongs to that."""
    reports = []
    for report in bundle.reports:
        parent = None if isinstance(report, Hello) else report.traceparent
        span = None if parent is None else start_span(f"report {report.type}", "consumer", parent)
        if span is not None:
            spans.append(span)
            span.describe(_trace_attributes(report))
            report = report.model_copy(update={"traceparent": span.traceparent})  # noqa: PLW2901
        reports.append(report)
    return ReportBundle.model_construct(processor_id=bundle.processor_id, reports=reports)


def _end(held: _Held) -> None:
    for span in held.spans:
        if held.repeat_after_seconds:
            span.fail("repeated_later")
        span.end()


def _attempt_of(report: Report) -> dict[str, str | int]:
    """Which attempt a report speaks of."""
    return {} if isinstance(report, Hello) else {"task_id": str(report.task_id), "attempt": report.attempt}


def _trace_attributes(report: Report) -> dict[str, str | int]:
    return {f"taskmill.{name}": value for name, value in _attempt_of(report).items()}
