"""Writes docs/benchmarks.md from the results."""

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.catalogue import MEASURES
from benchmarks.flame_graphs import GRAPHS
from benchmarks.machine import ROOT
from benchmarks.measure import FASTAPI, OPERATED, TASKMILL, Measure
from benchmarks.peers.catalogue import PEERS
from benchmarks.peers.peer import Peer
from benchmarks.results import Quantity, Sample, medians, of_newest_commit, read_samples
from benchmarks.targets import TARGETS, Judgement, as_operated, judge

REPORT = ROOT / "docs" / "benchmarks.md"

REFERENCE_FASTAPI_PER_SECOND = 11_000
"""What the empty FastAPI endpoint does on the machine that the peers' reference figures come from."""

MIS_SET_BELOW = 0.8

NOISY_ABOVE = 0.1
"""The part of all cores that others may take before figures are worth little."""

_REFERENCED = {"process-64": "process", "process-batch": "process", "batch": "enqueue"}
"""Which command of a peer's client a measure asks for."""

_HEAD = """# Benchmarks: Taskmill beside what people would use instead

Made by `make bench` from [benchmarks.jsonl](benchmarks.jsonl), which has a line for every sample that was
taken. This page shows the newest commit that was measured. Each figure is the median of at least three samples;
contenders take turns, and all of them, servers and load generators included, share one machine.
"""

_AGAIN = """## Measure again

```console
make bench                                        # what has no result of this commit yet; may be stopped
make bench-quick                                  # 3 minutes, no peers: fails below what must be reached
make bench-quick BENCH_OPTIONS=--operated         # the same with an API key required, and metrics read
.venv/bin/python -m benchmarks --only create-64   # one measure; --list tells their names
.venv/bin/python -m benchmarks --flame-graphs     # the two pictures
```

wrk has to be installed. `redis-server` is installed by apt-get where root runs the suite; the peers are installed into
`.data/benchmarks`, with the versions that `benchmarks/peers/*/requirements.txt` pin. NATS and PostgreSQL are those of
`make run`. Nothing else should run meanwhile: the column *others' CPU* tells what did."""

_OPERATED = """## With keys and metrics

What is said above is Taskmill as `make run` starts it, where whoever is on the machine is let in. *Operated*, it wants
an API key of whoever asks, and tells metrics, which are read of every process every 15 s. On NATS each service has its
own user and permissions in both. The two take turns with the others."""

_COMPARABLE = """## What is comparable, and what is not

- **Taskmill pays for more.** Its tasks come over HTTP, are checked, and are committed in PostgreSQL before the answer;
  each has its events in a log, on NATS and over REST; attempts, leases and fences are kept. Peers are fed by their own
  client in a process of its own, without HTTP.
- **Durability differs.** PostgreSQL runs with `synchronous_commit` on for all who use it. Redis runs with its defaults,
  which write a snapshot now and then: Celery's queue, and the results of Celery and taskiq, are lost in part when Redis
  dies. Celery acknowledges a task before it runs, so that one is lost with its worker; that is its default, too.
- **What is kept differs.** pgqueuer removes a task that is done and writes a line into its log; Celery and taskiq keep
  the result for a time; procrastinate and Taskmill keep the task.
- **Ends are seen differently.** For Taskmill, procrastinate and pgqueuer PostgreSQL is asked every 50 ms whether
  anything is unfinished; for Celery and taskiq Redis is asked for the keys of the results. An end is seen up to 50 ms
  late, after some seconds of work.
- **The clients share the cores.** Those of the peers are Python, as an application that enqueues is. Taskmill's is
  wrk, which takes little; the gateway takes the place of a client in Python.
- **The empty endpoints** check the same body and do nothing with it, on the uvicorn, uvloop and httptools that the
  gateway has. No durable service on FastAPI that makes use of it for every request can be faster than the first."""


def write_report() -> None:
    """Write the page anew."""
    REPORT.write_text(render(read_samples()))


def render(samples: Sequence[Sample]) -> str:
    """The whole page."""
    newest = of_newest_commit(samples) if samples else []
    measured = medians(newest)
    sections = [
        _HEAD,
        *_place(newest),
        *_targets(measured),
        *_shortfalls(newest, measured),
        "",
        *_operated(measured),
        _AGAIN,
        "",
        _COMPARABLE,
        "",
        "## Every figure",
        *(line for measure in MEASURES for line in _measure(measure, newest, measured)),
        "",
        *_pictures(),
        *_peers(newest),
    ]
    return "\n".join(sections) + "\n"


def _place(samples: Sequence[Sample]) -> Iterator[str]:
    for place in dict.fromkeys((sample.commit, sample.machine) for sample in samples):
        yield f"Commit {place[0]}, on {place[1]}."
    versions: dict[str, str] = {}
    for sample in samples:
        if sample.contender not in {peer.name for peer in PEERS}:
            versions.update(sample.versions)
    if versions:
        yield "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + "."
    yield ""


def _targets(measured: Mapping[Quantity, float]) -> Iterator[str]:
    yield "## What must be reached"
    yield ""
    yield "| measure | must | goal | measured | Taskmill | the other | |"
    yield "|---|---|---|---|---|---|---|"
    for target in TARGETS:
        judgement = judge(target, measured)
        sign, unit = ("≤ " if target.is_limit else "≥ "), (f" {target.unit}" if target.unit else "")
        yield (
            f"| {target.title} | {sign}{target.must:g}{unit} | {sign}{target.goal:g}{unit} | "
            f"{'' if judgement.value is None else f'**{judgement.value:.2f}{unit}**'} | "
            f"{_parts(judgement)} | {judgement.verdict} |"
        )
    yield ""


def _operated(measured: Mapping[Quantity, float]) -> Iterator[str]:
    """Which targets are met as operators run it, and what that costs."""
    pairs = [(judge(target, measured), judge(target, as_operated(measured))) for target in TARGETS]
    told = [
        (came, operated)
        for came, operated in pairs
        if came.target.of.contender == TASKMILL and operated.value is not None
    ]
    if not told:
        return
    yield _OPERATED
    yield ""
    yield "| measure | must | as it comes | operated | |"
    yield "|---|---|---|---|---|"
    for came, operated in told:
        target = operated.target
        sign, unit = ("≤ " if target.is_limit else "≥ "), (f" {target.unit}" if target.unit else "")
        values = ["" if value is None else f"{value:.2f}{unit}" for value in (came.value, operated.value)]
        yield f"| {target.title} | {sign}{target.must:g}{unit} | {' | '.join(values)} | {operated.verdict} |"
    costs = [measured.get(Quantity("process-64", contender, "cpu_us")) for contender in (TASKMILL, OPERATED)]
    if all(costs):
        words = " and ".join(f"{cost:,.0f} µs" for cost in costs if cost)
        yield ""
        yield f"A task of `process-64` costs {words} of CPU, of all processes together."
    yield ""


def _parts(judgement: Judgement) -> str:
    if judgement.target.over is None:
        return " | "
    return " | ".join("" if part is None else _number(part) for part in (judgement.of, judgement.over))


def _shortfalls(samples: Sequence[Sample], measured: Mapping[Quantity, float]) -> Iterator[str]:
    """What of the table to take with care: who is left out, failed, was disturbed, or is slower than it should be."""
    for name, reason in dict.fromkeys((sample.contender, sample.left_out) for sample in samples if sample.left_out):
        yield f"- **Left out: {name}.** {reason}."
    for sample in samples:
        if sample.failed:
            yield f"- **A sample is missing:** {sample.contender} in `{sample.measure}`. {sample.failed}."
    noisy = {sample.measure: sample.others_cpu for sample in sorted(samples, key=lambda sample: sample.others_cpu)}
    if noise := [f"`{measure}` {part:.0%}" for measure, part in noisy.items() if part > NOISY_ABOVE]:
        yield (
            f"- **Noisy:** others took more than {NOISY_ABOVE:.0%} of all cores during samples of {', '.join(noise)}. "
            "What is said of these would have to be measured again on a quiet machine."
        )
    yield from _peers_held_against_their_references(measured)


def _peers_held_against_their_references(measured: Mapping[Quantity, float]) -> Iterator[str]:
    empty = measured.get(Quantity("create-64", FASTAPI, "per_second"))
    if empty is None:
        yield "- Without a figure of the empty FastAPI endpoint nobody can say whether the peers are set well."
        return
    scale = empty / REFERENCE_FASTAPI_PER_SECOND
    yield (
        f"- The empty FastAPI endpoint does {empty:,.0f} requests/s here, and {REFERENCE_FASTAPI_PER_SECOND:,} on the "
        f"machine that the peers' reference figures come from. These are scaled by {scale:.2f}; a peer below "
        f"{MIS_SET_BELOW:.0%} of that is mis-set, and what Taskmill is held against is then too little."
    )
    for peer in PEERS:
        for measure, command in _REFERENCED.items():
            value = measured.get(Quantity(measure, peer.name, "per_second"))
            if value is None:
                continue
            part = value / (peer.reference[command] * scale)
            word = "as it should be" if part >= MIS_SET_BELOW else "**mis-set**"
            yield (
                f"- {peer.title} in `{measure}`: {value:,.0f} tasks/s, {part:.0%} of its reference "
                f"({peer.reference[command] * scale:,.0f}): {word}."
            )


def _measure(measure: Measure, samples: Sequence[Sample], measured: Mapping[Quantity, float]) -> Iterator[str]:
    of_this = [sample for sample in samples if sample.measure == measure.name and sample.figures]
    if not of_this:
        return
    contenders = list(dict.fromkeys(sample.contender for sample in of_this))
    figures = list(dict.fromkeys(figure for sample in of_this for figure in sample.figures))
    yield ""
    yield f"### {measure.name}"
    yield measure.about
    yield ""
    yield "| | " + " | ".join(contenders) + " |"
    yield "|---" * (len(contenders) + 1) + "|"
    for figure in figures:
        values = [measured.get(Quantity(measure.name, contender, figure)) for contender in contenders]
        yield f"| {_words(figure)} | " + " | ".join("" if value is None else _number(value) for value in values) + " |"
    yield "| samples | " + " | ".join(str(len(_others(of_this, name))) for name in contenders) + " |"
    yield "| others' CPU | " + " | ".join(f"{max(_others(of_this, name)):.0%}" for name in contenders) + " |"


def _others(samples: Sequence[Sample], contender: str) -> Sequence[float]:
    return [sample.others_cpu for sample in samples if sample.contender == contender]


def _pictures() -> Iterator[str]:
    drawn = [graph for graph in GRAPHS if graph.file.exists()]
    if not drawn:
        return
    yield "## Where the time goes"
    yield "By py-spy, 10 s under the load of `process-64`; open a picture by itself to search in it."
    for graph in drawn:
        yield f"- [{graph.process}]({graph.file.relative_to(REPORT.parent)})"
    yield ""


def _peers(samples: Sequence[Sample]) -> Iterator[str]:
    yield "## How the peers are set"
    for peer in PEERS:
        yield ""
        yield f"### {peer.title}"
        yield _versions(peer, samples)
        for setting in peer.settings:
            yield f"- {setting.text} ([documentation]({setting.page}))"


def _versions(peer: Peer, samples: Sequence[Sample]) -> str:
    told = [sample.versions for sample in samples if sample.contender == peer.name and sample.versions]
    words = ", ".join(f"{name} {version}" for name, version in told[-1].items()) if told else "not measured"
    folder = peer.folder.relative_to(ROOT)
    return f"{words}; its programs are in [{folder}](../{folder})."


def _words(figure: str) -> str:
    """`p50_ms` as "p50 ms", `cpu_us_task-store` as "cpu us task-store"."""
    return figure.replace("_", " ")


def _number(value: float) -> str:
    """Three or more digits that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
