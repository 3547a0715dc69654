"""The mutants: patch files beside this module, each with a header that says what must catch it, and where."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Trial:
    """A run of the harness. The mutants that share one share its unpatched twin.

    Attributes:
        faults: What is inflicted, as `--fault` takes it.
        tasks: How many tasks are accepted.
        stores: How many task stores run.
        seed: That of the run.
    """

    faults: tuple[str, ...]
    tasks: int
    stores: int
    seed: int

    @property
    def title(self) -> str:
        """Its faults, and how many stores run if there are several."""
        return ", ".join([*self.faults, *([f"{self.stores} stores"] if self.stores > 1 else [])])

    @property
    def arguments(self) -> list[str]:
        """What `python -m tests.chaos` is told."""
        faults = [argument for fault in self.faults for argument in ("--fault", fault)]
        numbers = {"--tasks": self.tasks, "--stores": self.stores, "--seed": self.seed}
        return [*faults, *(word for name, number in numbers.items() for word in (name, str(number)))]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mistake that the checker has to find.

    Attributes:
        patch: The file, whose name without its ending is that of the mutant.
        breaks: What goes wrong, in a sentence.
        caught_by: The invariant that must be violated.
        trial: The run in which it must be.
    """

    patch: Path
    breaks: str
    caught_by: str
    trial: Trial

    @property
    def name(self) -> str:
        """Such as `02-no-fence`."""
        return self.patch.stem

    @property
    def patched_files(self) -> list[str]:
        """The files that it changes, from the root of the repository."""
        lines = self.patch.read_text().splitlines()
        return [line.removeprefix("+++ b/") for line in lines if line.startswith("+++ b/")]


def all_mutants() -> Sequence[Mutant]:
    """Every mutant, in the order of the names."""
    return [_read(patch) for patch in sorted(Path(__file__).parent.glob("*.patch"))]


def _read(patch: Path) -> Mutant:
    header, _, _ = patch.read_text().partition("\n\n")
    fields = dict(line.split(": ", 1) for line in header.splitlines())
    trial = Trial(
        faults=tuple(fields["Faults"].split(", ")),
        tasks=int(fields["Tasks"]),
        stores=int(fields["Stores"]),
        seed=int(fields["Seed"]),
    )
    return Mutant(patch, breaks=fields["Breaks"], caught_by=fields["Caught-by"], trial=trial)
