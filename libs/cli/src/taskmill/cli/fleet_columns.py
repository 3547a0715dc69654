"""How queues, processors and kinds look in tables."""

from typing import Any

from taskmill.cli.output import Column
from taskmill.cli.wording import age, duration, instant
from taskmill.contracts.fleet import ProcessorInfo, QueueInfo
from taskmill.contracts.kinds import KnownKind
from taskmill.contracts.tasks import DEFAULT_QUEUE


def depth(queue: QueueInfo) -> int:
    """How many tasks of a queue are queued."""
    return queue.depth.critical + queue.depth.high + queue.depth.medium + queue.depth.low


def _by_priority(queue: QueueInfo) -> str:
    found = queue.depth
    return f"critical {found.critical}, high {found.high}, medium {found.medium}, low {found.low}"


def _rate(queue: QueueInfo) -> str | None:
    return None if queue.finished_per_second is None else f"{queue.finished_per_second:.1f}"


def queue_state(queue: QueueInfo) -> str:
    """What keeps a queue from being worked off, if anything does."""
    if queue.is_paused:
        return "paused"
    return "served" if queue.processor_count else "unserved"


def processor_state(processor: ProcessorInfo) -> str:
    """Whether a processor takes work."""
    return "draining" if processor.is_draining else "working"


def _fields(schema: dict[str, Any] | None) -> str | None:
    """What payloads hold, by their schema; None: there is no schema."""
    if schema is None:
        return None
    fields, required = schema.get("properties"), schema.get("required")
    if not isinstance(fields, dict):
        return str(schema.get("type", "any"))
    return ",".join(f"{name}*" if isinstance(required, list) and name in required else name for name in fields)


QUEUES: list[Column[QueueInfo]] = [
    Column("QUEUE", lambda queue: queue.name),
    Column("STATE", queue_state),
    Column("QUEUED", depth),
    Column("OLDEST", lambda queue: duration(queue.oldest_age_seconds)),
    Column("SCHEDULED", lambda queue: queue.scheduled),
    Column("RUNNING", lambda queue: queue.in_progress),
    Column("DONE/S", _rate),
    Column("PROCESSORS", lambda queue: queue.processor_count),
]
"""A line for each."""

QUEUE: list[Column[QueueInfo]] = [
    Column("queue", lambda queue: queue.name),
    Column("state", queue_state),
    Column("paused", lambda queue: instant(queue.paused_at)),
    Column("queued", depth),
    Column("by priority", _by_priority),
    Column("oldest", lambda queue: duration(queue.oldest_age_seconds)),
    Column("scheduled", lambda queue: queue.scheduled),
    Column("running", lambda queue: queue.in_progress),
    Column("done a second", _rate),
    Column("processors", lambda queue: ", ".join(queue.processors)),
]
"""All that is told of one."""

PROCESSORS: list[Column[ProcessorInfo]] = [
    Column("PROCESSOR", lambda processor: processor.id),
    Column("STATE", processor_state),
    Column("RUNNING", lambda processor: f"{processor.running}/{processor.slots}"),
    Column("SEEN", lambda processor: age(processor.last_seen_at)),
    Column("UP", lambda processor: age(processor.started_at)),
    Column("VERSION", lambda processor: processor.software_version),
    Column("QUEUES", lambda processor: ",".join(processor.queues), may_be_cut=True),
    Column("KINDS", lambda processor: ",".join(processor.kinds), may_be_cut=True),
]
"""A line for each."""

KINDS: list[Column[KnownKind]] = [
    Column("KIND", lambda kind: kind.kind),
    Column("STATE", lambda kind: "served" if kind.is_served else "unserved"),
    Column("QUEUE", lambda kind: kind.defaults.queue or DEFAULT_QUEUE),
    Column("ATTEMPTS", lambda kind: kind.defaults.max_attempts or 1),
    Column("TIMEOUT", lambda kind: duration(kind.defaults.timeout_seconds)),
    Column("PAYLOAD", lambda kind: _fields(kind.payload_schema), may_be_cut=True),
]
"""A line for each; of the payload the names of its fields, those that are required with a `*`."""
