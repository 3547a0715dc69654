"""Writes docs/reliability.md from the results of the rounds: `python -m tests.chaos.report`."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.machine import ROOT
from tests.chaos.rounds import RESULTS, read_results

REPORT = ROOT / "docs" / "reliability.md"

Result = Mapping[str, Any]

_OF_THE_RUN = {"every_fault_happened"}
"""What says that a fault could not be inflicted: no promise was broken, and the round is run again."""

_HEAD = """# Reliability: what a thousand kills showed

Made by `.venv/bin/python -m tests.chaos.report` from [reliability.jsonl](reliability.jsonl), which has a line for every
round that was run, failed ones included. `make chaos-full` runs the rounds that have no clean result of the present
code yet; what is claimed below rests on the rounds of the newest commit alone.

In each round the real processes (a gateway, two task stores, four processors, nats-server, PostgreSQL) serve a steady
load, and are killed and hindered meanwhile, often before they have recovered from the time before. A fault is inflicted
when 50 tasks or more are in progress. Afterwards everything is healed, and [the checker](../tests/chaos/checker) holds
what clients were told, what handlers did, what a subscriber received and what PostgreSQL has against each other.
That the checker finds mistakes, too, is shown by [those that were planted](mutants.md).
"""


def render(results: Sequence[Result]) -> str:
    """The whole page."""
    newest = [result for result in results if result["commit"] == results[-1]["commit"]]
    return "\n".join(
        [
            _HEAD,
            *_bound(newest),
            "",
            *_rounds(results),
            "",
            *_faults(newest),
            "",
            *_surroundings(results),
            "",
        ]
    )


def write_report() -> None:
    """Write the page anew."""
    REPORT.write_text(render(read_results(RESULTS)))


def _bound(results: Sequence[Result]) -> Iterator[str]:
    failures = sum(bool(result["violations"].keys() - _OF_THE_RUN) for result in results)
    results = [result for result in results if not result["violations"].keys() - _OF_THE_RUN]
    missed = sum(bool(result["violations"]) for result in results)
    kills, accepted = (sum(result.get(name, 0) for result in results) for name in ("kills", "accepted"))
    hours = sum(result["seconds"] for result in results) / 3_600
    rounds = f"{len(results)} rounds, {hours:.1f} hours in sum"
    yield f"**{kills:,} kills over {accepted:,} accepted tasks in {rounds}.**"
    if missed:
        yield f"In {missed} of these one fault could not be inflicted; everything else was, and was checked."
    if failures:
        yield f"**In {failures} more a promise was broken**: the table says which. Nothing is bounded"
        yield "until what they found is mended, and the rounds are run again."
    elif kills:
        yield f"No violation. None in {kills:,} does not mean never: by the rule of three less than {300 / kills:.2f} %"
        yield "of kills violate anything, with 95 % confidence, for this load, these faults and these timers."


def _rounds(results: Sequence[Result]) -> Iterator[str]:
    yield "## Every round that was run"
    yield (
        "| round | seed | commit | began | minutes | accepted | kills | other faults "
        "| in progress, at least | load average before | ended |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for result in results:
        others = sum(result["faults"].values()) - result["kills"]
        yield (
            f"| {result['round']} | {result['seed']} | {result['commit']} | {result['began_at'][:16]} | "
            f"{result['seconds'] / 60:.1f} | {result['accepted']:,} | {result['kills']} | {others} | "
            f"{result['least_in_progress']} | {result['load_average']} | {_ending(result)} |"
        )


def _ending(result: Result) -> str:
    if result["violations"] and not result["violations"].keys() - _OF_THE_RUN:
        missed = sum(result["violations"].values())
        return "; ".join([f"clean, {missed} fault{'s' * (missed > 1)} missed", *result["shortcomings"]])
    reasons = [*(f"{name} ({count})" for name, count in result["violations"].items()), *result["shortcomings"]]
    return ": ".join(filter(None, (str(result["status"]), "; ".join(reasons))))


def _faults(results: Sequence[Result]) -> Iterator[str]:
    total: Counter[str] = Counter()
    for result in results:
        total.update(result["faults"])
    yield "## How often each fault was inflicted in the rounds of the newest commit"
    yield "| fault | times |"
    yield "|---|---|"
    for name, times in sorted(total.items()):
        yield f"| {name} | {times} |"


def _surroundings(results: Sequence[Result]) -> Iterator[str]:
    yield "## Where"
    for place in dict.fromkeys(_place(result) for result in results):
        yield f"- {place}"


def _place(result: Result) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return f"{result['machine']}; {versions}"


if __name__ == "__main__":
    write_report()
