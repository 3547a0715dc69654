"""The checker is checked: each invariant catches what is planted against it, and a run that shows nothing fails."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from tests.chaos.checker.history import FaultWindow, History, Operation, Outcome, SeenTask
from tests.chaos.checker.verdict import INVARIANTS, judge
from tests.unit.chaos.stories import begin, event, operation, row, sound, started, with_log, with_row

Plant = Callable[[History], History]


def _without_rows(history: History) -> History:
    return replace(history, rows={"b": history.rows["b"]})


def _with_operations(*operations_added: Operation) -> Plant:
    return lambda history: replace(history, operations=[*history.operations, *operations_added])


_FAILED = {"code": "handler_error", "message": "no"}
_CRASH_LOOP = {"code": "crash_loop", "message": "no"}

PLANTED: Mapping[str, Plant] = {
    "every_fault_happened": lambda history: replace(
        history, faults=[*history.faults, FaultWindow("store_killed", "", 0, 0, missed="it had ended already")]
    ),
    "no_accepted_task_lost": lambda history: replace(_without_rows(history), log=history.log[5:]),
    "no_phantom_task": lambda history: replace(history, rows={**history.rows, "c": row("c", "nobody's")}),
    "refused_creations_left_nothing": lambda history: _with_operations(
        operation(Outcome.INVOKE, key="refused", marks=("r",)),
        operation(Outcome.FAIL, key="refused", http_status=422),
    )(replace(history, rows={**history.rows, "c": row("c", "r")})),
    "one_task_for_each_key": lambda history: replace(history, rows={**history.rows, "c": row("c", "m")}),
    "every_key_was_settled": _with_operations(operation(Outcome.INFO, key="hidden", http_status=503)),
    "no_internal_error": _with_operations(operation(Outcome.INFO, key=None, http_status=500)),
    "reads_are_monotonic": _with_operations(
        operation(Outcome.OK, verb="read", key=None, seen=(SeenTask("a", 3),), http_status=200)
    ),
    "every_task_ends": lambda history: with_row(history, "a", status="in_progress"),
    "versions_have_no_gap": lambda history: with_log(history, lambda log: [*log[:2], *log[3:]]),
    "one_end_for_each_run": lambda history: with_log(
        history, lambda log: [*log, event(6, "failed", status="failed", error=_FAILED)]
    ),
    "transitions_are_legal": lambda history: with_log(history, lambda log: [log[0], *log[2:]]),
    "attempts_rise_within_their_limit": lambda history: with_log(
        history,
        lambda log: [
            *log[:4],
            event(5, "scheduled", status="scheduled", attempt=2, reason="retry", run_at="2026-11-24T12:00:00Z"),
            *log[5:],
        ],
    ),
    "rows_are_the_fold_of_their_log": lambda history: with_row(history, "a", attempt=2),
    "crash_loop_needs_three_crashes": lambda history: with_log(
        history, lambda log: [*log[:4], event(5, "failed", status="failed", error=_CRASH_LOOP), *log[5:]]
    ),
    "only_poison_fails": lambda history: with_row(history, "a", status="failed", error=_FAILED),
    "every_event_reaches_the_bus": lambda history: replace(history, witnessed=history.log[:-1]),
    "the_bus_tells_only_what_is_committed": lambda history: replace(
        history, witnessed=[*history.witnessed, event(6, "updated", status="completed")]
    ),
    "first_occurrences_are_in_order": lambda history: replace(
        history, witnessed=[history.log[0], history.log[2], history.log[1], *history.log[3:]]
    ),
    "no_stale_report_applied": lambda history: with_log(
        history, lambda log: [*log[:4], event(5, "completed", status="completed", result={"execution": "x1"}), *log[5:]]
    ),
    "one_effective_completion": lambda history: replace(
        history, effects=[effect for effect in history.effects if effect.phase == "begin"]
    ),
    "cancelled_before_its_start_never_ran": lambda history: with_log(
        history,
        lambda log: [
            *log[:1],
            event(2, "scheduled", status="scheduled", reason="run_at", run_at="2026-11-24T11:00:00Z"),
            event(3, "cancelled", status="cancelled", cancellation="before_start"),
            *log[5:],
        ],
    ),
    "nothing_runs_early": lambda history: with_log(
        history,
        lambda log: [
            log[0],
            event(2, "scheduled", status="scheduled", reason="run_at", run_at="2026-11-24T12:00:01Z"),
            *log[2:],
        ],
    ),
    "no_second_execution_without_a_fault": lambda history: replace(history, faults=[]),
    "every_start_was_committed_first": lambda history: replace(
        history, effects=[*history.effects, begin("x3", "p-1", 9, attempt=2)]
    ),
}


def test_sound_history_is_clean() -> None:
    """A history in which faults were survived, bus duplicates included, passes."""
    verdict = judge(sound())
    assert verdict.violations == {}
    assert verdict.is_clean


@pytest.mark.parametrize("name", PLANTED)
def test_planted_violation_is_caught(name: str) -> None:
    """What is planted against an invariant is caught by that one."""
    assert name in judge(PLANTED[name](sound())).violations


def test_every_invariant_has_a_planted_violation() -> None:
    """No invariant is taken on trust."""
    assert {invariant.__name__ for invariant in INVARIANTS} == set(PLANTED)


@pytest.mark.parametrize(
    ("sign", "blind"),
    [
        (
            "redeliveries",
            lambda history: replace(
                history, log=[started(3) if event.version in {3, 4} else event for event in history.log]
            ),
        ),
        ("stale reports", lambda history: replace(history, reported=["x2"])),
        ("replayed answers", lambda history: replace(history, operations=history.operations[4:])),
        ("unknown outcomes", lambda history: replace(history, operations=history.operations[2:])),
        ("expired leases", lambda history: replace(history, log=history.log[:5])),
        ("reconnects", lambda history: replace(history, reconnects=0)),
    ],
)
def test_run_without_a_sign_is_vacuous(sign: str, blind: Plant) -> None:
    """A run in which one kind of trouble never showed does not count, however clean it is."""
    verdict = judge(blind(sound()))
    assert sign in verdict.missing_signs
    assert not verdict.is_clean


def test_empty_run_is_vacuous() -> None:
    """A run in which nothing happened violates nothing, and does not count."""
    verdict = judge(History())
    assert verdict.violations == {}
    assert not verdict.is_clean


def test_read_of_an_accepted_task_that_finds_nothing_is_caught() -> None:
    """A client that was promised a task finds it."""
    missing = operation(Outcome.FAIL, verb="read", key=None, task_id="a", http_status=404)
    assert "reads_are_monotonic" in judge(_with_operations(missing)(sound())).violations


def test_what_is_kept_by_hand_is_in_no_run() -> None:
    """A person may set a completed task to pending again, and cancel it, though its run has ended, and was executed."""
    history = with_row(
        with_log(
            sound(),
            lambda log: [
                *log,
                event(6, "updated", status="pending"),
                event(7, "cancelled", status="cancelled", cancellation="before_start"),
            ],
        ),
        "a",
        version=7,
        revision=7,
        status="cancelled",
    )
    assert judge(history).violations == {}
