"""What the use cases need of the world. The two mailboxes of writes and the adapters provide it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from taskmill.contracts.activity import ActivityMinute
from taskmill.contracts.errors import TaskmillError
from taskmill.contracts.kinds import KnownKind
from taskmill.contracts.log import ReadLog
from taskmill.contracts.requests import ListTasks, TaskFilter, UnknownKind
from taskmill.contracts.status import TaskStatus
from taskmill.task_store.domain.api_keys import ApiKeyState
from taskmill.task_store.domain.bulk_operations import BulkOperationState
from taskmill.task_store.domain.cursors import ListPosition
from taskmill.task_store.domain.fleet import ProcessorState, QueueState, Servers
from taskmill.task_store.domain.groups import GroupState
from taskmill.task_store.domain.idempotency import KeyedAnswer, KeyName
from taskmill.task_store.domain.operations import Answer, Operation
from taskmill.task_store.domain.schedules import FireState, ScheduleState
from taskmill.task_store.domain.state import AttemptState, LineState, TaskState
from taskmill.task_store.domain.turns import Bucket, BucketLoad, LimitRules, LimitState, ShareState
from taskmill.task_store.domain.waiting import Service
from taskmill.task_store.domain.webhooks import ReplayState, WebhookState


class EventSlice(NamedTuple):
    """Some of a task's events, oldest first, as they were published."""

    documents: Sequence[bytes]
    last_version: int
    has_more: bool
    removed: int
    """Up to this version, those that would come first were removed; 0: none was."""


class LineSlice(NamedTuple):
    """Some of a task's lines, oldest first."""

    lines: Sequence[LineState]
    """One more than was asked for when there are more."""
    dropped: int
    """How many lines of the task are not kept."""


class ReadEvent(NamedTuple):
    """An event of the log."""

    position: int
    type: str
    kind: str
    task_id: str
    document: str


class LogPart(NamedTuple):
    """Some of the log, in order."""

    events: Sequence[ReadEvent]
    next_after: int
    """Up to where the log was searched."""
    oldest: int
    """Position of the oldest event that is kept; 0: there is none."""
    newest: int
    """Position of the newest event that there ever was; 0: there was none. For a position of a log that was lost: up to
    where that one and this one are the same."""
    removed: int
    """Events up to this position were removed; 0: none was."""
    epoch: int
    """The position behind which the log's epoch begins; 0: it is the first."""


class DueTime(NamedTuple):
    """A scheduled task and when it is due."""

    task_id: UUID
    run_at: datetime


class Writes(Protocol):
    """Where operations go that change tasks."""

    async def ask(self, message: Operation) -> Answer:
        """Apply an operation; return, once it is committed, what it is answered.

        Raises:
            RequestError: It is refused.
            UnavailableError: The database is away, or too much waits; it may have been applied all the same.
        """


class RequestWrites(Writes, Protocol):
    """The same for requests, of which several may come together."""

    async def ask_each(self, messages: Sequence[Operation]) -> Sequence[Answer | TaskmillError]:
        """Apply operations, each for itself; what `ask` would raise is among the answers."""


class Reads(Protocol):
    """Reads what is committed. All but `is_reachable` raise `DatabaseUnavailableError` when PostgreSQL is away."""

    async def task(self, task_id: UUID) -> TaskState:
        """A task, whole.

        Raises:
            TaskNotFoundError: There is none with this id.
        """

    async def checkpoint(self, task_id: UUID, run: int) -> str:
        """The newest checkpoint of a task's newest run, as JSON text.

        Raises:
            TaskNotFoundError: There is no task with this id, or that is not its newest run.
        """

    async def events(self, task_id: UUID, *, after_version: int, limit: int) -> EventSlice:
        """A task's events behind a version: at most `limit`, and no more than fit a message. Also of a deleted task.

        Raises:
            TaskNotFoundError: There never was a task with this id.
        """

    async def lines(self, task_id: UUID, *, after_position: int, limit: int) -> LineSlice:
        """A task's lines behind a position.

        Raises:
            TaskNotFoundError: There is no task with this id.
        """

    async def next_due(self, limit: int) -> list[DueTime]:
        """The scheduled tasks that are due first, in that order."""

    async def is_reachable(self) -> bool:
        """Whether PostgreSQL answers."""


class Lists(Protocol):
    """Reads pages. Raises `DatabaseUnavailableError` when PostgreSQL is away, or takes too long to find anything."""

    async def tasks(self, request: ListTasks, after: ListPosition | None) -> list[TaskState]:
        """Tasks behind a position, without payload and result: one more than `request.limit` when there are more."""

    async def counts(self, wanted: TaskFilter) -> dict[TaskStatus, int]:
        """How many tasks there are of each status that a filter admits, each counted up to `MAX_COUNTED_TASKS`."""

    async def attempts(self, task_id: UUID, *, after_attempt: int, limit: int) -> list[AttemptState]:
        """A task's attempts behind a number, oldest first, at most `limit`."""


class LogReads(Protocol):
    """Reads the log by position. Raises `DatabaseUnavailableError` when PostgreSQL is away."""

    async def read(self, request: ReadLog) -> LogPart:
        """What is asked for, no more than fits a message."""


class Processors(Protocol):
    """Knows the processors. Raises `DatabaseUnavailableError` when PostgreSQL is away."""

    async def page(self, seen_since: datetime, *, behind: str, limit: int) -> list[ProcessorState]:
        """Processors behind an id that were heard of since a moment, by their ids, at most `limit`."""

    async def servers(self, seen_since: datetime, queues: Sequence[str], *, limit: int) -> dict[str, Servers]:
        """Who of them serves each of some queues and does not drain, by their ids, at most `limit` each."""

    async def count(self, seen_since: datetime) -> int:
        """How many of them do not drain."""

    async def kinds(self, now: datetime) -> list[KnownKind]:
        """All kinds that are known, by name."""

    async def differing_kinds(self, now: datetime, limit: int) -> list[str]:
        """Kinds for which living processors declare different things, by name; up to 10 s old."""


class ServiceReads(Protocol):
    """Knows where tasks are executed."""

    async def known(self) -> Service:
        """What was so within the last second; and now, of what this store has noted itself.

        Raises:
            DatabaseUnavailableError: PostgreSQL is away.
        """

    def doubt(self) -> None:
        """Say that it has changed: it is read again before it is told."""


class ActivityReads(Protocol):
    """Reads what was done. Raises `DatabaseUnavailableError` when PostgreSQL is away."""

    async def since(self, moment: datetime) -> list[ActivityMinute]:
        """The minutes that began after a moment, oldest first; those in which nothing was done are left out."""


class Queues(Protocol):
    """Knows the queues. Raises `DatabaseUnavailableError` when PostgreSQL is away."""

    async def page(self, *, behind: str, limit: int) -> list[QueueState]:
        """Queues behind a name, by their names, at most `limit`."""

    async def queue(self, name: str) -> QueueState:
        """A queue.

        Raises:
            QueueNotFoundError: There is none of this name.
        """

    async def pause(self, name: str, now: datetime) -> None:
        """Write down that a queue is paused, since now unless it was before. One that is not there is added.

        Raises:
            TooManyQueuesError: It is not there, and there are as many as may be.
        """

    async def resume(self, name: str) -> None:
        """Write down that a queue is not paused.

        Raises:
            QueueNotFoundError: There is none of this name.
        """

    async def paused(self) -> frozenset[str]:
        """Those that are paused."""

    async def unserved(self, seen_since: datetime, limit: int) -> list[str]:
        """Those in which tasks wait, and which no processor serves that was heard of since a moment, by their names."""

    async def unknown_kinds(self, seen_since: datetime, limit: int) -> list[UnknownKind]:
        """Kinds that processors did not know, of tasks that wait, and that none knows of those in their queue.

        Args:
            seen_since: Which processors live: those that were heard of since.
            limit: How many, by queue and kind.
        """


class Pauses(Protocol):
    """Has what is written down obeyed."""

    async def apply(self, queue: str) -> None:
        """Have the work of a queue delivered, or not, as is written down.

        Of a queue that is paused nothing is delivered when this returns, and processors were told to give back what
        they have not begun.

        Raises:
            BusUnavailableError: NATS cannot be reached, or refuses.
            DatabaseUnavailableError: PostgreSQL is away.
        """


class Drains(Protocol):
    """Has processors drain."""

    async def drain(self, processor_id: str) -> None:
        """Have a processor drain, and end; returns when it has answered that it begins.

        Raises:
            ProcessorNotFoundError: Nobody of this id listens.
            BusUnavailableError: NATS cannot be reached, or the processor has not answered in time: it may have heard.
        """


class Rates(Protocol):
    """Knows how many runs end."""

    def rate(self, queue: str, now: datetime, finished: int) -> float | None:
        """How many of a queue end a second; None: that is not known yet."""


class Turns(Protocol):
    """Knows limits and shares. Raises `DatabaseUnavailableError` when PostgreSQL is away."""

    async def put_limit(self, limit: LimitState) -> LimitState:
        """Make a limit, or change it, which leaves `created_at` as it is; return it.

        Raises:
            TooManyLimitsError: It is new, and there are as many as may be.
        """

    async def limits(self) -> LimitRules:
        """All limits, by name."""

    async def delete_limit(self, name: str) -> None:
        """Delete a limit.

        Raises:
            LimitNotFoundError: There is none of this name.
        """

    async def put_share(self, share: ShareState) -> ShareState:
        """Set a share, or change it, which leaves `created_at` as it is; return it.

        Raises:
            TooManySharesError: It is new, and there are as many as may be.
        """

    async def share(self, concurrency_key: str) -> ShareState:
        """The share of a key.

        Raises:
            ShareNotFoundError: None is set.
        """

    async def shares(self, *, behind: str, limit: int) -> list[ShareState]:
        """Shares behind a key, by their keys, at most `limit`."""

    async def delete_share(self, concurrency_key: str) -> None:
        """Delete a share.

        Raises:
            ShareNotFoundError: None is set.
        """

    async def loads(self, buckets: Collection[Bucket], now: datetime) -> Mapping[tuple[str, str], BucketLoad]:
        """How much of some buckets is used, by the names of their limits and their keys."""


class Webhooks(Protocol):
    """Knows the webhooks and the replays. Raises `DatabaseUnavailableError` when PostgreSQL is away."""

    async def answer(self, name: KeyName) -> KeyedAnswer | None:
        """What is stored under an idempotency key."""

    async def add(self, webhook: WebhookState, answer: KeyedAnswer | None = None) -> None:
        """Add a webhook that is told what happens from now on, and store the answer, if there is one, with it.

        Raises:
            TooManyWebhooksError: There are as many as may be.
            KeyTakenError: Another answer is stored under the key of this one; nothing was added.
        """

    async def webhook(self, webhook_id: UUID) -> WebhookState:
        """A webhook.

        Raises:
            WebhookNotFoundError: There is none with this id.
        """

    async def webhooks(self, *, behind: UUID, limit: int) -> list[WebhookState]:
        """Webhooks behind an id, oldest first, at most `limit`."""

    async def change(self, webhook: WebhookState) -> WebhookState | None:
        """Write a webhook under its next revision, and return it; None: it is no longer at the one that it has.

        One that is switched on is told what happens from now on.
        """

    async def delete(self, webhook: WebhookState) -> bool:
        """Delete a webhook; False: it is no longer at the revision that it has."""

    async def document(self, position: int) -> str | None:
        """The document of the event at a position; None: there is none, or it tells of a delivery."""

    async def add_replay(self, replay: ReplayState, answer: KeyedAnswer | None = None) -> None:
        """Add a replay, and store the answer, if there is one, with it.

        Raises:
            TooManyReplaysError: As many run as may.
            WebhookNotFoundError: Its webhook is gone.
            KeyTakenError: Another answer is stored under the key of this one; nothing was added.
        """

    async def replay(self, replay_id: UUID) -> ReplayState:
        """A replay.

        Raises:
            ReplayNotFoundError: There is none with this id.
        """


class Schedules(Protocol):
    """Knows the schedules. Raises `DatabaseUnavailableError` when PostgreSQL is away."""

    async def schedule(self, schedule_id: UUID) -> ScheduleState:
        """A schedule.

        Raises:
            ScheduleNotFoundError: There is none with this id.
        """

    async def schedules(self, *, behind: UUID, limit: int) -> list[ScheduleState]:
        """Schedules behind an id, oldest first, at most `limit`."""

    async def fires(self, schedule_id: UUID, *, before: ListPosition, limit: int) -> list[FireState]:
        """What became of a schedule's times before a time and the id of its task, newest first, at most `limit`."""


class ApiKeys(Protocol):
    """Knows the API keys. Raises `DatabaseUnavailableError` when PostgreSQL is away."""

    async def add(self, key: ApiKeyState) -> None:
        """Add a key.

        Raises:
            InvalidRequestError: There is one with this id.
            TooManyApiKeysError: As many can be used as may.
        """

    async def key(self, key_id: str) -> ApiKeyState:
        """A key.

        Raises:
            ApiKeyNotFoundError: There is none with this id.
        """

    async def page(self, *, behind: str, limit: int, usable_at: datetime | None = None) -> list[ApiKeyState]:
        """Keys behind an id, oldest first, at most `limit`; of all (None), or of those that can be used then."""

    async def revoke(self, key_id: str, now: datetime) -> ApiKeyState:
        """Revoke a key, unless it is already, and return it.

        Raises:
            ApiKeyNotFoundError: There is none with this id.
        """

    async def find(self, key_ids: Sequence[str], now: datetime) -> list[ApiKeyState]:
        """Those of some keys that can be used."""

    async def note_use(self, key_ids: Sequence[str], now: datetime) -> None:
        """Write down that some keys are used, unless that was written a moment ago."""


class Groups(Protocol):
    """Knows the groups. Raises `DatabaseUnavailableError` when PostgreSQL is away."""

    async def group(self, group_id: UUID) -> GroupState:
        """A group.

        Raises:
            GroupNotFoundError: There is none with this id.
        """

    async def page(self, *, before: UUID, limit: int) -> list[GroupState]:
        """Groups before an id, newest first, at most `limit`."""

    async def counts(self, group_ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
        """How many tasks of each status there are of some groups; what has none is left out."""


class Predecessors(Protocol):
    """Knows what waits for what. Raises `DatabaseUnavailableError` when PostgreSQL is away."""

    async def waiting_for(self, task_id: UUID, limit: int) -> list[UUID]:
        """The tasks that a task still waits for, at most `limit`."""


class BulkOperationReads(Protocol):
    """Knows the bulk operations. Raises `DatabaseUnavailableError` when PostgreSQL is away."""

    async def bulk_operation(self, operation_id: UUID) -> BulkOperationState:
        """A bulk operation.

        Raises:
            BulkOperationNotFoundError: There is none with this id.
        """
