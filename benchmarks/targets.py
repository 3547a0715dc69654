"""What must be reached, what is wanted, and how a figure is judged. The lines of the table, in its order."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.measure import FASTAPI, OPERATED, TASKMILL
from benchmarks.measures.processing import TWO_PROCESSORS
from benchmarks.measures.reading import FEW, MANY
from benchmarks.measures.turns import ALONE, BESIDE, MANY_KEYS, ONE_KEY
from benchmarks.peers.catalogue import CELERY, PGQUEUER, PROCRASTINATE, TASKIQ
from benchmarks.results import Quantity


class Verdict(StrEnum):
    """How a target came out."""

    GOAL = "goal met"
    MUST = "must met"
    MISSED = "missed"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the table.

    Attributes:
        title: What people read.
        of: What is judged.
        over: What it is divided by; None for nothing.
        must: What has to be reached.
        goal: What is wanted.
        is_limit: Whether less is better.
        unit: Of what is judged, such as "ms"; empty for a ratio.
    """

    title: str
    of: Quantity
    over: Quantity | None
    must: float
    goal: float
    is_limit: bool = False
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A target beside what was measured. `value` is what is held against it; None when something is missing."""

    target: Target
    of: float | None
    over: float | None
    value: float | None
    verdict: Verdict


def judge(target: Target, measured: Mapping[Quantity, float]) -> Judgement:
    """Hold a target against the medians."""
    of, over = measured.get(target.of), None if target.over is None else measured.get(target.over)
    if of is None or (target.over is not None and not over):
        return Judgement(target, of, over, None, Verdict.NOT_MEASURED)
    value = of / over if over else of
    return Judgement(target, of, over, value, _verdict(target, value))


def as_operated(measured: Mapping[Quantity, float]) -> Mapping[Quantity, float]:
    """Put what Taskmill does as it is operated in the place of what it does as it comes; the others stay."""
    others = {quantity: value for quantity, value in measured.items() if quantity.contender not in {TASKMILL, OPERATED}}
    operated = {quantity: value for quantity, value in measured.items() if quantity.contender == OPERATED}
    return {**others, **{quantity._replace(contender=TASKMILL): value for quantity, value in operated.items()}}


def _verdict(target: Target, value: float) -> Verdict:
    sign = -1 if target.is_limit else 1
    if sign * value >= sign * target.goal:
        return Verdict.GOAL
    return Verdict.MUST if sign * value >= sign * target.must else Verdict.MISSED


def _ours(measure: str, figure: str = "per_second") -> Quantity:
    return Quantity(measure, TASKMILL, figure)


def _theirs(measure: str, contender: str, figure: str = "per_second") -> Quantity:
    return Quantity(measure, contender, figure)


def _limit(title: str, of: Quantity, must: float, goal: float, unit: str) -> Target:
    return Target(title, of, None, must, goal, is_limit=True, unit=unit)


def _growth(title: str, figure: str) -> Target:
    return Target(
        f"{title}, p50: with 1,000,000 tasks ÷ with 10,000",
        Quantity("reads", MANY, figure),
        Quantity("reads", FEW, figure),
        1.5,
        1.2,
        is_limit=True,
    )


_PROCESSED = "`POST /tasks` with `process`, 64 connections, to completed, 1 processor"

TARGETS = (
    Target(
        "durable `POST /tasks`, 64 connections ÷ empty FastAPI endpoint",
        _ours("create-64"),
        _theirs("create-64", FASTAPI),
        0.8,
        1.0,
    ),
    _limit("durable `POST /tasks`, 1 connection: p50", _ours("create-1", "p50_ms"), 1.5, 1.0, "ms"),
    Target(
        "`POST /tasks/batch` of 100, 8 connections ÷ pgqueuer's bulk enqueue",
        _ours("batch"),
        _theirs("batch", PGQUEUER.name),
        0.3,
        0.5,
    ),
    Target(f"{_PROCESSED} ÷ {TASKIQ.title}", _ours("process-64"), _theirs("process-64", TASKIQ.name), 1.0, 1.3),
    Target(f"… ÷ {CELERY.title}", _ours("process-64"), _theirs("process-64", CELERY.name), 3.5, 4.0),
    Target(f"… ÷ {PROCRASTINATE.title}", _ours("process-64"), _theirs("process-64", PROCRASTINATE.name), 5.0, 6.0),
    Target(
        "batches with `process`, to completed, 1 processor ÷ pgqueuer, fed in bulk",
        _ours("process-batch"),
        _theirs("process-batch", PGQUEUER.name),
        0.6,
        1.0,
    ),
    Target(
        "a handler that waits 50 ms, 10 slots each: 2 processors ÷ 1",
        _theirs("two-processors", TWO_PROCESSORS),
        _ours("two-processors"),
        1.9,
        1.97,
    ),
    Target(
        f"idle: POST with `process` to completed, p50 ÷ {CELERY.title}",
        _ours("idle-latency", "p50_ms"),
        _theirs("idle-latency", CELERY.name, "p50_ms"),
        2.0,
        1.0,
        is_limit=True,
    ),
    _limit("idle: the same, p99", _ours("idle-latency", "p99_ms"), 10, 5, "ms"),
    _limit("at half of the highest rate: POST to completed, p99", _ours("half-rate", "p99_ms"), 100, 40, "ms"),
    _limit("idle: an event to a client that follows over SSE, p99", _ours("follow-1", "p99_ms"), 20, 10, "ms"),
    _limit("idle: CPU of the busiest process", _ours("idle", "cpu_percent_of_the_busiest"), 1, 0.3, "%"),
    _limit("RSS of the processor", _ours("idle", "rss_mb_processor-1"), 60, 50, "MB"),
    _limit("RSS of the task store", _ours("idle", "rss_mb_task-store"), 100, 80, "MB"),
    _limit("RSS of the gateway", _ours("idle", "rss_mb_gateway"), 90, 75, "MB"),
    _growth("get", "get_p50_ms"),
    _growth("first page", "first_page_p50_ms"),
    _growth("deep page", "deep_page_p50_ms"),
    _limit("search in titles, 800 matches among 1,000,000, p50", Quantity("reads", MANY, "search_p50_ms"), 10, 3, "ms"),
    Target(
        "a turn among 1,000,000 waiting tasks, CPU of task store and PostgreSQL: 10,000 keys ÷ 1",
        Quantity("turns", MANY_KEYS, "dispatch_cpu_us"),
        Quantity("turns", ONE_KEY, "dispatch_cpu_us"),
        1.5,
        1.2,
        is_limit=True,
    ),
    Target(
        "10 tasks of a key, p50: beside 100,000 of another ÷ alone",
        Quantity("fair", BESIDE, "p50_ms"),
        Quantity("fair", ALONE, "p50_ms"),
        2.0,
        1.7,
        is_limit=True,
    ),
)
