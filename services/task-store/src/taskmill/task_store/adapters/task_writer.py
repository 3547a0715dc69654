"""Applies batches of operations: load, decide, write.

Writers of events take one lock, so that the order of their commits is the order of the log. The statement that writes
takes it by itself, and undoes itself when what was read is no longer so. Only then is the batch applied the long way:
lock, load, decide, write, commit.
"""

from collections.abc import Callable, Sequence
from uuid import UUID

import structlog
from asyncpg import Connection, DivisionByZeroError, IntegrityConstraintViolationError, Record

from taskmill.contracts.errors import DatabaseUnavailableError, RequestError
from taskmill.runtime.clock import Clock
from taskmill.runtime.mailbox import BatchRefusedError
from taskmill.task_store.adapters import statements
from taskmill.task_store.adapters.database import Lane
from taskmill.task_store.adapters.rows import arrays, json_rows, task_state
from taskmill.task_store.domain.batch import (
    Answer,
    Batch,
    Operation,
    named_queues,
    named_tasks,
    new_tasks,
    wants_documents,
)
from taskmill.task_store.domain.queues import QueueBook
from taskmill.task_store.domain.runs import RunRules

_log = structlog.get_logger(__name__)


class StaleStateError(Exception):
    """A task was no longer as it was read; nothing was written."""


_CONFLICTS = (StaleStateError, IntegrityConstraintViolationError)


class TaskWriter:
    """The one way in which tasks change: `apply` handles the batches of the mailbox that all writes go through.

    Args:
        lane: The connection.
        rules: What the operator decides about runs.
        max_queues: How many queues may exist.
        now: The clock.
        on_commit: Called after each commit that wrote events.
    """

    def __init__(
        self, lane: Lane, *, rules: RunRules, max_queues: int, now: Clock, on_commit: Callable[[], None]
    ) -> None:
        self._lane = lane
        self._rules = rules
        self._max_queues = max_queues
        self._now = now
        self._on_commit = on_commit
        # Queues are never removed: a name that was seen once stays true, whichever store made it.
        self._known_queues: set[str] = set()

    def knows_queue(self, name: str) -> bool:
        """Whether a queue exists for certain: after a batch that named it, whether it exists."""
        return name in self._known_queues

    async def apply(self, operations: Sequence[Operation]) -> list[Answer | RequestError]:
        """Apply operations in their order, all or none.

        Returns:
            What each request is answered: the tasks that it changed, or why it is refused.

        Raises:
            BatchRefusedError: PostgreSQL refuses the data of one of them; nothing was applied.
            DatabaseUnavailableError: Nothing was applied, or, if the connection broke during the commit, all.
        """
        async with self._lane.connection() as connection:
            if self._knows_queues_of(operations):
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
        batch = await self._load(connection, operations, used_ids=())
        answers = _decide(batch, operations)
        await _write(connection, batch)
        self._committed(batch)
        return answers

    async def _apply_locked(
        self, connection: "Connection[Record]", operations: Sequence[Operation]
    ) -> list[Answer | RequestError]:
        """The certain way: with the lock held, what is read is still so when it is written."""
        await connection.execute(statements.BEGIN_UNDER_LOCK)
        new_ids = [task.id for operation in operations for task in new_tasks(operation)]
        used = await connection.fetch(statements.USED_IDS, new_ids)
        self._known_queues.update(row["name"] for row in await connection.fetch(statements.QUEUE_NAMES))
        batch = await self._load(connection, operations, used_ids=[row["task_id"] for row in used])
        answers = _decide(batch, operations)
        try:
            await _write(connection, batch)
        except StaleStateError as error:
            raise DatabaseUnavailableError("A task was changed outside of Taskmill at the same moment.") from error
        await connection.execute("COMMIT")
        self._committed(batch)
        return answers

    async def _load(
        self, connection: "Connection[Record]", operations: Sequence[Operation], *, used_ids: Sequence[UUID]
    ) -> Batch:
        task_ids = {task_id for operation in operations for task_id in named_tasks(operation)}
        edits = filter(wants_documents, operations)
        whole_ids = {task_id for operation in edits for task_id in named_tasks(operation)}
        rows = await connection.fetch(statements.LOAD, task_ids, whole_ids) if task_ids else []
        queues = QueueBook(self._known_queues, self._max_queues)
        return Batch(map(task_state, rows), used_ids, queues, self._rules, self._now())

    def _knows_queues_of(self, operations: Sequence[Operation]) -> bool:
        """Whether no new queue is named: how many there are may be asked under the lock only."""
        return all(self._known_queues.issuperset(named_queues(operation)) for operation in operations)

    def _committed(self, batch: Batch) -> None:
        self._known_queues.update(batch.queues.added)
        if batch.events:
            self._on_commit()


async def _write(connection: "Connection[Record]", batch: Batch) -> None:
    changed, deleted = batch.changed, batch.deleted
    if not (batch.events or changed or batch.queues.added):
        return
    try:
        await connection.execute(
            statements.WRITE,
            json_rows(state._asdict() for state in batch.created),
            json_rows({**state._asdict(), "read_version": version} for version, state in changed),
            json_rows({"id": task_id, "read_version": version} for version, task_id in deleted),
            json_rows(attempt._asdict() for attempt in batch.attempts),
            batch.queues.added,
            len(changed) + len(deleted),
            *arrays(batch.events, len(statements.EVENT_COLUMNS)),
        )
    except DivisionByZeroError as error:
        raise StaleStateError from error


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
