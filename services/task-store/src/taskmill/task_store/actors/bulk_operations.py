"""Carries out bulk operations."""

import asyncio
from uuid import UUID

import structlog

from taskmill.contracts.bulk_operations import BulkAction
from taskmill.contracts.errors import TaskmillError
from taskmill.runtime.actor import unless_set
from taskmill.runtime.leadership import Leadership
from taskmill.task_store.actors.leader_duty import LeaderDuty
from taskmill.task_store.adapters.bulk_operation_rows import BulkOperationRows
from taskmill.task_store.adapters.task_lists import TaskLists
from taskmill.task_store.domain.bulk_operations import BulkChunk, BulkOperationState, named_chunk
from taskmill.task_store.domain.removal import removed_at_once
from taskmill.task_store.ports import Writes

_log = structlog.get_logger(__name__)

MAX_TASKS_IN_A_CHUNK = 200
"""So many tasks are asked in one batch, for which other requests wait: more would hardly go faster. Of those that are
deleted fewer, if they have many lines."""

MAX_OPERATIONS_AT_ONCE = 100

_FIRST_ID = UUID(int=0)

LOOK_INTERVAL_SECONDS = 1
"""How often to look for what another store began, and whether an operation that waits can go on."""


class BulkOperations(LeaderDuty):
    """Goes through the tasks of every bulk operation that runs.

    The operations take turns, a chunk each, so that a small one is not held up by a large one. Nothing is remembered
    from one turn to the next but what is committed: whoever leads goes on behind the last chunk, and a chunk of a store
    that no longer leads changes nothing. While PostgreSQL is away, or too much waits to be written, they pause.

    Args:
        rows: The operations.
        lists: Finds the tasks that meet a filter.
        writes: Where the changes are asked for.
        leadership: Says whether this store leads.
        begun: Set by whoever begins an operation, so that it need not wait for the next look.
    """

    name = "bulk-operations"

    def __init__(
        self, rows: BulkOperationRows, lists: TaskLists, writes: Writes, leadership: Leadership, *, begun: asyncio.Event
    ) -> None:
        super().__init__(leadership, interval_seconds=LOOK_INTERVAL_SECONDS, woken=begun)
        self._rows = rows
        self._lists = lists
        self._writes = writes
        self._last_id = _FIRST_ID

    async def work(self) -> float | None:
        """Carry out a chunk of each operation; go on at once if one of them got on."""
        operations = await self._rows.running(MAX_OPERATIONS_AT_ONCE, behind=self._last_id)
        # Those that there are too many of to be looked at in one go come next, or they would wait for those before.
        self._last_id = operations[-1].id if len(operations) == MAX_OPERATIONS_AT_ONCE else _FIRST_ID
        return 0 if any([await self._carry_on(operation) for operation in operations]) else None

    async def _carry_on(self, operation: BulkOperationState) -> bool:
        """Carry out the next chunk; return whether the operation got on."""
        try:
            # A look may take long.
            chunk = await unless_set(self._stop_requested, self._next_chunk(operation))
            if chunk is None:
                return False
            after = (await self._writes.ask(chunk)).bulk_operation
        except TaskmillError as error:
            _log.warning("bulk_operation.postponed", operation_id=str(operation.id), code=error.code)
            return False
        return after is not None and after.waiting_for is None

    async def _next_chunk(self, operation: BulkOperationState) -> BulkChunk:
        if operation.ids is not None:
            chunk = named_chunk(operation, MAX_TASKS_IN_A_CHUNK)
        else:
            chunk = await self._lists.chunk(operation, MAX_TASKS_IN_A_CHUNK)
        if operation.action is not BulkAction.DELETE or operation.dry_run:
            return chunk
        task_ids = [candidate.id for candidate in chunk.candidates]
        lines = await self._rows.lines(task_ids)
        return chunk.first(removed_at_once(lines.get(task_id, 0) for task_id in task_ids))
