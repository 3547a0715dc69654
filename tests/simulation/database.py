"""PostgreSQL as the store uses it: rows in memory, and statements that hold or undo themselves."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from taskmill.contracts.errors import DatabaseUnavailableError
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import KindDefaults
from taskmill.task_store.adapters.relay_log import RelayCursor
from taskmill.task_store.adapters.stalled_tasks import CancellingTask, Place, StalledTask
from taskmill.task_store.adapters.statements import read_marks
from taskmill.task_store.domain.batch import Batch
from taskmill.task_store.domain.bulk_operations import BulkBook
from taskmill.task_store.domain.events import LoggedEvent
from taskmill.task_store.domain.idempotency import KeyBook, KeyedAnswer, KeyName
from taskmill.task_store.domain.kinds import KindBook
from taskmill.task_store.domain.operations import Operation, named_key, named_tasks, wants_documents
from taskmill.task_store.domain.publication import UnpublishedEvent, unpublished_events
from taskmill.task_store.domain.queues import QueueBook
from taskmill.task_store.domain.state import DOCUMENTS, AttemptState, LineState, TaskState
from taskmill.task_store.errors import StaleStateError
from tests.simulation.scheduler import Steps
from tests.simulation.world import RULES, World

MAX_QUEUES = 4


class Lease(NamedTuple):
    """Who relays."""

    owner: str
    until: float


class Database:
    """The tables. Each method is one statement, or one transaction under the lock: nothing comes in between.

    Args:
        world: The run.
        max_waiting: How many tasks may wait in each queue.
    """

    def __init__(self, world: World, max_waiting: int) -> None:
        self.is_away = False
        self.tasks: dict[UUID, TaskState] = {}
        self.attempts: dict[tuple[UUID, int], AttemptState] = {}
        self.lines: dict[UUID, list[LineState]] = {}
        self.log: list[LoggedEvent] = []
        self.waiting: dict[str, int] = {}
        self.kinds: dict[str, KindDefaults] = {}
        self.keys: dict[KeyName, KeyedAnswer] = {}
        self.cursor = RelayCursor(0, 0, None, None)
        self.lease: Lease | None = None
        self._queued_at: dict[tuple[UUID, int], int] = {}
        self._used_ids: set[UUID] = set()
        self._max_waiting = max_waiting
        self._world = world

    def round_trip(self) -> Steps[None]:
        """The time that a statement takes before it is carried out, or its answer on the way back.

        Raises:
            DatabaseUnavailableError: The connection breaks.
        """
        yield self._world.random.uniform(0.001, 0.01)
        if self.is_away:
            raise DatabaseUnavailableError

    def load(self, operations: Sequence[Operation], known_queues: dict[str, int], *, is_locked: bool) -> Batch:
        """What a batch of operations is decided on, as `TaskWriter` reads it."""
        task_ids = {task_id: None for operation in operations for task_id in named_tasks(operation)}
        whole_ids = {
            task_id for operation in operations if wants_documents(operation) for task_id in named_tasks(operation)
        }
        states = [self._read(task_id, is_whole=task_id in whole_ids) for task_id in task_ids if task_id in self.tasks]
        names = [name for operation in operations if (name := named_key(operation)) is not None]
        return Batch(
            states,
            self._used_ids if is_locked else (),
            queues=QueueBook(known_queues, MAX_QUEUES, self._max_waiting),
            kinds=KindBook(self.kinds),
            keys=KeyBook(self.keys[name] for name in names if name in self.keys),
            bulk_operations=BulkBook(()),
            services=(),
            rules=RULES,
            now=self._world.scheduler.utc(),
            random=self._world.random.random,
        )

    def _read(self, task_id: UUID, *, is_whole: bool) -> TaskState:
        state = self.tasks[task_id]
        return state if is_whole else state._replace(payload=None, result=None, checkpoint=None)

    def write(self, batch: Batch) -> int:
        """Write what a batch decided, all or nothing; return the position of its first event in the log.

        Raises:
            StaleStateError: A task, a key or a queue is no longer as it was read.
        """
        created, changed, deleted = batch.tasks.created, batch.tasks.changed, batch.tasks.deleted
        first_position = len(self.log) + 1
        if not (batch.tasks.events or changed):
            return first_position
        if self._is_stale(batch):
            raise StaleStateError
        for state in created:
            self.tasks[state.id] = state
            self._used_ids.add(state.id)
        for _, state in changed:
            self.tasks[state.id] = self._with_documents(state)
        for _, task_id in deleted:
            del self.tasks[task_id]
            self.lines.pop(task_id, None)
        for attempt in batch.tasks.attempts:
            self.attempts[attempt.task_id, attempt.attempt] = attempt
        for line in batch.tasks.lines:
            self.lines.setdefault(line.task_id, []).append(line)
        for change in batch.queues.changes:
            self.waiting[change.name] += change.delta
        for answer in batch.keys.added:
            self.keys[KeyName(answer.scope, answer.key)] = answer
        self._log(batch.tasks.events)
        return first_position

    def _log(self, events: Iterable[LoggedEvent]) -> None:
        for event in events:
            self.log.append(event)
            if event.dispatch is not None:
                self._queued_at[event.task_id, event.dispatch] = len(self.log)

    def _is_stale(self, batch: Batch) -> bool:
        read = [(before.version, before.id) for before, _ in batch.tasks.changed] + batch.tasks.deleted
        return (
            any(task_id not in self.tasks or self.tasks[task_id].version != version for version, task_id in read)
            or any(read_marks(self.tasks[before.id]) != read_marks(before) for before, _ in batch.tasks.changed)
            or any(state.id in self._used_ids for state in batch.tasks.created)
            or any(KeyName(answer.scope, answer.key) in self.keys for answer in batch.keys.added)
            or any(self._is_beyond(change.name, change.most_waiting) for change in batch.queues.changes)
        )

    def write_names(self, batch: Batch) -> None:
        """Write the queues and kinds that a batch added. Under the lock."""
        for name in batch.queues.added:
            self.waiting[name] = 0
        self.kinds.update(batch.kinds.changed)

    def _is_beyond(self, name: str, most: int | None) -> bool:
        return name not in self.waiting or (most is not None and self.waiting[name] > most)

    def _with_documents(self, state: TaskState) -> TaskState:
        """Documents are left as they are unless they were read."""
        kept = self.tasks[state.id]
        unread: dict[str, Any] = {name: getattr(kept, name) for name in DOCUMENTS if getattr(state, name) is None}
        return state._replace(**unread)

    def next_due(self) -> list[tuple[UUID, datetime]]:
        """The scheduled tasks, those that are due first before the others."""
        due = [(state.id, state.run_at) for state in self.tasks.values() if state.run_at is not None]
        return sorted(due, key=lambda task: task[1])

    def acquire(self, owner: str, seconds: float) -> bool:
        """Take or renew the relay's lease."""
        now = self._world.scheduler.now
        if self.lease is not None and self.lease.owner != owner and self.lease.until >= now:
            return False
        self.lease = Lease(owner, now + seconds)
        return True

    def read_cursor(self, owner: str) -> RelayCursor | None:
        """How far the relay is; None: somebody else leads."""
        return self.cursor if self.lease is not None and self.lease.owner == owner else None

    def save_cursor(self, owner: str, saved: RelayCursor, cursor: RelayCursor) -> bool:
        """Write down how far the relay is, if it is the owner's and where the owner knew it."""
        if self.read_cursor(owner) is None or self.cursor[:2] != saved[:2]:
            return False
        self.cursor = cursor
        return True

    def unpublished(self, position: int, limit: int) -> list[UnpublishedEvent]:
        """The log behind a position, with the work that it asks for."""
        return unpublished_events(self.log[position : position + limit], self.tasks, KindBook(self.kinds), position + 1)

    def stalled_queued(self, until: datetime) -> list[StalledTask]:
        """Tasks that are queued since `until` or longer, and whose work the relay has published."""
        return self._stalled(
            lambda state: state.status is TaskStatus.QUEUED and state.queued_at is not None and state.queued_at <= until
        )

    def stalled_silent(self, now: datetime) -> list[StalledTask]:
        """Tasks in progress whose lease has run out, and which nobody wants to be cancelled."""
        return self._stalled(
            lambda state: state.lease_until is not None and state.lease_until <= now and not state.cancel_requested_at
        )

    def cancelling(self) -> list[CancellingTask]:
        """Tasks in progress that are to be cancelled."""
        return [
            CancellingTask(state.id, state.attempt, state.lease_until)
            for state in self.tasks.values()
            if state.cancel_requested_at is not None and state.lease_until is not None
        ]

    def _stalled(self, is_meant: Callable[[TaskState], bool]) -> list[StalledTask]:
        published = max(self.cursor.position, self.cursor.work_position)
        return [
            StalledTask(
                Place(state.created_at, state.id), state.id, state.dispatch, state.queue, state.priority, state.kind
            )
            for state in self.tasks.values()
            if state.is_run_active and is_meant(state) and self._queued_at[state.id, state.dispatch] <= published
        ]

    def position_before(self, instant: datetime) -> int:
        """The position behind which the log holds what happened since an instant."""
        times = (datetime.fromisoformat(orjson.loads(event.document)["time"]) for event in self.log)
        return sum(1 for time in times if time < instant)
