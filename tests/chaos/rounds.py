"""`make chaos-full`: a thousand kills in rounds. Each is a run of its own, and its result is kept, however it ended."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, describe_machine, last_commit, stack_versions
from tests.chaos.plan import ROUNDS

RESULTS = ROOT / "docs" / "reliability.jsonl"
FIRST_SEED = 1_000


def run_missing_rounds() -> int:
    """Run each round that has no clean result of this code yet, in a process of its own: its memory is given back.

    Returns:
        The worst exit code.
    """
    is_clean = {"commit": _commit(), "status": "clean"}
    done = {result["round"] for result in read_results(RESULTS) if result.items() >= is_clean.items()}
    codes = [
        subprocess.run([sys.executable, "-m", "tests.chaos", "--round", str(number)], check=False).returncode  # noqa: S603
        for number in range(1, ROUNDS + 1)
        if number not in done
    ]
    return max(codes, default=0)


def read_results(path: Path) -> Sequence[Mapping[str, Any]]:
    """The results of all rounds that were run, in that order."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def keep_result(path: Path, result: Mapping[str, Any]) -> None:
    """Write down how a round ended."""
    with path.open("a") as file:
        file.write(json.dumps(result) + "\n")


def surroundings() -> Mapping[str, Any]:
    """Where and when a round begins: the machine, the versions of everything, and how busy the machine is."""
    return {
        "began_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": describe_machine(),
        "versions": stack_versions(),
        "load_average": round(os.getloadavg()[0], 1),
    }


def _commit() -> str:
    # The results themselves are committed, too, and change nothing.
    return last_commit("libs", "services", "tests/chaos")
