"""The fleet: which processors there are, and what waits in which queue; and how a queue is paused."""

from typing import Annotated

from pydantic import Field

from taskmill.contracts.limits import DEFAULT_PAGE_ITEMS, MAX_LISTED_PROCESSORS
from taskmill.contracts.requests import Cursor, PageLimit, Request
from taskmill.contracts.tasks import Instant, Kind, NextCursor, ProcessorId, Queue, WireModel


class ListProcessors(Request):
    """Read a page of the processors that live. Replied to with `ProcessorPage`."""

    limit: PageLimit = DEFAULT_PAGE_ITEMS
    cursor: Cursor | None = None


class ListQueues(Request):
    """Read a page of the queues. Replied to with `QueuePage`."""

    limit: PageLimit = DEFAULT_PAGE_ITEMS
    cursor: Cursor | None = None


class PauseQueue(Request):
    """Begin no more tasks of a queue. One that does not exist yet comes to exist. Replied to with `QueueInfo`."""

    name: Queue


class ResumeQueue(Request):
    """Begin tasks of a queue again. Replied to with `QueueInfo`."""

    name: Queue


class DrainProcessor(Request):
    """Have a processor drain, and end. Replied to with `DrainingProcessor`."""

    id: ProcessorId


class DrainingProcessor(WireModel):
    """A processor has heard that it is to drain, and begins."""

    id: ProcessorId


class ProcessorInfo(WireModel):
    """A processor, as it said of itself last."""

    id: ProcessorId
    queues: Annotated[list[Queue], Field(description="The queues that it serves.")]
    kinds: Annotated[list[Kind], Field(description="The kinds that it has handlers for.")]
    slots: Annotated[int, Field(ge=1, description="Handlers that it executes at once.")]
    running: Annotated[int, Field(ge=0, description="Handlers that ran when it was last seen.")]
    software_version: Annotated[str, Field(description="The version of its software.")]
    started_at: Annotated[
        Instant | None, Field(description="Since when it runs, by its own clock; null: an older one does not say.")
    ] = None
    last_seen_at: Annotated[Instant, Field(description="When a task store heard of it last; it speaks every 10 s.")]
    is_draining: Annotated[bool, Field(description="It takes no more work, and ends, or has ended since.")]


class ProcessorPage(WireModel):
    """A page of the processors that were heard of within the last 30 s, by their ids."""

    items: Annotated[list[ProcessorInfo], Field(description="By id.")]
    next_cursor: NextCursor = None


class Depth(WireModel):
    """How many tasks are queued, by priority."""

    critical: Annotated[int, Field(ge=0, description="Those that go first.")]
    high: Annotated[int, Field(ge=0, description="Those that go second.")]
    medium: Annotated[int, Field(ge=0, description="Those that go third.")]
    low: Annotated[int, Field(ge=0, description="Those that go last.")]


class QueueInfo(WireModel):
    """A queue, with what waits in it and who serves it."""

    name: Queue
    is_paused: Annotated[bool, Field(description="No task of it begins; what runs goes on to its end.")]
    paused_at: Annotated[Instant | None, Field(description="Since when it is paused; null: it is not.")] = None
    depth: Annotated[Depth, Field(description="Its tasks that are `queued`, by priority.")]
    scheduled: Annotated[int, Field(ge=0, description="Its tasks that are `scheduled`.")]
    oldest_age_seconds: Annotated[
        float | None, Field(ge=0, description="How long the oldest of its queued tasks is queued; null: none is.")
    ] = None
    in_progress: Annotated[int, Field(ge=0, description="Its tasks that are executed: `in_progress`, unless by hand.")]
    finished_per_second: Annotated[
        float | None,
        Field(
            ge=0,
            description="Runs of its tasks that ended, a second, over about the last minute, or since the task store "
            "that answers has started; null: it has just started.",
        ),
    ] = None
    processor_count: Annotated[int, Field(ge=0, description="How many living processors serve it.")]
    processors: Annotated[
        list[ProcessorId],
        Field(max_length=MAX_LISTED_PROCESSORS, description="Those that do, by id: the first 100. None that drains."),
    ]


class QueuePage(WireModel):
    """A page of the queues that there are, by their names."""

    items: Annotated[list[QueueInfo], Field(description="By name.")]
    next_cursor: NextCursor = None
