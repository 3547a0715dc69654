"""What callers may say of tasks and events, as keyword arguments. The API has the limits, and the last word."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Required, TypeAlias, TypedDict
from uuid import UUID

from taskmill.contracts.events import EventType
from taskmill.contracts.requests import TaskSort
from taskmill.contracts.schedules import Overlap
from taskmill.contracts.status import Priority, TaskStatus
from taskmill.contracts.tasks import DependencyFailure, RetryBackoff, TaskReceipt
from taskmill.sdk.unique import UniqueOptions

Id: TypeAlias = UUID | str
"""Of a webhook, a replay, a schedule, a bulk operation or a group."""
TaskId: TypeAlias = UUID | str
Receipts: TypeAlias = list[TaskReceipt]
Times: TypeAlias = list[datetime]


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
    concurrency_key: str | None
    """Whose work it is, such as a tenant's: 1 to 200 visible ASCII characters but `/`; None: nobody's."""
    unique: UniqueOptions | None
    """Under which key it is the only one: `{"key": "invoice-4711"}`; None: under none."""
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
    concurrency_key: str
    """Exactly this key."""
    labels: Mapping[str, str | None]
    """Labels that it has, all of them; None: with any value."""
    schedule_id: Id
    """Made by this schedule."""
    unique_key: str
    """Its unique key, whether it still holds it or not."""
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


class ScheduledTask(TypedDict, total=False):
    """What each task of a schedule is made of; to change a schedule, only what changes, and None clears."""

    kind: str
    """Names the handler. Left out: `echo`."""
    payload: Any
    """Its input: any JSON value of up to 256 KiB."""
    title: str
    """What it is, for people, 1 to 200 characters. Left out: the schedule's name."""
    description: str | None
    """More about it, for people, up to 10,000 characters."""
    queue: str | None
    """The queue that it waits in. Left out: that of its kind, or else `default`."""
    priority: Priority | str
    """`critical`, `high`, `medium` (the default) or `low`."""
    labels: Mapping[str, str | None]
    """To find it by, up to 32; a value has up to 200 characters."""
    concurrency_key: str | None
    """Whose work it is."""
    max_attempts: int | None
    """Attempts in a run at most, 1 to 100; None: what the kind says, or else 1."""
    backoff: RetryBackoff | Mapping[str, float | None] | None
    """The wait between attempts; None: what the kind says, or else 2 s, doubled."""
    timeout_seconds: float | None
    """How long an attempt may take, in seconds, up to 7 days; None: what the kind says, or else for ever."""


class ScheduleOptions(TypedDict, total=False):
    """What may be said of a new schedule beside its name and its tasks: either `cron` or `interval_seconds`."""

    cron: str | None
    """When: minute, hour, day of the month, month and day of the week."""
    time_zone: str
    """Whose clock the cron line is read by, such as `Europe/Berlin`. Left out: `UTC`."""
    interval_seconds: int | None
    """How often, in seconds, from `starts_at` on, or from when it was made."""
    overlap: Overlap | str
    """While tasks of it are in a run: `allow` (the default), `skip` or `cancel_running`."""
    catch_up_seconds: int
    """How late a time may be made up for after an outage, in seconds, 10 to 604,800. Left out: 3,600."""
    is_paused: bool
    """Whether its times pass without a task."""
    starts_at: datetime | str | None
    """No time before this instant, which has an offset."""
    ends_at: datetime | str | None
    """No time at or after this instant, which has an offset."""


class ScheduleChanges(ScheduleOptions, total=False):
    """What may be changed of a schedule (a merge patch, RFC 7396): objects merge, None clears."""

    name: str
    """What it is for, for people, 1 to 200 characters."""
    template: ScheduledTask
    """What changes of what its tasks are made of."""
