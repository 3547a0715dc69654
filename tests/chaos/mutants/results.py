"""What became of the mutants, and the page that tells it."""

import platform
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.chaos.mutants.mutant import Mutant, Trial

_HEAD = """# Does the fault harness find mistakes?

Written by `make chaos-mutants CHAOS_OPTIONS="--record docs/mutants.md"`, which takes about a quarter of an hour.

A mutant is a copy of the code in which one safeguard is patched out; the patches are in `tests/chaos/mutants`. A run of
the fault harness on the copy must violate the invariant that the patch names, in bold here; the others that it violated
follow. The same run on an unpatched copy, the twin, must violate none. A crash may miss the moment that matters: a
mutant that was not caught is tried twice more, with the next seeds.
"""


class Result(NamedTuple):
    """One run."""

    mutant: Mutant | None
    """None: the unpatched twin."""
    trial: Trial
    violations: Mapping[str, Sequence[str]]
    """By the name of the invariant."""
    problem: str | None
    """Why the run says nothing; None: it says something."""
    seconds: float

    @property
    def is_expected(self) -> bool:
        """Whether the mutant was caught by the invariant that its patch names, or the twin by none."""
        if self.problem is not None:
            return False
        return not self.violations if self.mutant is None else self.mutant.caught_by in self.violations

    @property
    def line(self) -> str:
        """What is said of it while the others run."""
        name = f"twin of {self.trial.title}" if self.mutant is None else self.mutant.name
        found = self.problem or ", ".join(self.violations) or "nothing violated"
        return f"{'as expected' if self.is_expected else 'NOT AS EXPECTED'}: {name}: {found}, {self.seconds:.0f} s"


def page(results: Sequence[Result]) -> str:
    """The results as Markdown, with the machine that they are of."""
    mutants = [_mutant_row(result.mutant, result) for result in results if result.mutant is not None]
    twins = [_twin_row(result) for result in results if result.mutant is None]
    return "\n".join(
        [
            _HEAD,
            f"Here on {platform.system()} {platform.machine()}, Python {platform.python_version()}.",
            "",
            "| mutant | what it breaks | violated | faults | seed | seconds |",
            "|---|---|---|---|---|---|",
            *sorted(mutants),
            "",
            "| twin | violated | seed | seconds |",
            "|---|---|---|---|",
            *twins,
            "",
        ]
    )


def _mutant_row(mutant: Mutant, result: Result) -> str:
    others = [f"`{name}`" for name in result.violations if name != mutant.caught_by]
    named = f"**`{mutant.caught_by}`**" if result.is_expected else f"not `{mutant.caught_by}`"
    violated = ", ".join([named, *others, *([result.problem] if result.problem else [])])
    trial = result.trial
    return f"| {mutant.name} | {mutant.breaks} | {violated} | {trial.title} | {trial.seed} | {result.seconds:.0f} |"


def _twin_row(result: Result) -> str:
    violated = result.problem or ", ".join(f"`{name}`" for name in result.violations) or "nothing"
    return f"| {result.trial.title} | {violated} | {result.trial.seed} | {result.seconds:.0f} |"
