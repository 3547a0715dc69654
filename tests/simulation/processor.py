"""A processor: the real bookkeeping of `taskmill.processor.domain`, around handlers that only pretend to work."""

from collections.abc import Collection, Iterable
from datetime import datetime
from functools import partial
from typing import Literal
from uuid import UUID

import orjson

from taskmill.contracts import subjects
from taskmill.contracts.errors import UnavailableError
from taskmill.contracts.reports import Cancelled, Checkpointed, Failed, GivenBack, Hello, Logged, Progressed, Submitted
from taskmill.contracts.requests import IdentifiedTask
from taskmill.contracts.tasks import Line, LineLevel, Progress
from taskmill.processor.domain.held_attempt import HeldAttempt
from taskmill.processor.domain.held_work import HeldWork
from taskmill.processor.domain.messages import (
    bundle_text,
    completed_text,
    heartbeat_text,
    read_work_item,
    report_text,
    started_text,
    with_what_was_told,
)
from taskmill.processor.domain.report_queue import QueuedReport, ReportQueue
from taskmill.processor.domain.suspects import MAKES_WAY_AFTER_SECONDS, DeclinedWork, Suspects
from taskmill.processor.domain.untold_lines import UntoldLines
from taskmill.runtime.pull import DeliveredMessage
from taskmill.sdk.calling.attempt import StopReason
from taskmill.sdk.submissions import submission_id
from tests.chaos.checker.history import Effect
from tests.simulation.broker import Broker
from tests.simulation.handlers import KIND_DEFAULTS, WRITE_AT_ONCE, Ending, ending_of, steps_of
from tests.simulation.scheduler import Activity, Life, Steps
from tests.simulation.world import BEAT_SECONDS, World

SLOTS = 3
IDLE_SECONDS = 1_000.0
ANNOUNCE_AFTER_SECONDS = 0.02
PULL_SECONDS = 2.0
GRACE_SECONDS = (0.0, 1.0)
"""How long handlers may go on in a drain."""

RESTART_SECONDS = 0.5
PROBATION_SECONDS = 20.0


class Processor:
    """One process that executes work, and starts anew after each crash.

    Args:
        name: Unique among the processors.
        world: The run.
        broker: Where work comes from and reports go to.
        kinds: What it has handlers for.
    """

    def __init__(self, name: str, world: World, broker: Broker, kinds: Collection[str]) -> None:
        self.name = name
        self.life = Life()
        self.life.is_over = True
        self._world = world
        self._broker = broker
        self._kinds = sorted(kinds)
        self._starts = 0

    def start(self) -> None:
        """Begin a life, with nothing remembered of the one before."""
        self.crash()
        self.life = Life()
        self._starts += 1
        self._processor_id = f"{self.name}-{self._starts}"
        self._held = HeldWork()
        self._suspects = Suspects()
        self._declined = DeclinedWork()
        self._queue = ReportQueue()
        self._unstored: list[QueuedReport] = []
        self._bundle_count = 0
        self._running: dict[HeldAttempt, Activity] = {}
        self._completions: dict[HeldAttempt, str] = {}
        self._outstanding = 0
        self._line_count = 0
        self._is_draining = False
        spawn = self._world.scheduler.spawn
        self._reporting = spawn(self.life, self._report())
        self._pulling = spawn(self.life, self._pull())
        spawn(self.life, self._beat())
        self.reconnect()

    def crash(self) -> None:
        """End at once."""
        self.life.is_over = True

    def revive(self) -> None:
        """Begin a life, unless somebody has begun one meanwhile: to end that would be one more crash."""
        if self.life.is_over:
            self.start()

    @property
    def is_idle(self) -> bool:
        """Whether it executes nothing and has told everything."""
        return not self._running and not len(self._queue) and not self._unstored

    def reconnect(self) -> None:
        """Greet the store, and ask for work again: pulls do not survive a server."""
        if not self.life.is_over:
            self._outstanding = 0
            defaults = {kind: KIND_DEFAULTS[kind] for kind in self._kinds}
            hello = Hello(
                queues=["default"], kinds=self._kinds, kind_defaults=defaults, slots=SLOTS, software_version="1"
            )
            self._put("hello", QueuedReport(report_text(hello)))
            self._pulling.wake()

    def cancel(self, task_id: UUID, attempt: int) -> None:
        """Stop the handler of an attempt, if it is here."""
        for held in self._held.of_task(task_id):
            if held.key.attempt != attempt:
                continue
            if held in self._running:
                self._stop_handler(held, StopReason.CANCELLED)
            elif held in self._suspects:
                self._suspects.leave(held)
                self._end(held, self._cancelled_text(held))

    def drain(self) -> Steps[None]:
        """Finish what is in hand within the grace time, give back the rest, tell everything, end, and start again."""
        self._is_draining = True
        for attempt in self._suspects.take_waiting():
            self._give_back(attempt, "draining")
        deadline = self._world.scheduler.now + self._world.random.choice(GRACE_SECONDS)
        while self._running and self._world.scheduler.now < deadline:
            yield 0.1
        for attempt in list(self._running):
            self._stop_handler(attempt, StopReason.DRAINING)
        while not self.is_idle:
            yield 0.1
        self.start()

    # Work comes in, as in `WorkIntake` and `Execution.accept`.

    def _pull(self) -> Steps[None]:
        work = self._broker.work
        while not self._is_draining:
            credit = self._free_slots - self._outstanding
            if credit > 0:
                self._outstanding += credit
                pull = partial(work.pull, self.life, self._on_delivery, credit=credit, seconds=PULL_SECONDS)
                self._world.send(work, pull)
            asked_at = self._world.scheduler.now
            yield PULL_SECONDS
            if self._world.scheduler.now >= asked_at + PULL_SECONDS:
                self._outstanding = 0

    @property
    def _free_slots(self) -> int:
        return SLOTS - len(self._running) - max(0, self._suspects.waiting_count - SLOTS)

    def _on_delivery(self, delivery: DeliveredMessage) -> None:
        self._outstanding = max(0, self._outstanding - 1)
        self._held.arrive(delivery.reply)
        possible_crashes = self._declined.possible_crashes(delivery.stream_sequence, delivery.delivery)
        if self._is_draining or not self._accept(delivery, possible_crashes):
            self._declined.note(delivery.stream_sequence, delivery.delivery)
            self._world.send(self._broker.work, partial(self._broker.work.nak, delivery.reply))
            self._held.leave(delivery.reply)

    def _accept(self, delivery: DeliveredMessage, possible_crashes: int) -> bool:
        work_item = read_work_item(delivery.body)
        attempt = HeldAttempt.fetched(work_item, delivery.delivery, delivery.reply, possible_crashes=possible_crashes)
        held = self._held.adopt(attempt)
        if held is not None:
            if held.delivery == delivery.delivery and not held.is_ended:
                self._announce_again(held)
            return True
        if self._free_slots <= 0:
            return False
        self._held.hold(attempt)
        if work_item.kind not in self._kinds:
            self._give_back(attempt, "unknown_kind")
        elif attempt.possible_crashes:
            self._suspects.enter(attempt)
            self._begin_suspect()
        else:
            self._start(attempt)
        return True

    def _begin_suspect(self) -> None:
        attempt = self._suspects.next_to_run() if len(self._running) < SLOTS else None
        if attempt is not None:
            self._start(attempt)

    def _let_next_begin(self, attempt: HeldAttempt) -> None:
        self._suspects.make_way(attempt)
        self._begin_suspect()

    def _acquit(self, attempt: HeldAttempt) -> None:
        self._suspects.leave(attempt)
        self._begin_suspect()

    # Handlers run, as in `Execution`.

    def _start(self, attempt: HeldAttempt) -> None:
        self._running[attempt] = self._world.scheduler.spawn(self.life, self._execute(attempt))

    def _execute(self, attempt: HeldAttempt) -> Steps[None]:
        attempt.started_at = self._world.scheduler.utc()
        text = yield from self._outcome(attempt)
        self._end(attempt, text)
        del self._running[attempt]
        self._suspects.leave(attempt)
        self._begin_suspect()
        self._pulling.wake()

    def _outcome(self, attempt: HeldAttempt) -> Steps[bytes]:
        if attempt.possible_crashes:
            yield from self._announce_and_store(attempt)
            after = self._world.scheduler.after
            after(MAKES_WAY_AFTER_SECONDS, self.life, partial(self._let_next_begin, attempt))
            after(PROBATION_SECONDS, self.life, partial(self._acquit, attempt))
        else:
            self._world.scheduler.after(ANNOUNCE_AFTER_SECONDS, self.life, partial(self._announce, attempt))
        if attempt.stop_reason is None:
            self._note_fence(attempt)
            execution = self._log_effect(attempt, "begin")
            if attempt.work_item.kind in WRITE_AT_ONCE:
                self._announce(attempt)
                self._write_line(attempt, execution)
            ending = ending_of(self._world.random, attempt.work_item)
            for seconds, progress in steps_of(self._world.random, attempt.work_item.kind):
                yield seconds
                if attempt.stop_reason is not None and not ending.ignores_stop:
                    break
                if progress is not None:
                    self._tell_progress(attempt, progress)
                    self._write_line(attempt, execution)
                    self._submit(attempt, execution)
            else:
                if ending.is_deadly:
                    self._world.fault("poison", self.name, 1.0)
                    self.crash()
                    self._world.scheduler.after(RESTART_SECONDS, Life(), self.revive)
                    yield IDLE_SECONDS
                if ending.puts_off_seconds is not None:
                    return _given_back_text(attempt, "not_now", ending.puts_off_seconds)
                return self._ended(attempt, ending, execution)
        if attempt.stop_reason is StopReason.DRAINING:
            return _given_back_text(attempt, "draining")
        return self._cancelled_text(attempt)

    def _announce_and_store(self, attempt: HeldAttempt) -> Steps[None]:
        is_stored: list[bool] = []

        def on_start_stored() -> None:
            is_stored.append(True)
            if attempt in self._running:
                self._running[attempt].wake()

        attempt.on_start_stored = on_start_stored
        self._announce(attempt)
        while not is_stored and attempt.stop_reason is None:
            yield IDLE_SECONDS
        attempt.on_start_stored = None

    def _ended(self, attempt: HeldAttempt, ending: Ending, execution: str) -> bytes:
        self._log_effect(attempt, "end", execution)
        started_at, now = self._started_at(attempt), self._world.scheduler.utc()
        if ending.failure is not None:
            return report_text(attempt.report(Failed, started_at=started_at, finished_at=now, **ending.failure))
        self._completions[attempt] = execution
        return completed_text(attempt.fence, started_at, now, orjson.dumps({"execution": execution}))

    def _log_effect(self, attempt: HeldAttempt, phase: str, execution: str | None = None) -> str:
        name = execution or f"x{len(self._world.effects)}"
        item = attempt.work_item
        self._world.note(self._processor_id, phase, name, str(item.task_id)[-4:], str(attempt.fence[1:]))
        self._world.effects.append(
            Effect(
                name,
                str(item.task_id),
                item.run,
                item.attempt,
                self._processor_id,
                phase,
                self._world.seconds_since_epoch(),
            )
        )
        return name

    def _note_fence(self, attempt: HeldAttempt) -> None:
        self._world.executed.setdefault(attempt.fence, set()).add(self._processor_id)

    def _stop_handler(self, attempt: HeldAttempt, reason: StopReason) -> None:
        if attempt.stop_reason is None:
            attempt.stop_reason = reason
            self._running[attempt].wake()

    def _started_at(self, attempt: HeldAttempt) -> datetime:
        return attempt.started_at or self._world.scheduler.utc()

    def _cancelled_text(self, attempt: HeldAttempt) -> bytes:
        now = self._world.scheduler.utc()
        return report_text(attempt.report(Cancelled, started_at=self._started_at(attempt), finished_at=now))

    # Everything is told, as in `Reports` and `Heartbeats`.

    def _announce(self, attempt: HeldAttempt) -> None:
        if attempt.started_at is not None and not attempt.is_ended:
            text = started_text(attempt.fence, attempt.started_at)
            self._put((attempt, "started"), QueuedReport(text, on_stored=attempt.on_start_stored))

    def _announce_again(self, attempt: HeldAttempt) -> None:
        self._note_fence(attempt)
        self._announce(attempt)
        for report in attempt.submissions:
            text = report_text(report.model_copy(update=attempt.fence._asdict()))
            self._put(object(), QueuedReport(text))

    def _tell_progress(self, attempt: HeldAttempt, progress: Progress) -> None:
        attempt.told_at[Progressed] = self._world.scheduler.now
        self._put((attempt, "progressed"), QueuedReport(report_text(attempt.report(Progressed, progress=progress))))

    def _submit(self, attempt: HeldAttempt, execution: str) -> None:
        """Submit a task, and leave a checkpoint that counts on it. Every execution of the run submits the same."""
        item = attempt.work_item
        attempt.submitted += 1
        task_id = submission_id(item.task_id, item.run, f"number {attempt.submitted}")
        task = IdentifiedTask(id=task_id, title="Another", kind="steady", labels={"mark": str(task_id)}, process=True)
        report = attempt.report(Submitted, number=attempt.submitted, task=task)
        attempt.submissions.append(report)
        self._put(object(), QueuedReport(report_text(report)))
        self._world.submitted.setdefault(execution, []).append(task_id)
        content = {"number": attempt.submitted, "submitted": attempt.submitted, "checkpoint": execution}
        self._put((attempt, "checkpointed"), QueuedReport(report_text(attempt.report(Checkpointed, **content))))
        attempt.checkpointed = attempt.submitted

    def _write_line(self, attempt: HeldAttempt, execution: str) -> None:
        """Each line says which of its execution it is. Those that are written while others are on their way gather."""
        if attempt.lines is None:
            attempt.lines = UntoldLines()
        self._line_count += 1
        text = f"{execution} {self._line_count}"
        self._world.lines.setdefault(execution, set()).add(self._line_count)
        attempt.lines.add([Line(at=self._world.scheduler.utc(), level=LineLevel.INFO, text=text)])
        if not attempt.has_unstored_lines:
            attempt.has_unstored_lines = True
            self._tell_lines(attempt, attempt.lines)

    def _tell_lines(self, attempt: HeldAttempt, lines: UntoldLines) -> None:
        attempt.told_at[Logged] = self._world.scheduler.now
        text = report_text(attempt.report(Logged, **lines.take()))
        self._put(object(), QueuedReport(text, on_stored=attempt.note_lines_stored))

    def _give_back(self, attempt: HeldAttempt, reason: Literal["draining", "unknown_kind"]) -> None:
        self._end(attempt, _given_back_text(attempt, reason))

    def _end(self, attempt: HeldAttempt, text: bytes) -> None:
        attempt.is_ended = True
        while attempt.lines:
            self._tell_lines(attempt, attempt.lines)
        if not attempt.told_at:
            self._queue.discard((attempt, "started"))
        text = with_what_was_told(text, attempt)
        self._put((attempt, "ended"), QueuedReport(text, ended_attempt=attempt))

    def _put(self, key: object, report: QueuedReport) -> None:
        self._queue.put(key, report)
        self._reporting.wake()

    def _report(self) -> Steps[None]:
        while True:
            if not len(self._queue):
                yield IDLE_SECONDS
                continue
            self._unstored = reports = self._queue.cut()
            self._bundle_count += 1
            yield from self._store_bundle(reports, f"{self._processor_id}:{self._bundle_count}")
            ended = [report.ended_attempt for report in reports if report.ended_attempt is not None]
            replies = [attempt.reply for attempt in ended]
            self._world.send(self._broker.work, lambda replies=replies: self._ack(replies))  # type: ignore[misc]
            self._held.release(ended)
            for report in reports:
                if report.on_stored is not None:
                    report.on_stored()
            self._unstored = []

    def _store_bundle(self, reports: list[QueuedReport], message_id: str) -> Steps[None]:
        stream = self._broker.reports
        data = bundle_text(self._processor_id, (report.text for report in reports))
        publish = partial(stream.publish, subjects.report(self._processor_id), data, message_id)
        while True:
            try:
                yield from self._world.request(stream, publish)
            except UnavailableError:
                yield 0.1
                continue
            self._note_stored(report.ended_attempt for report in reports if report.ended_attempt is not None)
            return

    def _note_stored(self, ended: Iterable[HeldAttempt]) -> None:
        for attempt in ended:
            self._world.stored_endings.setdefault(attempt.fence, self._world.scheduler.utc())
            if attempt in self._completions:
                self._world.reported.append(self._completions[attempt])

    def _ack(self, replies: list[str]) -> None:
        for reply in replies:
            self._broker.work.ack(reply)

    def _beat(self) -> Steps[None]:
        work, reports = self._broker.work, self._broker.reports
        while True:
            yield BEAT_SECONDS
            replies = self._held.replies()
            if replies:
                self._world.send(work, partial(_in_progress, self._broker, replies))
            beats = [heartbeat_text(fence) for fence in self._held.started_fences()]
            if beats:
                data = bundle_text(self._processor_id, beats)
                self._world.send(reports, partial(reports.publish, subjects.report(self._processor_id), data))


def _given_back_text(
    attempt: HeldAttempt, reason: Literal["draining", "unknown_kind", "not_now"], after_seconds: float = 0
) -> bytes:
    return report_text(attempt.report(GivenBack, reason=reason, after_seconds=after_seconds))


def _in_progress(broker: Broker, replies: list[str]) -> None:
    for reply in replies:
        broker.work.in_progress(reply)
