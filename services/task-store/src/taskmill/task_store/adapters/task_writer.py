"""Applies batches of operations: lock, load, decide, write."""

from collections.abc import Callable, Sequence

import structlog
from asyncpg import Connection, Record, UniqueViolationError

from taskmill.contracts.errors import DatabaseUnavailableError, RequestError
from taskmill.contracts.requests import CreateTask, CreateTasks
from taskmill.runtime.clock import Clock
from taskmill.runtime.mailbox import BatchRefusedError
from taskmill.task_store.adapters import statements
from taskmill.task_store.adapters.database import Lane
from taskmill.task_store.adapters.rows import json_rows, task_state
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
        """Apply operations in their order, in one transaction.

        Returns:
            What each request is answered: the tasks that it changed, or why it is refused.

        Raises:
            BatchRefusedError: PostgreSQL refuses the data of one of them; nothing was applied.
            DatabaseUnavailableError: Nothing was applied, or, if the connection broke during the commit, all.
        """
        async with self._lane.connection() as connection:
            answers = await self._create_only(connection, operations)
            return await self._transact(connection, operations) if answers is None else answers

    async def _create_only(
        self, connection: "Connection[Record]", operations: Sequence[Operation]
    ) -> list[Answer | RequestError] | None:
        """The fast path: new tasks need nothing read, and are written by one statement that commits by itself.

        Returns:
            None, with nothing written, when there is more to it: other operations, a new queue, an id in use.
        """
        for operation in operations:
            if not isinstance(operation, CreateTask | CreateTasks):
                return None
            if not self._known_queues.issuperset(named_queues(operation)):
                return None
        batch = Batch((), (), QueueBook(self._known_queues, self._max_queues), self._rules, self._now())
        answers = _decide(batch, operations)
        try:
            await self._write(connection, batch)
        except UniqueViolationError:
            return None
        self._committed(batch)
        return answers

    async def _transact(
        self, connection: "Connection[Record]", operations: Sequence[Operation]
    ) -> list[Answer | RequestError]:
        await connection.execute(statements.BEGIN_UNDER_LOCK)
        batch = await self._load(connection, operations)
        answers = _decide(batch, operations)
        await self._write(connection, batch)
        await connection.execute("COMMIT")
        self._committed(batch)
        return answers

    async def _load(self, connection: "Connection[Record]", operations: Sequence[Operation]) -> Batch:
        """Everything that the operations need to know, which nobody else can change before the commit."""
        task_ids = {task_id for operation in operations for task_id in named_tasks(operation)}
        edited = filter(wants_documents, operations)
        whole_ids = {task_id for operation in edited for task_id in named_tasks(operation)}
        new_ids = [task.id for operation in operations for task in new_tasks(operation)]
        rows = await connection.fetch(statements.LOAD, task_ids, whole_ids) if task_ids else []
        used = await connection.fetch(statements.USED_IDS, new_ids) if new_ids else []
        queues = await self._queue_names(connection, operations)
        return Batch(
            map(task_state, rows),
            (row["task_id"] for row in used),
            QueueBook(queues, self._max_queues),
            self._rules,
            self._now(),
        )

    async def _queue_names(self, connection: "Connection[Record]", operations: Sequence[Operation]) -> set[str]:
        named = {queue for operation in operations for queue in named_queues(operation)}
        if not named <= self._known_queues:
            self._known_queues.update(row["name"] for row in await connection.fetch(statements.QUEUE_NAMES))
        return self._known_queues

    async def _write(self, connection: "Connection[Record]", batch: Batch) -> None:
        changed, deleted = batch.changed, batch.deleted
        if not (batch.events or changed or batch.queues.added):
            return
        written = await connection.fetchval(
            statements.WRITE,
            json_rows(state._asdict() for state in batch.created),
            json_rows({**state._asdict(), "read_version": version} for version, state in changed),
            json_rows({"id": task_id, "read_version": version} for version, task_id in deleted),
            json_rows(attempt._asdict() for attempt in batch.attempts),
            json_rows({**event._asdict(), "ordinal": ordinal} for ordinal, event in enumerate(batch.events)),
            batch.queues.added,
        )
        if written != len(changed) + len(deleted):
            raise DatabaseUnavailableError("A task was changed outside of Taskmill at the same moment.")

    def _committed(self, batch: Batch) -> None:
        self._known_queues.update(batch.queues.added)
        if batch.events:
            self._on_commit()


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
