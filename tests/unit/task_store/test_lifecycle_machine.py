"""The lifecycle as a state machine: whatever clients, processors and time do, in any order, the invariants hold."""

from datetime import datetime, timedelta
from typing import Any

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from taskmill.contracts.errors import AlreadyFinishedError, IllegalTransitionError, RunActiveError
from taskmill.contracts.reports import RunReport
from taskmill.contracts.requests import UpdateTask
from taskmill.contracts.status import TaskStatus
from taskmill.task_store.domain.creation import decide_create
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.editing import decide_update
from taskmill.task_store.domain.endings import cancel_at_once, decide_cancel, decide_expiry
from taskmill.task_store.domain.fence import FenceRule
from taskmill.task_store.domain.lifecycle import TRANSITIONS, Cause
from taskmill.task_store.domain.reports import MAX_CRASHES, Hearing, cause_of, decide_report
from taskmill.task_store.domain.retries import NO_DEFAULTS
from taskmill.task_store.domain.runs import decide_due, decide_lost, decide_process
from taskmill.task_store.domain.state import AttemptState, TaskState, newest_attempt
from tests.support.folded_task import FoldedTask
from tests.support.task_states import (
    NOW,
    RULES,
    TASK_ID,
    cancelled,
    checkpointed,
    completed,
    create_request,
    failed,
    given_back,
    heartbeat,
    no_jitter,
    progressed,
    started,
    submitted,
)

RUN_STATUSES = {TaskStatus.QUEUED, TaskStatus.SCHEDULED, TaskStatus.IN_PROGRESS}
ENDINGS = {TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED}

# Mostly the number itself: three numbers must be right for a report to count.
NEAR = st.sampled_from([0, 0, 0, 0, 0, -1, 1])

MAKERS = (started, heartbeat, progressed, checkpointed, submitted, completed, failed, cancelled, given_back)


class Lifecycle(RuleBasedStateMachine):
    """One task, with everything that may happen to it."""

    state: TaskState
    now: datetime

    @initialize(
        process=st.booleans(),
        title=st.text(min_size=1, max_size=5).filter(lambda text: "\x00" not in text),
        max_attempts=st.sampled_from([None, 1, 2, 3]),
        seconds_ahead=st.sampled_from([None, -1, 0, 5]),
    )
    def create(self, process: bool, title: str, max_attempts: int | None, seconds_ahead: int | None) -> None:
        """A client creates it."""
        self.now = NOW
        self.folded = FoldedTask()
        self.attempts: dict[int, AttemptState] = {}
        run_at = None if seconds_ahead is None else self.now + timedelta(seconds=seconds_ahead)
        request = create_request(process=process, title=title, max_attempts=max_attempts, run_at=run_at)
        decision = decide_create(request, NO_DEFAULTS, self.now)
        assert decision.state.revision == 1
        self.state = decision.state
        self.follow(decision)

    def follow(self, decision: Decision) -> None:
        """Take a decision over, as store and subscriber do."""
        for event in decision.events:
            self.folded.take(event.document)
        # One that has not begun is what the state says of it.
        open_attempt = newest_attempt(decision.state) if decision.state.is_run_active else None
        for attempt in (decision.attempt, open_attempt):
            if attempt is not None:
                is_retried = attempt.outcome is not None and decision.state.is_run_active
                assert attempt.attempt == decision.state.attempt - is_retried
                self.attempts[attempt.attempt] = attempt
        assert decision.state.revision - self.state.revision in range(3)
        self.state = decision.state

    @rule()
    def process(self) -> None:
        """A client asks for a run."""
        before = self.state
        try:
            self.follow(decide_process(self.state, NO_DEFAULTS, self.now))
        except RunActiveError:
            assert before.is_run_active
        else:
            assert not before.is_run_active
            assert (self.state.run, self.state.attempt) == (before.run + 1, before.attempt + 1)

    @rule()
    def cancel(self) -> None:
        """A client wants it not to be done."""
        before = self.state
        try:
            self.follow(decide_cancel(before, self.now))
        except AlreadyFinishedError:
            assert not before.is_run_active
            assert before.status is not TaskStatus.PENDING
        else:
            is_asked = before.status is TaskStatus.IN_PROGRESS
            assert self.state.status is (TaskStatus.IN_PROGRESS if is_asked else TaskStatus.CANCELLED)
            assert (self.state.cancel_requested_at is not None) == is_asked

    @rule()
    def cancel_at_once(self) -> None:
        """A client deletes it by force, which cancels first."""
        if self.state.is_run_active:
            self.follow(cancel_at_once(self.state, self.now))

    @rule(dispatch=NEAR)
    def lose(self, dispatch: int) -> None:
        """A work item near the newest is nowhere."""
        before = self.state
        decision = decide_lost(before, before.dispatch + dispatch, self.now)
        self.follow(decision)
        if decision.state is not before:
            assert dispatch == 0
            assert before.lease_until is None or before.lease_until <= self.now
            assert self.state.attempt == before.attempt

    @rule(
        make=st.sampled_from(MAKERS),
        attempt=NEAR,
        dispatch=NEAR,
        delivery=st.sampled_from([0, 0, 1, 1, 2, -1]),
        processor=st.sampled_from(["processor-1", "processor-2"]),
        reason=st.sampled_from(["draining", "unknown_kind", "not_now"]),
    )
    def report(
        self,
        make: Any,
        attempt: int,
        dispatch: int,
        delivery: int,
        processor: str,
        reason: str,
    ) -> None:
        """A report whose fence is near the task's, or just it."""
        numbers = {
            "delivery": max(1, self.state.delivery + delivery),
            "attempt": max(1, self.state.attempt + attempt),
            "dispatch": max(1, self.state.dispatch + dispatch),
        }
        options = {"reason": reason} if make is given_back else {}
        report: RunReport = make(**numbers, **options)
        before = self.state
        hearing = Hearing(processor, self.now, RULES, NO_DEFAULTS, no_jitter)
        decision = decide_report(before, report, hearing)
        self.follow(decision)
        if decision.state is not before:
            assert before.is_run_active
            assert (report.attempt, report.dispatch) == (before.attempt, before.dispatch)
            assert report.delivery >= before.delivery
            if self.state.status in ENDINGS and make in {completed, failed, cancelled}:
                assert self.state.delivery == report.delivery
            if before.cancel_requested_at is not None and make not in {started, progressed, checkpointed, submitted}:
                assert self.state.status in ENDINGS, "what is to be cancelled goes on"
        # A replay of whatever was applied is a no-op; a heartbeat only says the same again.
        assert decide_report(self.state, report, hearing).events == () or make is progressed

    @rule(status=st.sampled_from(list(TaskStatus)))
    def set_status(self, status: TaskStatus) -> None:
        """A client sets the status by hand."""
        before = self.state
        request = UpdateTask(id=TASK_ID, changes={"status": status.value})
        try:
            self.follow(decide_update(self.state, request, self.now))
        except RunActiveError:
            assert before.is_run_active
        except IllegalTransitionError:
            assert status not in {TaskStatus.PENDING, TaskStatus.IN_PROGRESS, TaskStatus.COMPLETED} or (
                before.status in {TaskStatus.FAILED, TaskStatus.CANCELLED}
            )
        else:
            assert self.state.status is status

    @rule(title=st.sampled_from(["a", "b"]))
    def set_title(self, title: str) -> None:
        """A client edits what may be edited at any time."""
        before = self.state
        self.follow(decide_update(self.state, UpdateTask(id=TASK_ID, changes={"title": title}), self.now))
        assert self.state.revision == before.revision + (before.title != title)

    @rule(seconds=st.sampled_from([0, 1, 5, 30]))
    def wait(self, seconds: int) -> None:
        """Time passes, and the store looks for what is due."""
        self.now += timedelta(seconds=seconds)
        self.follow(decide_due(self.state, self.now))
        self.follow(decide_expiry(self.state, self.now))
        if self.state.cancel_requested_at is not None:
            assert self.state.lease_until is not None
            assert self.state.lease_until > self.now, "a cancellation outlives the lease"

    @invariant()
    def versions_have_no_gap(self) -> None:
        """The events are numbered 1 to the task's version."""
        assert self.folded.version == self.state.version

    @invariant()
    def the_row_is_the_fold_of_its_events(self) -> None:
        """Who knows only the events knows the task."""
        folded = self.folded.fields
        for name in ("status", "revision", "run", "attempt", "title", "kind", "queue", "priority", "max_attempts"):
            assert folded[name] == getattr(self.state, name), name
        for name in ("dispatch", "delivery", "processor_id", "attempt_limit"):
            assert folded.get(name, getattr(self.state, name)) == getattr(self.state, name), name
        for name in ("started_at", "finished_at", "run_at", "cancel_requested_at"):
            expected = getattr(self.state, name)
            assert (folded.get(name) is None) == (expected is None), name
            assert expected is None or datetime.fromisoformat(folded[name]) == expected, name
        for name in ("payload", "result", "progress", "error"):
            assert folded.get(name) == orjson.loads(getattr(self.state, name) or "null"), name

    @invariant()
    def a_run_is_active_just_in_its_statuses(self) -> None:
        """Queued and scheduled are within a run; an ended run holds no lease."""
        if self.state.is_run_active:
            assert self.state.status in RUN_STATUSES
        else:
            assert self.state.status not in {TaskStatus.QUEUED, TaskStatus.SCHEDULED}
            assert self.state.lease_until is None

    @invariant()
    def waiting_says_what_for(self) -> None:
        """A scheduled task has a due time, one in progress within a run a lease, others have neither."""
        assert (self.state.run_at is not None) == (self.state.status is TaskStatus.SCHEDULED)
        assert (self.state.lease_until is not None) == (
            self.state.is_run_active and self.state.status is TaskStatus.IN_PROGRESS
        )

    @invariant()
    def attempts_and_crashes_are_limited(self) -> None:
        """A run has no more attempts than it may, and none starts after too many crashes."""
        assert not self.state.is_run_active or self.state.attempt <= self.state.attempt_limit
        is_started = self.state.is_run_active and self.state.status is TaskStatus.IN_PROGRESS
        assert not is_started or self.state.crashes < MAX_CRASHES

    @invariant()
    def a_checkpoint_is_of_a_run_that_was_not_completed(self) -> None:
        """Nobody but a run that goes on, or has failed, has where to go on."""
        if self.state.run == 0 or self.state.status in {TaskStatus.PENDING, TaskStatus.COMPLETED}:
            assert self.state.checkpoint == "null"

    @invariant()
    def each_run_has_its_attempt(self) -> None:
        """There is one from when it is queued, and it ends before the next begins."""
        never_queued = {self.state.attempt} if self.state.queued_at is None else set()
        assert set(self.attempts) - never_queued <= set(range(1, self.state.attempt + 1))
        if self.state.is_run_active:
            assert (self.state.attempt in self.attempts) == (self.state.queued_at is not None)
        for attempt in list(self.attempts.values())[:-1]:
            assert attempt.outcome is not None, "a new run began before the last attempt ended"
        if self.state.is_run_active and self.state.queued_at is not None:
            assert self.attempts[self.state.attempt].outcome is None


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_the_machine_speaks_of_every_report() -> None:
    """Whatever the table lets a processor say is among what the machine may do."""
    fenced = {way.by for way in TRANSITIONS if isinstance(way.fence, FenceRule)}
    assert fenced == {cause_of(make()) for make in MAKERS} | {Cause.UNKNOWN_KIND, Cause.NOT_NOW}
