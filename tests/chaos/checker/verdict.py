"""All invariants, and whether a run showed anything at all."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from tests.chaos.checker import bus, dependents, effects, explained, log, requests, schedules, turns, unique
from tests.chaos.checker.history import LIMIT, LIMITED_KIND, History, LoggedEvent, Outcome

INVARIANTS: tuple[Callable[[History], Iterable[str]], ...] = (
    requests.every_fault_happened,
    requests.no_accepted_task_lost,
    requests.only_what_was_to_be_deleted_is,
    requests.no_phantom_task,
    requests.submitted_tasks_exist_once,
    requests.refused_creations_left_nothing,
    requests.one_task_for_each_key,
    requests.every_key_was_settled,
    requests.no_internal_error,
    requests.reads_are_monotonic,
    log.every_task_ends,
    log.versions_have_no_gap,
    log.one_end_for_each_run,
    log.transitions_are_legal,
    log.attempts_rise_within_their_limit,
    log.rows_are_the_fold_of_their_log,
    log.crash_loop_needs_three_crashes,
    log.lines_are_told_once,
    schedules.each_time_comes_once,
    schedules.each_fire_has_its_task,
    bus.every_event_reaches_the_bus,
    bus.the_bus_tells_only_what_is_committed,
    bus.first_occurrences_are_in_order,
    effects.no_stale_report_applied,
    effects.one_effective_completion,
    effects.cancelled_before_its_start_never_ran,
    effects.nothing_runs_early,
    effects.every_start_was_committed_first,
    unique.a_key_has_one_holder_at_a_time,
    unique.who_asks_under_a_key_is_told_one_of_it,
    unique.keys_are_held_by_who_has_not_ended,
    dependents.nothing_starts_before_what_it_comes_after,
    dependents.what_is_not_completed_cancels_what_comes_after,
    dependents.groups_have_one_outcome,
    explained.no_second_execution_without_a_fault,
    explained.no_work_lost_without_a_fault,
    explained.only_poison_fails,
    explained.nothing_begins_while_paused,
    turns.no_more_at_once_than_the_limit,
)

MAX_VIOLATIONS_OF_EACH = 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checker found.

    Attributes:
        violations: By the name of the invariant; only those that were violated, 20 of each at most.
        signs: How often each thing was seen without which a run proves nothing.
        shortcomings: Why the run proves nothing; empty: it does.
    """

    violations: Mapping[str, tuple[str, ...]]
    signs: Mapping[str, int]
    shortcomings: tuple[str, ...]

    @property
    def status(self) -> Literal["clean", "violated", "vacuous"]:
        """`clean`: everything holds, in a run that could have shown otherwise."""
        if self.violations:
            return "violated"
        return "vacuous" if self.shortcomings else "clean"


def judge(history: History) -> Verdict:
    """Check every invariant, and count the signs of faults at work."""
    found = {invariant.__name__: tuple(islice(invariant(history), MAX_VIOLATIONS_OF_EACH)) for invariant in INVARIANTS}
    signs = signs_of(history)
    unseen = (f"no {name}" for name, count in signs.items() if count == 0)
    at_rest = (
        f"{fault.name} with {fault.in_progress} tasks in progress"
        for fault in history.faults
        if (fault.in_progress or 0) < history.wanted_in_progress
    )
    violations = {name: violations for name, violations in found.items() if violations}
    is_limited = any(row["kind"] == LIMITED_KIND for row in history.rows.values())
    unlimited = (
        ("the limit was not reached",) if is_limited and turns.limit_use(history)["most_at_once"] < LIMIT else ()
    )
    return Verdict(violations, signs, (*unseen, *at_rest, *unlimited))


def signs_of(history: History) -> Mapping[str, int]:
    """How often each thing was seen without which a run proves nothing."""
    applied = {_execution(event) for event in history.log if event.type == "completed"}
    return {
        "redeliveries": sum(1 for event in history.log if event.type == "started" and event.data["delivery"] > 1),
        "stale reports": sum(1 for execution in set(history.reported) if execution not in applied),
        "replayed answers": sum(1 for operation in history.operations if operation.is_replayed),
        "unknown outcomes": sum(1 for operation in history.operations if operation.outcome is Outcome.INFO),
        "expired leases": sum(1 for event in history.log if _is_lease_expiry(event)),
        "times of schedules": len(history.fires),
        "reconnects": history.reconnects,
    }


def _execution(event: LoggedEvent) -> str | None:
    result = event.data.get("result")
    return str(result.get("execution")) if isinstance(result, dict) else None


def _is_lease_expiry(event: LoggedEvent) -> bool:
    return event.data.get("reason") == "lost" or event.data.get("cancellation") == "expired"
