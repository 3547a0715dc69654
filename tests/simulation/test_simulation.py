"""Thousands of runs of the whole lifecycle on fake time, each decided by its seed, and each judged."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import pytest

from taskmill.contracts.status import TaskStatus
from taskmill.task_store.domain.lifecycle import TRANSITIONS, Cause
from tests.chaos.checker.verdict import signs_of
from tests.simulation.defects import DEFECTS
from tests.simulation.simulation import Simulation
from tests.simulation.verdict import violations
from tests.simulation.world import Taken

SEEDS = 2_000
MOST_SEEDS_FOR_A_DEFECT = 300

# The table lets a processor say "cancelled" of what is not told to have started. But to be cancelled a task must be in
# progress; and "cancelled" of what nobody wants to be cancelled would take a message for an attempt that is long over.
# Turns are simulated, with the store that gives them, in tests/unit/task_store/test_turn_order.py.
NEVER_TAKEN = {(Cause.CANCELLED, TaskStatus.QUEUED), (Cause.TURN, TaskStatus.SCHEDULED)}

SIGNS = {
    "broker killed",
    "broker wiped",
    "broker's end lost",
    "conflicts",
    "database away",
    "dropped duplicates",
    "expired leases",
    "found events",
    "lost work",
    "not read again",
    "poison",
    "processor drained",
    "processor killed",
    "processor suspended",
    "redeliveries",
    "refused events",
    "repaired events",
    "replayed answers",
    "reports out of turn",
    "reports that wait in hand",
    "stale reports",
    "store killed",
    "store suspended",
    "unknown outcomes",
}


class Runs(NamedTuple):
    """What all seeds came to."""

    violations: Mapping[int, Mapping[str, list[str]]]
    signs: Counter[str]
    taken: set[Taken]


@pytest.fixture(scope="module")
def runs() -> Runs:
    """Every seed, run and judged."""
    all_runs = Runs({}, Counter(), set())
    found: dict[int, Mapping[str, list[str]]] = {}
    for seed in range(SEEDS):
        simulation = Simulation(seed)
        history = simulation.run()
        if wrong := violations(simulation, history):
            found[seed] = wrong
        all_runs.signs.update(simulation.world.signs)
        all_runs.signs.update(signs_of(history))
        all_runs.taken.update(simulation.world.taken)
    return all_runs._replace(violations=found)


@pytest.mark.timeout(300)
def test_no_seed_breaks_a_promise(runs: Runs) -> None:
    """Whatever is lost, late, doubled, killed or suspended, in the end every promise is kept."""
    told = [
        f"seed {seed} (python -m tests.simulation {seed} prints what happened): {name}: {wrong[0]}"
        for seed, found in runs.violations.items()
        for name, wrong in found.items()
    ]
    assert not told, "\n".join(told)


def test_every_way_through_the_lifecycle_was_taken(runs: Runs) -> None:
    """A table of which the seeds show only a part would not be tested by them."""
    taken = {(way.by, way.source) for way in runs.taken}
    expected = {(way.by, source) for way in TRANSITIONS for source in way.sources} - NEVER_TAKEN
    assert expected - taken == set()


def test_every_fault_and_recovery_was_seen(runs: Runs) -> None:
    """Runs in which nothing goes wrong prove nothing."""
    assert {sign for sign in SIGNS if not runs.signs[sign]} == set()


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each mistake is noticed within a few of the seeds, by an invariant that speaks of it."""
    DEFECTS[name].plant(monkeypatch)
    noticed: set[str] = set()
    for seed in range(DEFECTS[name].first_seed, DEFECTS[name].first_seed + MOST_SEEDS_FOR_A_DEFECT):
        simulation = Simulation(seed)
        noticed |= violations(simulation, simulation.run()).keys()
        if noticed & DEFECTS[name].found_by:
            return
    pytest.fail(f"not found in {MOST_SEEDS_FOR_A_DEFECT} seeds; what was: {sorted(noticed)}")


def test_a_seed_decides_everything() -> None:
    """The same seed makes the same run, event by event, so that a failure can be looked at again."""
    first, second = (Simulation(8, is_traced=True) for _ in range(2))
    assert first.run() == second.run()
    assert first.world.trace == second.world.trace
