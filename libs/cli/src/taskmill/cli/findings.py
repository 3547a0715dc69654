"""What a monitor makes of health, queues and processors: pure rules."""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from taskmill.cli.fleet_columns import depth
from taskmill.contracts.fleet import ProcessorInfo, QueueInfo
from taskmill.contracts.health import Health, HealthStatus


class Severity(IntEnum):
    """How bad it is: the exit codes of monitoring plugins."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


class Limits(NamedTuple):
    """From when on it is bad; None: never."""

    warn_age_seconds: float | None = None
    max_age_seconds: float | None = None
    warn_depth: int | None = None
    max_depth: int | None = None


class Report(NamedTuple):
    """What was found."""

    severity: Severity
    findings: list[str]
    """What is bad, the worst first; if nothing is, what there is."""
    measured: dict[str, float]

    def line(self) -> str:
        """In one line, with what was measured behind `|`, as monitoring plugins print it."""
        measured = " ".join(f"{name}={value:g}" for name, value in self.measured.items())
        return f"{self.severity.name}: {'; '.join(self.findings)}" + (f" | {measured}" if measured else "")

    def document(self) -> dict[str, Any]:
        """The same for JSON."""
        return {"status": self.severity.name.lower(), "findings": self.findings, "measured": self.measured}


class _Finding(NamedTuple):
    severity: Severity
    text: str


def judge(
    health: Health,
    queues: Sequence[QueueInfo],
    processors: Sequence[ProcessorInfo],
    limits: Limits,
    wanted: Sequence[str] = (),
) -> Report:
    """Say how everything is.

    Args:
        health: Of the parts. When one is down, nothing else is judged.
        queues: All queues.
        processors: All processors.
        limits: Of depth and age.
        wanted: Only these queues, which must be served even if nothing waits; empty: all.
    """
    if health.status is not HealthStatus.OK:
        down = ", ".join(f"{part} is {state}" for part, state in health.components if state != "up")
        return Report(Severity.CRITICAL, [down], {})
    looked_at = [queue for queue in queues if not wanted or queue.name in wanted]
    missing = sorted(set(wanted) - {queue.name for queue in looked_at})
    findings = [_Finding(Severity.CRITICAL, f"there is no queue {name}") for name in missing]
    findings += [finding for queue in looked_at for finding in _findings(queue, limits, is_wanted=bool(wanted))]
    findings += _findings_of_kinds(health, wanted)
    findings.sort(key=lambda finding: -finding.severity)
    oldest = max((queue.oldest_age_seconds or 0.0 for queue in looked_at), default=0.0)
    measured = {
        "queued": sum(map(depth, looked_at)),
        "oldest_seconds": round(oldest, 3),
        "running": sum(queue.in_progress for queue in looked_at),
        "processors": sum(not processor.is_draining for processor in processors),
    }
    if not findings:
        fine = f"queues {len(looked_at)}, queued {measured['queued']:g}, processors {measured['processors']:g}"
        return Report(Severity.OK, [fine], measured)
    return Report(findings[0].severity, [finding.text for finding in findings], measured)


def _findings(queue: QueueInfo, limits: Limits, *, is_wanted: bool) -> Iterator[_Finding]:
    waiting = depth(queue)
    if queue.is_paused:
        if waiting:
            yield _Finding(Severity.WARNING, f"queue {queue.name} is paused, tasks waiting: {waiting}")
    elif queue.processor_count == 0 and (waiting or is_wanted):
        yield _Finding(Severity.CRITICAL, f"nobody serves queue {queue.name}, tasks waiting: {waiting}")
    age = queue.oldest_age_seconds
    if age is not None and (severity := _beyond(age, limits.warn_age_seconds, limits.max_age_seconds)):
        yield _Finding(severity, f"the oldest task of queue {queue.name} waits for {age:.0f} s")
    if severity := _beyond(waiting, limits.warn_depth, limits.max_depth):
        yield _Finding(severity, f"queue {queue.name}, tasks waiting: {waiting}")


def _findings_of_kinds(health: Health, wanted: Sequence[str]) -> Iterator[_Finding]:
    if health.fleet is None:
        return
    for unknown in health.fleet.unknown_kinds:
        if not wanted or unknown.queue in wanted:
            text = f"tasks of the kind {unknown.kind} wait in queue {unknown.queue}, where no processor knows it"
            yield _Finding(Severity.WARNING, text)
    if health.fleet.differing_kinds:
        text = f"processors declare different things for: {', '.join(health.fleet.differing_kinds)}"
        yield _Finding(Severity.WARNING, text)


def _beyond(value: float, warn: float | None, worst: float | None) -> Severity:
    if worst is not None and value > worst:
        return Severity.CRITICAL
    return Severity.WARNING if warn is not None and value > warn else Severity.OK
