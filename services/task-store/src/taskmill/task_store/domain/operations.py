"""What may be asked of the tasks: by clients, by processors, and by the store itself."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from taskmill.contracts.bulk_operations import StartBulkOperation
from taskmill.contracts.groups import CreateGroup
from taskmill.contracts.reports import Hello, ReportBundle, RunReport, Submitted
from taskmill.contracts.requests import (
    CreateTask,
    CreateTasks,
    DeleteTask,
    IdentifiedTask,
    KeyedRequest,
    TaskRequest,
    UpdateTask,
)
from taskmill.contracts.schedules import ScheduleChange
from taskmill.contracts.tasks import DEFAULT_QUEUE, WaitingFor
from taskmill.task_store.domain.bulk_operations import BulkChunk, BulkOperationState
from taskmill.task_store.domain.dependencies import Release
from taskmill.task_store.domain.groups import GroupState, follow_ups
from taskmill.task_store.domain.idempotency import KeyName, key_name
from taskmill.task_store.domain.retention import KeptFor
from taskmill.task_store.domain.schedules import FireSchedule, MakeUpTimes, ScheduleState
from taskmill.task_store.domain.state import TaskState
from taskmill.task_store.domain.turns import Turn


class MakeDue(NamedTuple):
    """Queue those of these tasks whose time has come."""

    task_ids: tuple[UUID, ...]


class OfferAgain(NamedTuple):
    """Queue those of these tasks at once that wait because no processor knew their kind."""

    task_ids: tuple[UUID, ...]


class Redispatch(NamedTuple):
    """Queue tasks again whose work item is nowhere, unless a processor holds them, or there is a newer work item."""

    lost: Mapping[UUID, int]
    """The dispatch of the lost work item by the task's id."""


class ExpireCancellations(NamedTuple):
    """Cancel those of these tasks that are to be cancelled and whose lease is over."""

    task_ids: tuple[UUID, ...]


class RemoveExpired(NamedTuple):
    """Remove those of these tasks that were kept for long enough after their end."""

    task_ids: tuple[UUID, ...]
    kept_for: KeptFor


class GiveTurns(NamedTuple):
    """Queue those of these tasks that still are as they were when they were chosen; they are what is answered."""

    term: int
    """The term in which this holds."""
    turns: tuple[Turn, ...]

    @property
    def task_ids(self) -> tuple[UUID, ...]:
        """These tasks."""
        return tuple(turn.task_id for turn in self.turns)


class OverdueBundle(ReportBundle):
    """Reports that came before others that they must follow, and waited until those must be lost."""


StoreOperation = MakeDue | OfferAgain | Redispatch | ExpireCancellations
"""What the store asks of itself to carry tasks on."""

ClientRequest = CreateTask | CreateTasks | TaskRequest | StartBulkOperation | CreateGroup | ScheduleChange
OwnOperation = StoreOperation | RemoveExpired | BulkChunk | Release | FireSchedule | MakeUpTimes | GiveTurns
"""What the store asks of itself."""

Operation = ClientRequest | ReportBundle | OwnOperation
"""No bulk operation: that is begun by one of these, `StartBulkOperation`, and carried out by others, `BulkChunk`."""


class KeyedReply(NamedTuple):
    """The reply to a request under an idempotency key, as it is stored."""

    document: str
    """JSON text."""
    is_replayed: bool
    """Whether the request had been made, and answered so, before."""
    is_existing: bool = False
    """Whether it tells of a task that was there before, and holds the unique key of the one that was wanted."""


class Answer(NamedTuple):
    """What an operation is answered. Empty for reports, and for what the store asks of itself."""

    states: tuple[TaskState, ...] = ()
    """The tasks that a request asked to change, as they are now, in its order; empty for a replay. Those that had their
    turn."""
    waiting: WaitingFor | None = None
    """What the first of these tasks waits for."""
    existing: frozenset[UUID] = frozenset()
    """Those of the tasks that a creation has not made: they hold the unique keys of those that were wanted."""
    keyed: KeyedReply | None = None
    """For requests under an idempotency key."""
    bulk_operation: BulkOperationState | None = None
    """The bulk operation that was begun, or that a chunk belongs to, as it is now."""
    schedule: ScheduleState | None = None
    """The schedule that was made or changed, or of which a time was decided, as it is now, or was last."""
    group: GroupState | None = None
    """The group that was made."""
    early: tuple[RunReport, ...] = ()
    """Of reports: those that came before others that they must follow; they change nothing until they come again."""


def names_nothing(operation: Operation) -> bool:
    """Whether an operation is of one new task, which speaks of nothing that may exist: most are, under load."""
    # Of its very class: to tell what else a model is takes ten times as long.
    return (
        type(operation) is CreateTask
        and operation.after is None
        and operation.unique is None
        and operation.idempotency is None
    )


def named_tasks(operation: Operation) -> list[UUID]:
    """The existing tasks that an operation speaks of."""
    match operation:
        case ReportBundle():
            ids = [report.task_id for report in operation.reports if not isinstance(report, Hello)]
            return ids + _predecessors(operation)
        case MakeDue() | OfferAgain() | ExpireCancellations() | RemoveExpired() | Release() | GiveTurns():
            return list(operation.task_ids)
        case Redispatch():
            return list(operation.lost)
        case BulkChunk():
            return [candidate.id for candidate in operation.candidates]
        case TaskRequest():
            return [operation.id]
        case _:
            return _predecessors(operation)


def _predecessors(operation: Operation) -> list[UUID]:
    return [after_id for task in new_tasks(operation) if task.after for after_id in task.after]


def wants_documents(operation: Operation) -> bool:
    """Whether payload and result must be read: to be changed, to be answered, or to go out as work at once."""
    return isinstance(operation, TaskRequest | GiveTurns) and not isinstance(operation, DeleteTask)


def named_key(operation: Operation) -> KeyName | None:
    """The idempotency key of an operation, if it has one."""
    if isinstance(operation, KeyedRequest) and operation.idempotency is not None:
        return key_name(operation, operation.idempotency)
    return None


def named_bulk_operation(operation: Operation) -> UUID | None:
    """The bulk operation that an operation begins or carries on; None: it does neither."""
    match operation:
        case StartBulkOperation():
            return operation.id
        case BulkChunk():
            return operation.operation_id
        case _:
            return None


UNDER_LOCK = (StartBulkOperation, BulkChunk, CreateGroup, Release, ScheduleChange, FireSchedule, MakeUpTimes)
"""What speaks of rows beside the tasks, which are looked for, and written, under the lock of the event log only."""


def new_tasks(operation: Operation) -> Sequence[IdentifiedTask]:
    """The tasks that an operation creates, unless they exist."""
    if isinstance(operation, CreateTask):
        return (operation,)
    if isinstance(operation, ReportBundle):
        return [report.task for report in operation.reports if isinstance(report, Submitted)]
    if isinstance(operation, CreateGroup):
        return [*operation.tasks, *follow_ups(operation)]
    return operation.tasks if isinstance(operation, CreateTasks) else []


def named_unique_keys(operation: Operation) -> list[str]:
    """The unique keys that an operation wants tasks to hold."""
    return [task.unique.key for task in new_tasks(operation) if task.unique is not None]


def named_queues(operation: Operation) -> list[str]:
    """The queues that an operation may bring into being by itself."""
    if isinstance(operation, CreateTask):
        return _wanted_queues(operation)
    if isinstance(operation, ReportBundle):
        served = [queue for report in operation.reports if isinstance(report, Hello) for queue in report.queues]
        return served + _wanted_queues(operation)
    if isinstance(operation, UpdateTask):
        if "queue" not in operation.changes:
            return []
        # One that is cleared becomes the default one; what is no name at all is refused later.
        queue = operation.changes["queue"] or DEFAULT_QUEUE
        return [queue] if isinstance(queue, str) else []
    return _wanted_queues(operation)


def _wanted_queues(operation: Operation) -> list[str]:
    # Which one a kind declares is known later.
    return [task.queue or DEFAULT_QUEUE for task in new_tasks(operation)]
