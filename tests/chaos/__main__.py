"""The chaos harness: `python -m tests.chaos` runs it; with `--check FOLDER` it only looks at a past run."""

import argparse
import asyncio
import json
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.chaos.artefacts import read_history
from tests.chaos.checker.history import History
from tests.chaos.checker.summary import story, summarise
from tests.chaos.checker.verdict import Verdict, judge
from tests.chaos.disks import can_mount
from tests.chaos.plan import DISK_FAULTS, Plan, round_plan, small_plan, usual_plan
from tests.chaos.report import write_report
from tests.chaos.rounds import FIRST_SEED, RESULTS, keep_result, run_missing_rounds, surroundings
from tests.chaos.run import run

EXIT_CODES = {"clean": 0, "violated": 1, "vacuous": 3}
MAX_STORIES = 3


def main(arguments: list[str] | None = None) -> int:
    """Run the harness.

    Returns:
        The exit code: 0 when every invariant holds, 1 when one is violated, 3 when the run was vacuous.
    """
    options = _parser().parse_args(arguments)
    if options.check:
        return EXIT_CODES[str(_conclude(read_history(options.check), options.check)["status"])]
    if options.full:
        return run_missing_rounds()
    if options.round is None:
        seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1_000_000)
        return EXIT_CODES[str(_run(options, seed)["status"])]
    return _run_round(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--full", action="store_true", help="a thousand kills: every round without a clean result")
    parser.add_argument("--round", type=int, metavar="N", help="one of these rounds; its result is kept")
    parser.add_argument("--seed", type=int, help="what follows from chance follows from it; unset: a new one")
    parser.add_argument("--fault", action="append", metavar="NAME[=TIMES]", help="only this fault; may be repeated")
    parser.add_argument("--tasks", type=int, default=300, help="with --fault: tasks to accept (300)")
    parser.add_argument("--stores", type=int, default=1, help="with --fault: task stores (1)")
    parser.add_argument("--gateways", type=int, default=1, help="with --fault: gateways (1)")
    parser.add_argument("--keep", action="store_true", help="keep the files of a clean run, too")
    parser.add_argument("--check", type=Path, metavar="FOLDER", help="check the files of a past run")
    return parser


def _run_round(options: argparse.Namespace) -> int:
    seed = options.seed if options.seed is not None else FIRST_SEED + options.round
    nothing = History()
    result = {"round": options.round, "seed": seed, **surroundings(), **summarise(nothing, judge(nothing))}
    result["status"] = "broke off"
    began = time.monotonic()
    try:
        result.update(_run(options, seed))
    finally:
        keep_result(RESULTS, {**result, "seconds": round(time.monotonic() - began)})
        write_report()
    return EXIT_CODES[result["status"]]


def _run(options: argparse.Namespace, seed: int) -> Mapping[str, Any]:
    directory = Path(tempfile.mkdtemp(prefix=f"taskmill-chaos-{seed}-"))
    # PostgreSQL may have to run as nobody, who has to get through to its own directory.
    directory.chmod(0o711)
    plan = _plan(options, directory)
    (directory / "run.json").write_text(json.dumps({"seed": seed, "plan": asdict(plan)}))
    _say(f"seed {seed}, {sum(plan.faults.values())} faults, {plan.tasks} tasks; files in {directory}")
    began = time.monotonic()
    history = asyncio.run(run(plan, seed, directory))
    _say(f"ran for {time.monotonic() - began:.0f} s")
    result = _conclude(history, directory)
    if result["status"] == "clean" and not options.keep:
        shutil.rmtree(directory)
    else:
        _say(f"again: the same command with --seed {seed}")
        _say(f"look again: {sys.executable} -m tests.chaos --check {directory}")
    return result


def _plan(options: argparse.Namespace, directory: Path) -> Plan:
    if options.fault:
        faults = {name: int(times or 1) for name, _, times in (fault.partition("=") for fault in options.fault)}
        return small_plan(tasks=options.tasks, stores=options.stores, gateways=options.gateways, faults=faults)
    if options.round is not None:
        return round_plan()
    has_own_disks = asyncio.run(can_mount(directory / "disk"))
    if not has_own_disks:
        _say(f"LEFT OUT, for want of root: {', '.join(DISK_FAULTS)}")
    return usual_plan(has_own_disks=has_own_disks)


def _conclude(history: History, directory: Path) -> Mapping[str, Any]:
    """Judge a run, say what was found, and return its figures."""
    verdict = judge(history)
    (directory / "verdict.json").write_text(json.dumps(asdict(verdict), indent=2))
    summary = summarise(history, verdict)
    for name, value in summary.items():
        _say(f"{name}: {value}")
    if verdict.violations:
        _say_violations(history, verdict)
    _say({"clean": "every invariant holds", "vacuous": "VACUOUS"}.get(verdict.status, "VIOLATED"))
    return {"status": verdict.status, **summary}


def _say_violations(history: History, verdict: Verdict) -> None:
    """What is needed to understand them, should these lines be all that is left of the run."""
    for fault in history.faults:
        _say(f"{time.strftime('%H:%M:%S', time.gmtime(fault.started_at))} {fault.name} {fault.target}")
    for name, violations in verdict.violations.items():
        _say(f"VIOLATED {name}")
        for violation in violations:
            _say(f"  {violation}")
    named = re.findall(r"task ([0-9a-f-]{36})", str(verdict.violations))
    for task_id in list(dict.fromkeys(named))[:MAX_STORIES]:
        _say("\n  ".join([f"STORY of task {task_id}", *story(history, task_id)]))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
