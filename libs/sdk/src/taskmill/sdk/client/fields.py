"""What callers may say of tasks and events, as keyword arguments. The API has the limits, and the last word."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Required, TypeAlias, TypedDict
from uuid import UUID

from taskmill.contracts.events import EventType
from taskmill.contracts.requests import TaskSort
from taskmill.contracts.status import Priority, TaskStatus
from taskmill.contracts.tasks import DependencyFailure, RetryBackoff, TaskReceipt

Id: TypeAlias = UUID | str
"""Of a webhook, a replay, a bulk operation or a group."""
TaskId: TypeAlias = UUID | str
Receipts: TypeAlias = list[TaskReceipt]


class TaskOptions(TypedDict, total=False):
    """What may be said of a new task beside its kind and its payload. What is left out has the API's default."""

    title: str
    """What it is, for people, 1 to 200 characters. Left out: its kind."""
    description: str | None
    """More about it, for people, up to 10,000 characters."""
    queue: str
    """The queue that it waits in. Left out: that of its kind, or else `default`."""
    priority: Priority | str
    """`critical`, `high`, `medium` (the default) or `low`."""
    labels: Mapping[str, str]
    """To find it by, up to 32; a value has up to 200 characters."""
    run_at: datetime | str | None
    """When to start processing, with its offset from UTC; None: at once."""
    max_attempts: int | None
    """Attempts in a run at most, 1 to 100; None: what the kind says, or else 1."""
    backoff: RetryBackoff | Mapping[str, float] | None
    """The wait between attempts; None: what the kind says, or else 2 s, doubled."""
    timeout_seconds: float | None
    """How long an attempt may take, in seconds, up to 7 days; None: what the kind says, or else for ever."""
    after: Collection[TaskId] | None
    """Tasks that it comes after, up to 100 that exist: it is processed once all are completed."""
    on_dependency_failure: DependencyFailure | str
    """What becomes of it when one of those is not: `cancel` (the default), or `process` it all the same."""


class TaskToSubmit(TaskOptions, total=False):
    """One of many new tasks."""

    kind: Required[str]
    """Names the handler."""
    payload: Any
    """Its input: any JSON value of up to 256 KiB."""
    process: bool
    """Whether to start processing at once. Left out: as `submit_many` was told."""


class FollowUp(TypedDict, total=False):
    """A task that is processed for the outcome of a group."""

    kind: Required[str]
    """Names the handler."""
    payload: Any
    """Its input: any JSON value of up to 256 KiB."""
    title: str
    """What it is, for people, 1 to 200 characters. Left out: its kind."""
    description: str | None
    """More about it, for people, up to 10,000 characters."""
    queue: str
    """The queue that it waits in. Left out: that of its kind, or else `default`."""
    priority: Priority | str
    """`critical`, `high`, `medium` (the default) or `low`."""
    labels: Mapping[str, str]
    """To find it by, up to 32; a value has up to 200 characters."""
    max_attempts: int | None
    """Attempts in a run at most, 1 to 100; None: what the kind says, or else 1."""
    backoff: RetryBackoff | Mapping[str, float] | None
    """The wait between attempts; None: what the kind says, or else 2 s, doubled."""
    timeout_seconds: float | None
    """How long an attempt may take, in seconds, up to 7 days; None: what the kind says, or else for ever."""


class TaskChanges(TypedDict, total=False):
    """What may be changed of a task (a merge patch, RFC 7396): objects merge, None clears, what is left out stays."""

    title: str
    """What it is, for people, 1 to 200 characters."""
    description: str | None
    """More about it, for people, up to 10,000 characters."""
    status: TaskStatus | str
    """`pending`, `in_progress` or `completed`, by hand."""
    kind: str | None
    """Names the handler; None: `echo`."""
    queue: str | None
    """The queue that it waits in; None: `default`."""
    priority: Priority | str | None
    """`critical`, `high`, `medium` or `low`; None: `medium`."""
    labels: Mapping[str, str | None] | None
    """Labels to add or change; None removes one."""
    payload: Any
    """Its input, up to 256 KiB; an object merges with the one that was there."""
    max_attempts: int | None
    """Attempts in a run at most, 1 to 100; None: what the kind says, or else 1."""
    backoff: RetryBackoff | Mapping[str, float | None] | None
    """The wait between attempts; None: what the kind says, or else 2 s, doubled."""
    timeout_seconds: float | None
    """How long an attempt may take, in seconds; None: what the kind says, or else for ever."""


class TaskSelection(TypedDict, total=False):
    """Which tasks. A task meets every condition that is given."""

    status: TaskStatus | str | Collection[TaskStatus | str]
    """One, or any of several."""
    title: str
    """A part of its title, in any case."""
    kind: str
    """Exactly this kind."""
    queue: str
    """Exactly this queue."""
    priority: Priority | str
    """`critical`, `high`, `medium` or `low`."""
    labels: Mapping[str, str | None]
    """Labels that it has, all of them; None: with any value."""
    group_id: Id
    """Of this group."""
    created_after: datetime
    """Created at or after this instant, which has an offset."""
    created_before: datetime
    """Created before this instant, which has an offset."""


class TaskConditions(TaskSelection, total=False):
    """Which tasks of a list, and how they come."""

    sort: TaskSort | str
    """`-created_at`: newest first, the default; `created_at`: oldest first."""
    page_size: int
    """How many come with one request at most, 1 to 200 (the default)."""


class EventConditions(TypedDict, total=False):
    """Which events. An event meets every condition that is given."""

    types: EventType | str | Collection[EventType | str]
    """Of this, or any of these, such as `completed`; empty: of any."""
    kind: str
    """Of tasks of this kind."""
    queue: str
    """Of tasks of this queue."""
    labels: Mapping[str, str | None]
    """Of tasks with these labels, all of them; None: with any value."""


class WebhookOptions(TypedDict, total=False):
    """What may be said of a new webhook beside its URL. Without conditions it is told every event."""

    description: str | None
    """What it is for, for people, up to 1,000 characters."""
    types: Collection[EventType | str]
    """Events of these types, such as `completed`; empty: of all."""
    kind: str | None
    """Only of tasks of this kind."""
    queue: str | None
    """Only of tasks of this queue."""
    labels: Mapping[str, str | None]
    """Only of tasks with these labels, all of them; None: with any value. Up to 8."""
    is_enabled: bool
    """Whether events are delivered, the default. Those that happen while it is off are not, later either."""
    secret: str | None
    """What deliveries are signed with: `whsec_` and 24 to 64 bytes in Base64; None: one is made."""


class WebhookChanges(TypedDict, total=False):
    """What may be changed of a webhook (a merge patch, RFC 7396): None clears, what is left out stays."""

    url: str
    """Where events are sent, from now on those that wait, too."""
    description: str | None
    """What it is for, for people, up to 1,000 characters."""
    types: Collection[EventType | str] | None
    """Events of these types, instead of those before; None: of all."""
    kind: str | None
    """Only of tasks of this kind; None: of any."""
    queue: str | None
    """Only of tasks of this queue; None: of any."""
    labels: Mapping[str, str | None] | None
    """Only of tasks with these labels, instead of those before; None: with any."""
    is_enabled: bool
    """Whether events are delivered."""
