"""The chaos harness: `python -m tests.chaos` runs it; with `--check FOLDER` it only looks at a past run."""

import argparse
import asyncio
import json
import random
import shlex
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from tests.chaos.artefacts import read_history
from tests.chaos.checker.history import History, Outcome
from tests.chaos.checker.verdict import Verdict, judge
from tests.chaos.plan import Plan, full_plan, small_plan, usual_plan
from tests.chaos.run import run

EXIT_CLEAN = 0
EXIT_VIOLATED = 1
EXIT_VACUOUS = 3


def main(arguments: list[str] | None = None) -> int:
    """Run the harness.

    Returns:
        The exit code: 0 when every invariant holds, 1 when one is violated, 3 when the run was vacuous.
    """
    options = _parser().parse_args(arguments)
    if options.check:
        return _conclude(read_history(options.check), options.check)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1_000_000)
    directory = Path(tempfile.mkdtemp(prefix=f"taskmill-chaos-{seed}-"))
    # PostgreSQL may have to run as nobody, who has to get through to its own directory.
    directory.chmod(0o711)
    plan = _plan(options)
    (directory / "run.json").write_text(json.dumps({"seed": seed, "arguments": sys.argv[1:], "plan": asdict(plan)}))
    _say(f"seed {seed}, {sum(plan.faults.values())} faults, {plan.tasks} tasks; files in {directory}")
    started = time.monotonic()
    history = asyncio.run(run(plan, seed, directory))
    _say(f"ran for {time.monotonic() - started:.0f} s")
    status = _conclude(history, directory)
    if status == EXIT_CLEAN and not options.keep:
        shutil.rmtree(directory)
    else:
        _say(f"again: {sys.executable} -m tests.chaos {shlex.join(_without_seed(sys.argv[1:]))} --seed {seed}")
        _say(f"look again: {sys.executable} -m tests.chaos --check {directory}")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--full", action="store_true", help="a thousand kills instead of some forty faults")
    parser.add_argument("--seed", type=int, help="what follows from chance follows from it; unset: a new one")
    parser.add_argument("--fault", action="append", metavar="NAME[=TIMES]", help="only this fault; may be repeated")
    parser.add_argument("--tasks", type=int, default=300, help="with --fault: tasks to accept (300)")
    parser.add_argument("--stores", type=int, default=1, help="with --fault: task stores (1)")
    parser.add_argument("--keep", action="store_true", help="keep the files of a clean run, too")
    parser.add_argument("--check", type=Path, metavar="FOLDER", help="check the files of a past run")
    return parser


def _plan(options: argparse.Namespace) -> Plan:
    if options.fault:
        faults = {name: int(times or 1) for name, _, times in (fault.partition("=") for fault in options.fault)}
        return small_plan(tasks=options.tasks, stores=options.stores, faults=faults)
    return full_plan() if options.full else usual_plan()


def _conclude(history: History, directory: Path) -> int:
    verdict = judge(history)
    _say(_summary(history, verdict))
    (directory / "verdict.json").write_text(json.dumps(asdict(verdict), indent=2))
    for name, violations in verdict.violations.items():
        _say(f"VIOLATED {name}")
        for violation in violations:
            _say(f"  {violation}")
    if verdict.violations:
        return EXIT_VIOLATED
    if verdict.missing_signs:
        _say(f"VACUOUS: not seen once: {', '.join(verdict.missing_signs)}")
        return EXIT_VACUOUS
    _say("every invariant holds")
    return EXIT_CLEAN


def _summary(history: History, verdict: Verdict) -> str:
    requests = Counter(operation.outcome for operation in history.operations)
    statuses = Counter(str(row["status"]) for row in history.rows.values())
    least_busy = min((fault.in_progress or 0 for fault in history.faults), default=0)
    return "\n".join(
        [
            f"accepted {len(history.accepted)}, tasks {dict(statuses)}, requests {_counts(requests)}",
            f"events {len(history.log)}, received {len(history.witnessed)}, effects {len(history.effects)}",
            f"faults {dict(Counter(fault.name for fault in history.faults))}",
            f"in progress at each fault: {least_busy} or more",
            f"signs {dict(verdict.signs)}",
        ]
    )


def _counts(requests: Counter[Outcome]) -> dict[str, int]:
    return {outcome.value: count for outcome, count in requests.items()}


def _without_seed(arguments: list[str]) -> list[str]:
    if "--seed" not in arguments:
        return arguments
    place = arguments.index("--seed")
    return arguments[:place] + arguments[place + 2 :]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
