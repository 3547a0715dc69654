"""How a bulk operation goes through its tasks: chunk by chunk, each task once.

A chunk is decided, and written, together with how far the operation is behind it. So a chunk that was carried out, and
whose answer got lost, is found to be done; nothing is carried out twice, and nothing has to be remembered per task.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import orjson

from taskmill.contracts.bulk_operations import BulkAction, BulkStatus, BulkWait, StartBulkOperation
from taskmill.contracts.errors import InvalidRequestError, QueueFullError, RequestError, TaskNotFoundError
from taskmill.contracts.requests import CancelTask, DeleteTask, ProcessTask, TaskFilter
from taskmill.task_store.domain.cursors import number_cursor, parse_number_cursor
from taskmill.task_store.domain.filters import meets
from taskmill.task_store.domain.idempotency import ID_TAKEN
from taskmill.task_store.domain.state import JsonText, TaskState

BulkRequest = ProcessTask | CancelTask | DeleteTask


class BulkOperationState(NamedTuple):
    """A bulk operation's row: these fields, in this order, are the columns of `bulk_operations`.

    Fields whose name is that of a field of `BulkOperation` or `BulkCounts` of the contracts mean the same.
    """

    id: UUID
    action: BulkAction
    filter: JsonText | None
    """A `TaskFilter`."""
    ids: list[UUID] | None
    dry_run: bool
    force: bool
    status: BulkStatus
    waiting_for: BulkWait | None
    position: str | None
    """The cursor behind the last task that was asked; None: none was."""
    matched: int
    done: int
    refusals: JsonText
    created_at: datetime
    finished_at: datetime | None

    @property
    def conditions(self) -> TaskFilter | None:
        """The filter."""
        return None if self.filter is None else TaskFilter.model_validate_json(self.filter)


class Candidate(NamedTuple):
    """A task that a bulk operation comes to next."""

    id: UUID
    revision: int | None
    """That with which it met the filter; None: it was named."""
    position: str
    """The cursor behind it."""


class BulkChunk(NamedTuple):
    """Carry out the next part of a bulk operation, if that is where it stands."""

    operation_id: UUID
    position: str | None
    """Where the operation stood when the candidates were looked for."""
    candidates: tuple[Candidate, ...]
    is_last: bool
    """Whether no task follows."""

    def first(self, count: int) -> "BulkChunk":
        """The first so many of its candidates."""
        is_whole = count >= len(self.candidates)
        return self if is_whole else self._replace(candidates=self.candidates[:count], is_last=False)


def named_chunk(operation: BulkOperationState, limit: int) -> BulkChunk:
    """The next chunk of an operation that names its tasks, of at most `limit`."""
    ids = operation.ids or []
    start = parse_number_cursor(operation.position)
    candidates = [Candidate(ids[index], None, number_cursor(index + 1)) for index in range(start, len(ids))[:limit]]
    return BulkChunk(operation.id, operation.position, tuple(candidates), start + limit >= len(ids))


class BulkBook:
    """The bulk operations that a batch speaks of, and what it changes of them.

    Args:
        known: Those that its chunks belong to, or whose ids it wants for others.
    """

    def __init__(self, known: Iterable[BulkOperationState]) -> None:
        self._known = {operation.id: operation for operation in known}
        self.added: list[BulkOperationState] = []
        self.changed: dict[UUID, BulkOperationState] = {}

    def start(self, request: StartBulkOperation, now: datetime) -> BulkOperationState:
        """Note a new operation.

        Raises:
            InvalidRequestError: Another one has its id.
        """
        if request.id in self._known or any(request.id == other.id for other in self.added):
            raise InvalidRequestError(errors=[ID_TAKEN])
        operation = BulkOperationState(
            id=request.id,
            action=request.action,
            filter=None if request.filter is None else request.filter.model_dump_json(exclude_defaults=True),
            ids=request.ids,
            dry_run=request.dry_run,
            force=request.force,
            status=BulkStatus.RUNNING,
            waiting_for=None,
            position=None,
            matched=0,
            done=0,
            refusals="{}",
            created_at=now,
            finished_at=None,
        )
        self.added.append(operation)
        return operation

    def carry_out(
        self,
        chunk: BulkChunk,
        tasks: Mapping[UUID, TaskState],
        change: Callable[[BulkRequest], object],
        now: datetime,
    ) -> BulkOperationState | None:
        """Ask each task of a chunk what is wanted, and count what becomes of it.

        A queue that is full ends the chunk: the operation waits there. A chunk that has been carried out changes
        nothing.

        Args:
            chunk: What is next.
            tasks: The tasks as they are.
            change: Carries out a request, or refuses it and leaves everything as it was.
            now: When it is decided.

        Returns:
            The operation as it is now; None: there is none.
        """
        operation = self.changed.get(chunk.operation_id) or self._known.get(chunk.operation_id)
        if operation is None or operation.status is BulkStatus.COMPLETED or operation.position != chunk.position:
            return operation
        tally = _Tally(operation)
        for candidate in chunk.candidates:
            try:
                tally.ask(candidate, tasks.get(candidate.id), change)
            except QueueFullError:
                tally.waiting_for = BulkWait.ROOM_IN_QUEUE
                break
        after = tally.operation(finished_at=now if chunk.is_last and tally.waiting_for is None else None)
        self.changed[operation.id] = after
        return after


class _Tally:
    """Counts what becomes of the tasks of a chunk."""

    def __init__(self, operation: BulkOperationState) -> None:
        self._operation = operation
        self._conditions = operation.conditions
        self._position = operation.position
        self._matched = operation.matched
        self._done = operation.done
        self._refusals = Counter[str](orjson.loads(operation.refusals))
        self.waiting_for: BulkWait | None = None

    def ask(self, candidate: Candidate, task: TaskState | None, change: Callable[[BulkRequest], object]) -> None:
        """Ask one task.

        Raises:
            QueueFullError: It has not been asked: there is no room for it.
        """
        if self._is_wanted(candidate, task):
            try:
                self._done += self._change(candidate.id, task, change)
            except QueueFullError:
                raise
            except RequestError as refusal:
                self._refusals[refusal.code] += 1
            self._matched += 1
        self._position = candidate.position

    def operation(self, finished_at: datetime | None) -> BulkOperationState:
        """The operation behind what was asked; completed, if an end is given."""
        return self._operation._replace(
            status=BulkStatus.RUNNING if finished_at is None else BulkStatus.COMPLETED,
            waiting_for=self.waiting_for,
            position=self._position,
            matched=self._matched,
            done=self._done,
            refusals=orjson.dumps(self._refusals).decode(),
            finished_at=finished_at,
        )

    def _is_wanted(self, candidate: Candidate, task: TaskState | None) -> bool:
        """Whether it is named, or still meets the filter: it may have changed since it was looked for."""
        if self._conditions is None:
            return True
        return task is not None and (task.revision == candidate.revision or meets(task, self._conditions))

    def _change(self, task_id: UUID, task: TaskState | None, change: Callable[[BulkRequest], object]) -> bool:
        """Carry out what is wanted of a task; return whether it did: a dry run only looks whether it exists."""
        if self._operation.dry_run:
            if task is None:
                raise TaskNotFoundError
            return False
        change(_request(self._operation, task_id))
        return True


def _request(operation: BulkOperationState, task_id: UUID) -> BulkRequest:
    match operation.action:
        case BulkAction.PROCESS:
            return ProcessTask(id=task_id)
        case BulkAction.CANCEL:
            return CancelTask(id=task_id)
        case BulkAction.DELETE:
            return DeleteTask(id=task_id, force=operation.force)
