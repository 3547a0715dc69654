"""What a monitor is told."""

from datetime import UTC, datetime
from typing import Any

import pytest

from taskmill.cli.commands.top import _Picture, _summary
from taskmill.cli.diagnosis.gateway import _fleet
from taskmill.cli.diagnosis.remark import Level
from taskmill.cli.findings import Limits, Severity, judge
from taskmill.contracts.fleet import Depth, ProcessorInfo, QueueInfo
from taskmill.contracts.health import Components, Health, HealthStatus
from taskmill.contracts.requests import ComponentState, FleetSummary, UnknownKind

UP, DOWN, UNKNOWN = ComponentState.UP, ComponentState.DOWN, ComponentState.UNKNOWN
WELL = Health(status=HealthStatus.OK, components=Components(nats=UP, store=UP, postgresql=UP))


def queue(name: str = "default", *, waiting: int = 0, age: float | None = None, **fields: Any) -> QueueInfo:
    """A queue that is served, unless said otherwise."""
    values: dict[str, Any] = {
        "is_paused": False,
        "depth": Depth(critical=0, high=0, medium=waiting, low=0),
        "scheduled": 0,
        "oldest_age_seconds": age,
        "in_progress": 0,
        "processor_count": 1,
        "processors": [],
    }
    return QueueInfo(name=name, **(values | fields))


def processor(*, is_draining: bool = False) -> ProcessorInfo:
    """A processor."""
    return ProcessorInfo(
        id="p1",
        queues=["default"],
        kinds=["echo"],
        slots=1,
        running=0,
        software_version="1",
        last_seen_at=datetime.now(UTC),
        is_draining=is_draining,
    )


def test_all_is_well() -> None:
    """One line says so, with what was measured."""
    report = judge(WELL, [queue(waiting=2, age=1.5)], [processor(), processor(is_draining=True)], Limits())
    assert report.severity is Severity.OK
    assert report.line() == (
        "OK: queues 1, queued 2, processors 1 | queued=2 oldest_seconds=1.5 running=0 processors=1"
    )


def test_a_part_is_down() -> None:
    """Nothing else is told."""
    health = Health(status=HealthStatus.DEGRADED, components=Components(nats=UP, store=DOWN, postgresql=UNKNOWN))
    assert judge(health, [], [], Limits()).line() == "CRITICAL: store is down, postgresql is unknown"


@pytest.mark.parametrize(
    ("found", "limits", "severity"),
    [
        (queue(waiting=5, age=10), Limits(max_age_seconds=10, max_depth=5), Severity.OK),
        (queue(waiting=6), Limits(max_depth=5), Severity.CRITICAL),
        (queue(waiting=6), Limits(warn_depth=5, max_depth=10), Severity.WARNING),
        (queue(waiting=1, age=11), Limits(max_age_seconds=10), Severity.CRITICAL),
        (queue(waiting=1, age=11), Limits(warn_age_seconds=10), Severity.WARNING),
        (queue(waiting=1), Limits(max_depth=0), Severity.CRITICAL),
        (queue(waiting=1, processor_count=0), Limits(), Severity.CRITICAL),
        (queue(processor_count=0), Limits(), Severity.OK),
        (queue(waiting=1, is_paused=True), Limits(), Severity.WARNING),
        (queue(is_paused=True, processor_count=0), Limits(), Severity.OK),
    ],
)
def test_a_queue(found: QueueInfo, limits: Limits, severity: Severity) -> None:
    """It is bad beyond a limit, not at it; when nobody serves what waits; and when what waits is paused."""
    assert judge(WELL, [found], [], limits).severity is severity


def test_the_worst_comes_first() -> None:
    """The line begins with it, and the document has all."""
    report = judge(
        WELL,
        [queue("a", waiting=1, is_paused=True), queue("b", waiting=9, processor_count=0)],
        [],
        Limits(),
    )
    assert report.findings == ["nobody serves queue b, tasks waiting: 9", "queue a is paused, tasks waiting: 1"]
    assert report.document()["status"] == "critical"


def test_only_some_queues() -> None:
    """Others are left out; one that is named must be there, and be served."""
    queues = [queue("a"), queue("b", waiting=9, processor_count=0)]
    assert judge(WELL, queues, [], Limits(), ["a"]).severity is Severity.OK
    assert judge(WELL, queues, [], Limits(), ["c"]).findings == ["there is no queue c"]
    assert judge(WELL, [queue("a", processor_count=0)], [], Limits(), ["a"]).severity is Severity.CRITICAL


def test_kinds_that_nobody_knows() -> None:
    """A warning for each, in the queues that are looked at; and one for kinds that processors disagree on."""
    fleet = FleetSummary(
        processors=1,
        paused_queues=0,
        unserved_queues=[],
        unknown_kinds=[UnknownKind(queue="media", kind="thumb")],
        differing_kinds=["echo"],
    )
    health = WELL.model_copy(update={"fleet": fleet})
    report = judge(health, [queue("media")], [processor()], Limits())
    assert (report.severity, report.findings) == (
        Severity.WARNING,
        [
            "tasks of the kind thumb wait in queue media, where no processor knows it",
            "processors declare different things for: echo",
        ],
    )
    assert len(judge(health, [queue("web")], [processor()], Limits(), ["web"]).findings) == 1
    assert [(remark.what, remark.level) for remark in _fleet(health)][1:] == [("kinds", Level.WARN)] * 2
    assert "thumb in media" in _summary(_Picture(health, [], []))
