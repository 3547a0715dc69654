"""The mutants: each patch still applies, and names what the harness knows."""

import subprocess

import pytest

from tests.chaos.checker.verdict import INVARIANTS
from tests.chaos.faults.catalogue import all_faults
from tests.chaos.mutants.mutant import Mutant, all_mutants
from tests.chaos.mutants.results import Result, page
from tests.support.paths import ROOT

MUTANTS = {mutant.name: mutant for mutant in all_mutants()}

named = pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)


def test_there_are_as_many_mutants_as_promised() -> None:
    """None gets lost."""
    assert len(MUTANTS) >= 12


@named
def test_patch_applies(mutant: Mutant) -> None:
    """The code that a mutant changes is still as its patch expects it."""
    applied = subprocess.run(  # noqa: S603
        ["git", "apply", "--check", str(mutant.patch)],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
    )
    assert applied.stderr == ""
    assert mutant.patched_files
    assert [file for file in mutant.patched_files if not file.startswith(("libs/", "services/"))] == []


@named
def test_header_names_what_the_harness_knows(mutant: Mutant) -> None:
    """The invariant that must catch it is checked, and its faults can be inflicted."""
    assert mutant.caught_by in {invariant.__name__ for invariant in INVARIANTS}
    assert {fault.partition("=")[0] for fault in mutant.trial.faults} <= set(all_faults())


def test_result_is_expected_only_of_the_named_invariant() -> None:
    """A mutant that another invariant catches alone is not caught; a twin must be clean; a run must have an end."""
    mutant = MUTANTS["02-no-fence"]
    caught = Result(mutant, mutant.trial, {mutant.caught_by: ["…"], "every_task_ends": ["…"]}, None, 1)
    assert caught.is_expected
    assert not caught._replace(violations={"every_task_ends": ["…"]}).is_expected
    assert not caught._replace(problem="no verdict").is_expected
    assert not caught._replace(mutant=None).is_expected
    assert caught._replace(mutant=None, violations={}).is_expected
    assert "**`no_stale_report_applied`**, `every_task_ends`" in page([caught])
