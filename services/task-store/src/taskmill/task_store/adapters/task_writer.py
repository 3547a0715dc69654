"""Applies batches of operations: load, decide, write.

Writers of events take one lock, so that the order of their commits is the order of the log. The statement that writes
takes it by itself, and undoes itself when what was read is no longer so. Only then is the batch applied the long way:
lock, load, decide, write, commit.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import chain, filterfalse
from typing import Any, cast
from uuid import UUID

import orjson
import structlog
from asyncpg import Connection, DivisionByZeroError, IntegrityConstraintViolationError, Record

from taskmill.contracts.errors import DatabaseUnavailableError, QueueFullError, RequestError, TooManyQueuesError
from taskmill.contracts.reports import ReportBundle
from taskmill.contracts.schedules import ScheduleChange
from taskmill.runtime.clock import Clock
from taskmill.runtime.errors import BatchRefusedError
from taskmill.runtime.failpoint import failpoint
from taskmill.task_store.adapters import statements
from taskmill.task_store.adapters.bulk_operation_rows import read_bulk_operations, write_bulk_operations
from taskmill.task_store.adapters.database import DedicatedConnection
from taskmill.task_store.adapters.dependency_rows import read_dependencies, write_dependencies
from taskmill.task_store.adapters.rows import arrays, event_columns, json_rows, kind_row, row_maker, task_state
from taskmill.task_store.adapters.schedule_rows import read_schedules, write_schedules
from taskmill.task_store.adapters.store_memory import StoreMemory
from taskmill.task_store.adapters.unique_key_rows import read_holds, unique_rows
from taskmill.task_store.domain.batch import Batch
from taskmill.task_store.domain.bulk_operations import BulkBook
from taskmill.task_store.domain.idempotency import KeyBook, KeyedAnswer
from taskmill.task_store.domain.kinds import KindBook
from taskmill.task_store.domain.log_epoch import FIRST_EPOCH, LogEpoch
from taskmill.task_store.domain.months import NewIds
from taskmill.task_store.domain.operations import (
    UNDER_LOCK,
    Answer,
    GiveTurns,
    Operation,
    named_bulk_operation,
    named_key,
    named_queues,
    named_tasks,
    named_unique_keys,
    names_nothing,
    new_tasks,
    wants_documents,
)
from taskmill.task_store.domain.publication import PayloadNotReadError, UnpublishedEvent, unpublished_events
from taskmill.task_store.domain.queues import QueueBook
from taskmill.task_store.domain.runs import RunRules
from taskmill.task_store.domain.schedules import (
    FireSchedule,
    MakeUpTimes,
    ScheduleBook,
    ScheduleOperation,
    named_new_tasks,
)
from taskmill.task_store.domain.state import DOCUMENTS, AttemptState, LineState, TaskState
from taskmill.task_store.domain.turns import TurnBook
from taskmill.task_store.domain.unique_keys import UniqueBook
from taskmill.task_store.errors import StaleStateError

_log = structlog.get_logger(__name__)

_MAYBE_STALE = (QueueFullError, TooManyQueuesError)
_OF_SCHEDULES = (ScheduleChange, FireSchedule, MakeUpTimes)
_CONFLICTS = (StaleStateError, IntegrityConstraintViolationError)

_created_row = row_maker(TaskState, statements.TASK_COLUMNS)
_edited_row = row_maker(TaskState, statements.changed_columns(moving_only=False))
_moved_row = row_maker(TaskState, statements.changed_columns(moving_only=True))
_attempt_row = row_maker(AttemptState, statements.ATTEMPT_COLUMNS)


class TaskWriter:
    """The one way in which tasks change: `apply` handles the batches of a mailbox.

    Writers do not know of each other, in one store or in several: what one reads, another may have changed when it
    writes, which the statement that writes notices.

    Args:
        memory: What this store remembers of queues, kinds and processors.
        rules: What the operator decides about runs.
        max_queues: How many queues may exist.
        max_queued_tasks: How many tasks may wait in each queue.
        max_schedules: How many schedules may exist.
        random: Returns a number from 0 to 1, for the jitter of retries.
        note: Called after each commit with what was committed, to count it.
        on_commit: Called after each commit that wrote events, with them, or with none if more than them is to be read.
        on_scheduled: Called after a commit with the time at which the first of the tasks that it scheduled is due.
        on_bulk_operation: Called after a commit that began bulk operations.
        on_schedule: Called after a commit that made or changed schedules.
    """

    def __init__(
        self,
        connection: DedicatedConnection,
        memory: StoreMemory,
        *,
        rules: RunRules,
        max_queues: int,
        max_queued_tasks: int,
        max_schedules: int,
        now: Clock,
        random: Callable[[], float],
        note: Callable[[Batch], None],
        on_commit: Callable[[Sequence[UnpublishedEvent]], None],
        on_scheduled: Callable[[datetime], None],
        on_bulk_operation: Callable[[], None],
        on_schedule: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._rules = rules
        self._max_queues = max_queues
        self._max_queued_tasks = max_queued_tasks
        self._max_schedules = max_schedules
        self._now = now
        self._random = random
        self._note = note
        self._on_commit = on_commit
        self._on_scheduled = on_scheduled
        self._on_bulk_operation = on_bulk_operation
        self._on_schedule = on_schedule
        self._memory = memory
        self._newest_position = 0
        self.begin_epoch(FIRST_EPOCH)

    @property
    def newest_position(self) -> int:
        """The position of the newest event that this writer has committed; 0: it has written none."""
        return self._newest_position

    def begin_epoch(self, epoch: LogEpoch) -> None:
        """Say which epoch of the log it is; to be called before anything is written."""
        self._epoch = epoch
        self._memory.queued.clear()
        self._load_statement = statements.load_statement(epoch.dispatch_floor)

    async def apply(self, operations: Sequence[Operation]) -> list[Answer | RequestError]:
        """Apply operations in their order, all or none.

        Returns:
            What each request is answered, or why it is refused.

        Raises:
            BatchRefusedError: PostgreSQL refuses the data of one of them; nothing was applied.
            DatabaseUnavailableError: Nothing was applied, or, if the connection broke during the commit, all.
        """
        await self._memory.refresh()
        async with self._connection.use() as connection:
            if self._may_load_unlocked(operations):
                try:
                    return await self._apply_at_once(connection, operations)
                except _CONFLICTS:
                    _log.debug("writes.conflict", operations=len(operations))
            return await self._apply_locked(connection, operations)

    async def _apply_at_once(
        self, connection: "Connection[Record]", operations: Sequence[Operation]
    ) -> list[Answer | RequestError]:
        """The usual way: nobody else changes these tasks between the reading and the one statement that writes.

        That statement takes the lock, and undoes itself when a task is no longer as it was read, or an id is in use.
        """
        remembered = self._memory.queued.take(_reported_tasks(operations))
        batch = await self._load(connection, operations, remembered=remembered)
        answers = _decide(batch, operations)
        if batch.kinds.changed or batch.queues.added or any(isinstance(answer, _MAYBE_STALE) for answer in answers):
            # Kinds and queues are written under the lock only; another store may have made room in a queue, or the
            # queue that a kind declares.
            raise StaleStateError
        if any(batch.tasks.states.get(state.id) is state for state in remembered):
            # What is not written is not compared with its row.
            raise StaleStateError
        first_position = await self._write(connection, batch)
        self._committed(batch, first_position)
        return answers

    async def _apply_locked(
        self, connection: "Connection[Record]", operations: Sequence[Operation]
    ) -> list[Answer | RequestError]:
        """The certain way: with the lock held, what is read is still so when it is written."""
        await connection.execute(statements.BEGIN_UNDER_LOCK)
        new_ids = [task.id for operation in operations for task in new_tasks(operation)]
        of_schedules = [it for it in operations if isinstance(it, _OF_SCHEDULES)]
        new_ids += [task_id for operation in of_schedules for task_id in named_new_tasks(operation)]
        used = await connection.fetch(statements.USED_IDS, new_ids)
        await self._memory.read_queues(connection)
        schedules = await self._read_schedules(connection, of_schedules)
        term = None
        if any(isinstance(operation, GiveTurns) for operation in operations):
            term = await connection.fetchval(statements.TURN_TERM)
        used_ids = [row["task_id"] for row in used]
        batch = await self._load(
            connection, operations, used_ids=used_ids, term=term, schedules=schedules, is_locked=True
        )
        answers = _decide(batch, operations)
        await _write_rare(connection, batch)
        try:
            first_position = await self._write(connection, batch, is_locked=True)
        except StaleStateError as error:
            raise DatabaseUnavailableError("A task was changed outside of Taskmill at the same moment.") from error
        await connection.execute("COMMIT")
        self._committed(batch, first_position)
        return answers

    async def _load(
        self,
        connection: "Connection[Record]",
        operations: Sequence[Operation],
        *,
        remembered: Sequence[TaskState] = (),
        used_ids: Sequence[UUID] = (),
        term: int | None = None,
        schedules: ScheduleBook | None = None,
        is_locked: bool = False,
    ) -> Batch:
        operations = list(filterfalse(names_nothing, operations))
        task_ids = {task_id for operation in operations for task_id in named_tasks(operation)}
        if schedules is not None:
            task_ids.update(schedules.running)
        edits = filter(wants_documents, operations)
        whole_ids = {task_id for operation in edits for task_id in named_tasks(operation)}
        unique_keys = [key for operation in operations for key in named_unique_keys(operation)]
        holds = await read_holds(connection, unique_keys) if unique_keys else []
        if holds:
            # Whoever holds a key may be changed, and answered.
            holders = {hold.task_id for hold in holds}
            task_ids, whole_ids = task_ids | holders, whole_ids | holders
        task_ids.difference_update(state.id for state in remembered)
        rows = await connection.fetch(self._load_statement, task_ids, whole_ids) if task_ids else []
        bulk_ids = [bulk_id for operation in operations if (bulk_id := named_bulk_operation(operation)) is not None]
        bulk = await read_bulk_operations(connection, bulk_ids) if bulk_ids else []
        names = [name for operation in operations if (name := named_key(operation)) is not None]
        answers = await connection.fetch(statements.STORED_ANSWERS, *arrays(names, 2)) if names else []
        return Batch(
            [*remembered, *map(task_state, rows)],
            used_ids,
            queues=QueueBook(self._memory.queues, self._max_queues, self._max_queued_tasks),
            kinds=KindBook(self._memory.kinds),
            keys=KeyBook(map(KeyedAnswer._make, answers)),
            bulk_operations=BulkBook(bulk),
            schedules=schedules,
            dependencies=await read_dependencies(connection, operations) if is_locked else None,
            services=self._memory.services,
            rules=self._rules,
            now=self._now(),
            random=self._random,
            paused=self._memory.paused,
            epoch=self._epoch,
            turns=TurnBook(self._memory.limits, term),
            unique=UniqueBook(unique_keys, holds),
        )

    def _may_load_unlocked(self, operations: Sequence[Operation]) -> bool:
        """Whether nothing is named that must be looked for under the lock.

        That is the number of queues, bulk operations, schedules, dependencies, and whether an id was in use in an
        earlier month.
        """
        queues = {queue for operation in operations for queue in named_queues(operation)}
        others = filterfalse(names_nothing, operations)
        if not queues <= self._memory.queues.keys() or any(isinstance(operation, UNDER_LOCK) for operation in others):
            return False
        new_ids = NewIds(self._now())
        new = (task for operation in operations for task in new_tasks(operation))
        return all(task.id in new_ids and not task.after for task in new)

    async def _read_schedules(
        self, connection: "Connection[Record]", operations: Sequence[ScheduleOperation]
    ) -> ScheduleBook | None:
        return await read_schedules(connection, operations, self._max_schedules) if operations else None

    async def _write(self, connection: "Connection[Record]", batch: Batch, *, is_locked: bool = False) -> int | None:
        """Write what was decided; return the position of the first event in the log, if there are events."""
        failpoint("store.before_commit")
        parts, touched = _parts(batch, is_locked=is_locked)
        # What else there may be goes with one of these.
        if parts.keys().isdisjoint(("events", "moved", "edited", "keys")):
            return None
        try:
            row = await connection.fetchrow(
                statements.write_statement(tuple(parts)), touched, *chain.from_iterable(parts.values())
            )
        except DivisionByZeroError as error:
            raise StaleStateError from error
        assert row is not None  # noqa: S101  (an aggregate always has one)
        _, waiting, first_position = row
        if waiting is not None:
            self._memory.queues.update(orjson.loads(waiting))
        return cast("int | None", first_position)

    def _committed(self, batch: Batch, first_position: int | None) -> None:
        failpoint("store.after_commit")
        self._memory.note(batch.queues.added, batch.kinds.changed, batch.said)
        self._memory.queued.note(batch.tasks.states.values())
        self._note(batch)
        if first_position is not None:
            self._newest_position = first_position + len(batch.tasks.events) - 1
            self._on_commit(committed_events(batch, first_position))
        if batch.tasks.next_run_at is not None:
            self._on_scheduled(batch.tasks.next_run_at)
        if batch.bulk_operations.added:
            self._on_bulk_operation()
        if batch.schedules.is_any_changed:
            self._on_schedule()


def committed_events(batch: Batch, first_position: int) -> Sequence[UnpublishedEvent]:
    """The events of a batch that has just been committed; none when the relay has to read them."""
    try:
        return unpublished_events(batch.tasks.events, batch.tasks.states, batch.kinds, first_position)
    except PayloadNotReadError:
        return ()


def _parts(batch: Batch, *, is_locked: bool) -> tuple[dict[str, Sequence[object]], int]:
    """What each of `statements.PARTS` takes that has anything to write of a batch, and how many rows they touch."""
    tasks, counted, term = batch.tasks, batch.queues.changes, batch.turns.given_in
    changed, deleted = tasks.changed, tasks.deleted
    moving_only = all(statements.moves_only(before, after) for before, after in changed)
    parts: dict[str, Sequence[object]] = {
        "created": _rows(map(_created_row, tasks.created)),
        "moved" if moving_only else "edited": _rows(
            _changed_row(before, after, moving_only=moving_only) for before, after in changed
        ),
        "deleted": _rows({"id": task_id, "read_version": version} for version, task_id in deleted),
        # One that is open is read from its task's row. Who finds that one was written all the same comes back locked.
        "attempts_over" if is_locked else "attempts": _rows(
            _attempt_row(attempt) for attempt in tasks.attempts if attempt.outcome is not None
        ),
        "counts": _rows(change._asdict() for change in counted),
        "keys": _rows(answer._asdict() for answer in batch.keys.added),
        "lines": _line_rows(lines, tasks.dropped_lines) if (lines := tasks.lines) else (),
        "turns": () if term is None else (term, json_rows(start._asdict() for start in batch.turns.starts)),
        "unique": unique_rows(batch.unique),
        "events": event_columns(tasks.events) if tasks.events else (),
    }
    touched = len(changed) + len(deleted) + len(counted) + len(batch.unique.moved) + (term is not None)
    return {name: taken for name, taken in parts.items() if taken}, touched


def _rows(rows: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    """Rows as the one parameter of a part; none of no rows."""
    found = list(rows)
    return (json_rows(found),) if found else ()


def _changed_row(before: TaskState, after: TaskState, *, moving_only: bool) -> dict[str, object]:
    row = (_moved_row if moving_only else _edited_row)(after) | statements.read_marks(before)
    if after.payload is not None:
        # Documents that were read and are the same need not travel back.
        for name in DOCUMENTS:
            if getattr(before, name) is getattr(after, name):
                row.pop(name, None)
    return row


def _reported_tasks(operations: Sequence[Operation]) -> set[UUID]:
    """The tasks that a batch speaks of, if none but processors do: clients are answered by what is so now."""
    task_ids: set[UUID] = set()
    for operation in operations:
        # Of its very class, as in `names_nothing`.
        if type(operation) is ReportBundle:
            task_ids.update(named_tasks(operation))
        elif not names_nothing(operation):
            return set()
    return task_ids


def _line_rows(lines: Sequence[LineState], dropped: Sequence[tuple[UUID, int]]) -> tuple[str, str]:
    return (
        json_rows(line._asdict() for line in lines),
        json_rows({"task_id": task_id, "position": position} for task_id, position in dropped),
    )


async def _write_rare(connection: "Connection[Record]", batch: Batch) -> None:
    """Write the queues that a batch added, and what it changed of all that changes rarely."""
    if batch.queues.added:
        await connection.execute(statements.ADD_QUEUES, batch.queues.added)
    if batch.kinds.changed:
        rows = [kind_row(name, defaults) for name, defaults in batch.kinds.changed.items()]
        await connection.execute(statements.DECLARE_KINDS, json_rows(rows))
    await write_bulk_operations(connection, batch.bulk_operations)
    await write_schedules(connection, batch.schedules)
    await write_dependencies(connection, batch.dependencies)


def _decide(batch: Batch, operations: Sequence[Operation]) -> list[Answer | RequestError]:
    answers: list[Answer | RequestError] = []
    for operation in operations:
        try:
            answers.append(batch.decide(operation))
        except RequestError as refusal:
            answers.append(refusal)
        except Exception as error:
            # A fault of ours, but of one operation: refusing the batch lets its neighbours be applied without it.
            _log.exception("operation.not_decided", operation=type(operation).__name__)
            raise BatchRefusedError from error
    return answers
