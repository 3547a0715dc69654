"""Shows that the checker catches what it is for: `python -m tests.chaos.mutants` tries every mutant.

A mutant is a copy of the code in which one safeguard is patched out. A run of the harness on it must violate the
invariant that its patch names; the same run on an unpatched copy, its twin, must violate none.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.chaos.mutants.mutant import Mutant, Trial, all_mutants
from tests.chaos.mutants.results import Result, page
from tests.support.paths import ROOT

RUN_WITHIN_SECONDS = 400

MAX_RUNS = 3
"""A crash may miss the moment in which the mistake does harm: then it is tried again, with the next seed."""

_COPIED = ("libs", "services", "tests", "benchmarks")


class TrialError(Exception):
    """A run came to no verdict, or was not one of the copy."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of the code that processes of its own run."""

    folder: Path

    def judge(self, trial: Trial, files: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Run the harness on it.

        Args:
            trial: What is run.
            files: The modules that this is about.

        Returns:
            The violations by the name of the invariant.

        Raises:
            TrialError: The run came to no verdict in time, or took the modules from elsewhere.
        """
        runs = self.folder / "runs"
        runs.mkdir()
        # PostgreSQL may have to run as nobody, who has to get through to its own directory.
        for folder in (self.folder, runs):
            folder.chmod(0o711)
        command = [sys.executable, "-m", "tests.chaos", "--keep", *trial.arguments]
        with (self.folder / "output.log").open("w") as output:
            try:
                subprocess.run(  # noqa: S603
                    command,
                    cwd=self.folder,
                    env=self._environment(runs),
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=RUN_WITHIN_SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise TrialError(f"no end within {RUN_WITHIN_SECONDS} s") from None
        verdicts = list(runs.glob("*/verdict.json"))
        if not verdicts:
            raise TrialError("no verdict")
        if strangers := [file for file in files if not self._has_run(file)]:
            raise TrialError(f"did not run {', '.join(strangers)}")
        violations: Mapping[str, Sequence[str]] = json.loads(verdicts[0].read_text())["violations"]
        return violations

    def _has_run(self, file: str) -> bool:
        """Whether a process has loaded a module from this copy: then its compiled form is there."""
        path = self.folder / file
        return any((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))

    def _environment(self, runs: Path) -> dict[str, str]:
        # Before the packages that are installed: each part of a namespace package is taken from where it comes first.
        sources = [self.folder, *self.folder.glob("libs/*/src"), *self.folder.glob("services/*/src")]
        hidden = {"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"}
        inherited = {name: value for name, value in os.environ.items() if name not in hidden}
        return {**inherited, "PYTHONPATH": os.pathsep.join(map(str, sources)), "TMPDIR": str(runs)}


def main(arguments: list[str] | None = None) -> int:
    """Try mutants.

    Returns:
        The exit code: 0 when each was caught by its invariant, and every twin is clean.
    """
    mutants = {mutant.name: mutant for mutant in all_mutants()}
    parser = _parser()
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - mutants.keys():
        parser.error(f"no such mutant: {', '.join(sorted(unknown))}")
    chosen = [mutants[name] for name in options.names or mutants]
    results = []
    for trial in dict.fromkeys(mutant.trial for mutant in chosen):
        sharing = [mutant for mutant in chosen if mutant.trial == trial]
        everything = [file for mutant in sharing for file in mutant.patched_files]
        for mutant, files in [(None, everything), *((mutant, mutant.patched_files) for mutant in sharing)]:
            results.append(_try(mutant, trial, files))
    if options.record:
        options.record.write_text(page(results))
    return 0 if all(result.is_expected for result in results) else 1


def _try(mutant: Mutant | None, trial: Trial, files: Sequence[str]) -> Result:
    """Run a mutant until it is caught, or the twin that has the same trial until there is a verdict."""
    for seed in range(trial.seed, trial.seed + MAX_RUNS):
        result = _run(mutant, replace(trial, seed=seed), files)
        _say(result.line)
        if result.is_expected or (mutant is None and result.problem is None):
            break
    return result


def _run(mutant: Mutant | None, trial: Trial, files: Sequence[str]) -> Result:
    started = time.monotonic()
    copy = _copied(mutant)
    problem, violations = None, {}
    try:
        violations = dict(copy.judge(trial, files))
    except TrialError as error:
        problem = str(error)
    result = Result(mutant, trial, violations, problem, time.monotonic() - started)
    if result.is_expected:
        shutil.rmtree(copy.folder)
    else:
        _say(f"look at {copy.folder}")
    return result


def _copied(mutant: Mutant | None) -> Copy:
    folder = Path(tempfile.mkdtemp(prefix="taskmill-mutant-"))
    for name in _COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    if mutant is not None:
        subprocess.run(["git", "apply", str(mutant.patch)], cwd=folder, check=True)  # noqa: S603, S607
    return Copy(folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only this mutant and its twin")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the results into a page")
    return parser


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
