"""The benchmark suite: `python -m benchmarks` measures what has no complete result of this code yet."""

import argparse
import asyncio
import sys

from benchmarks.catalogue import MEASURES, QUICK, QUICK_OPERATED
from benchmarks.flame_graphs import draw_flame_graphs
from benchmarks.machine import code_commit
from benchmarks.measure import OPERATED, ROUNDS, STARLETTE, TASKMILL
from benchmarks.peers.catalogue import PEERS
from benchmarks.report import write_report
from benchmarks.results import Sample, is_complete, keep_sample, medians, read_samples
from benchmarks.suite import run_measures
from benchmarks.targets import TARGETS, Verdict, as_operated, judge

EXIT_MET, EXIT_MISSED = 0, 1


def main(arguments: list[str] | None = None) -> int:
    """Run the suite.

    Returns:
        The exit code: 0; with `--quick` 1 when something misses what it must reach, or could not be measured.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.operated and not options.quick:
        parser.error("--operated goes with --quick: without it, both ways are measured in turn")
    if options.list:
        for measure in MEASURES:
            _say(f"{measure.name}: {measure.about}")
    elif options.quick:
        return _run_quick(is_operated=options.operated)
    elif options.flame_graphs:
        asyncio.run(draw_flame_graphs())
        write_report()
    elif options.report:
        write_report()
    else:
        _run(options.only)
    return EXIT_MET


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        choices=[measure.name for measure in MEASURES],
        metavar="NAME",
        help="this measure, even if it has results; may be repeated",
    )
    parser.add_argument("--list", action="store_true", help="say which measures there are")
    parser.add_argument("--quick", action="store_true", help="no peers, one round, nothing kept: 1 below a must")
    parser.add_argument(
        "--operated", action="store_true", help="with --quick: who asks needs an API key, and metrics are read"
    )
    parser.add_argument("--flame-graphs", action="store_true", help="draw docs/benchmarks/*.svg (needs root)")
    parser.add_argument("--report", action="store_true", help="write docs/benchmarks.md from the results once more")
    return parser


def _run(only: list[str] | None) -> None:
    samples, commit = read_samples(), code_commit()

    def is_wanted(name: str) -> bool:
        return name in only if only else not is_complete(samples, name, commit, ROUNDS)

    def keep(sample: Sample) -> None:
        _say_sample(sample)
        keep_sample(sample)

    try:
        measures = [measure for measure in MEASURES if is_wanted(measure.name)]
        asyncio.run(run_measures(measures, ROUNDS, keep))
    finally:
        write_report()


def _run_quick(*, is_operated: bool) -> int:
    samples: list[Sample] = []

    def keep(sample: Sample) -> None:
        _say_sample(sample)
        samples.append(sample)

    wanted, other = (QUICK_OPERATED, TASKMILL) if is_operated else (QUICK, OPERATED)
    measures = [measure for measure in MEASURES if measure.name in wanted]
    asyncio.run(run_measures(measures, 1, keep, without={STARLETTE, other, *(peer.name for peer in PEERS)}))
    measured = as_operated(medians(samples)) if is_operated else medians(samples)
    judgements = [judgement for target in TARGETS if (judgement := judge(target, measured)).value is not None]
    for judgement in judgements:
        target = judgement.target
        _say(
            f"{judgement.verdict}: {target.title}: {judgement.value:.2f} {target.unit}"
            f" (must {target.must:g}, goal {target.goal:g})"
        )
    is_met = all(judgement.verdict is not Verdict.MISSED for judgement in judgements)
    return EXIT_MET if is_met and not any(sample.failed or sample.left_out for sample in samples) else EXIT_MISSED


def _say_sample(sample: Sample) -> None:
    outcome = (
        sample.left_out or sample.failed or ", ".join(f"{key} {value:,.2f}" for key, value in sample.figures.items())
    )
    _say(f"{sample.measure}, {sample.contender}: {outcome} (others' CPU {sample.others_cpu:.0%})")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
