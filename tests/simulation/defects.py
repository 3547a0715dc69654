"""Mistakes that are planted on purpose, one at a time: a simulation that does not find them proves nothing."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest

from taskmill.contracts.reports import EndReport, Logged, RunReport
from taskmill.contracts.status import TaskStatus
from taskmill.processor.domain import suspects
from taskmill.runtime.pull import DeliveredMessage
from taskmill.task_store.adapters.relay_log import RelayCursor
from taskmill.task_store.domain import batch, reports, runs
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.fence import FenceRule
from taskmill.task_store.domain.idempotency import KeyBook
from taskmill.task_store.domain.lifecycle import transition
from taskmill.task_store.domain.state import TaskState
from tests.simulation.database import Database
from tests.simulation.reconciler import Reconciler
from tests.simulation.relay import Relay
from tests.simulation.scheduler import Steps
from tests.simulation.store import TaskStore


class Defect(NamedTuple):
    """A mistake.

    Attributes:
        plant: Makes it, until the test is over.
        found_by: The invariants of which at least one must notice it.
        first_seed: Where to begin: a rare one is noticed by one seed of hundreds.
    """

    plant: Callable[[pytest.MonkeyPatch], None]
    found_by: set[str]
    first_seed: int = 0


def _replace(owner: object, name: str, value: object) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda monkeypatch: monkeypatch.setattr(owner, name, value)


def _no_new_dispatch(monkeypatch: pytest.MonkeyPatch) -> None:
    real = runs.to_queued

    def to_queued(state: TaskState, *arguments: Any) -> Decision:
        decision = real(state._replace(dispatch=max(0, state.dispatch - 1)), *arguments)
        return decision if state.dispatch else real(state, *arguments)

    for module in (runs, reports):
        monkeypatch.setattr(module, "to_queued", to_queued)


def _nothing(*_: object) -> Steps[None]:
    yield 0.0


def _cursor_first(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Relay._publish_new

    def publish_new(self: Relay, cursor: RelayCursor) -> Steps[bool]:
        newest = len(self._database.log)
        ahead = cursor._replace(position=newest, work_position=newest)
        if newest > cursor.position and self._database.save_cursor(self._leadership.owner, cursor, ahead):
            self._saved = ahead
        return (yield from real(self, cursor))

    monkeypatch.setattr(Relay, "_publish_new", publish_new)


def _take_lines_again(monkeypatch: pytest.MonkeyPatch) -> None:
    real = reports._log
    monkeypatch.setattr(reports, "_log", lambda state, *rest: real(state._replace(line_number=0), *rest))


def _ends_overtake_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    real = reports._before

    def before(report: RunReport) -> object:
        found = real(report)
        return found._replace(lines=None) if found is not None and isinstance(report, EndReport) else found

    monkeypatch.setattr(reports, "_before", before)


def _lines_overtake_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    real = reports._before
    monkeypatch.setattr(reports, "_before", lambda report: None if isinstance(report, Logged) else real(report))


def _ack_before_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    real = TaskStore._take_in

    def take_in(self: TaskStore, delivery: DeliveredMessage) -> None:
        self._broker.reports.ack(delivery.reply)
        real(self, delivery)

    monkeypatch.setattr(TaskStore, "_take_in", take_in)


def _unchecked(self: Relay, cursor: RelayCursor) -> Steps[RelayCursor]:
    yield 0.0
    stream = self._broker.events
    return cursor._replace(stream_created=stream.created_at, stream_sequence=stream.last_sequence)


def _reports_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        reports,
        "transition",
        lambda status, *, is_run_active, by: (
            transition(status, is_run_active=is_run_active, by=by)
            or (transition(TaskStatus.IN_PROGRESS, is_run_active=True, by=by))
        ),
    )


DEFECTS: Mapping[str, Defect] = {
    "no fence": Defect(
        _replace(FenceRule, "admits", lambda *_: True),
        {"no_stale_report_applied", "transitions_are_legal", "attempts_rise_within_their_limit"},
    ),
    "reports after the end of a run": Defect(_reports_after_the_end, {"one_end_for_each_run", "transitions_are_legal"}),
    "the dispatch does not rise": Defect(_no_new_dispatch, {"every_task_ends"}),
    "the cursor is saved before it is published": Defect(
        _cursor_first, {"every_event_reaches_the_bus", "the_stream_holds_the_log", "every_task_ends"}
    ),
    "lost events are not noticed": Defect(_replace(Relay, "_check_stream", _unchecked), {"the_stream_holds_the_log"}),
    "the reconciler does not wait for reports": Defect(
        _replace(Reconciler, "_await_reports", _nothing), {"no_finished_work_is_done_again"}, first_seed=380
    ),
    "reports are acknowledged before their commit": Defect(_ack_before_commit, {"no_finished_work_is_done_again"}),
    "writes do not look whether a task has changed": Defect(
        _replace(Database, "_is_stale", lambda *_: False), {"versions_have_no_gap"}
    ),
    "keys are not kept": Defect(_replace(KeyBook, "keep", lambda *_: None), {"one_task_for_each_key"}),
    "unanswered cancellations never expire": Defect(
        _replace(batch, "decide_expiry", lambda state, _: Decision(state)), {"every_task_ends"}
    ),
    "two crashes are a crash loop": Defect(_replace(reports, "MAX_CRASHES", 2), {"crash_loop_needs_three_crashes"}),
    "suspects run beside each other": Defect(
        _replace(suspects, "_LAST_CHANCE_AFTER_CRASHES", 99), {"only_poison_fails"}
    ),
    "lines that come again are taken in": Defect(_take_lines_again, {"lines_are_kept_as_they_were_told"}),
    "the end may overtake what was submitted": Defect(
        _replace(batch, "comes_early", lambda *_, **__: False), {"what_was_submitted_exists"}
    ),
    "the end may overtake lines": Defect(_ends_overtake_lines, {"no_line_is_overtaken"}),
    "lines may overtake each other": Defect(_lines_overtake_lines, {"no_line_is_overtaken"}),
    "lost work stays lost": Defect(
        _replace(batch, "decide_lost", lambda state, *_: Decision(state)), {"every_task_ends"}
    ),
}
