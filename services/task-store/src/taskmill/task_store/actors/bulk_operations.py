"""Carries out bulk operations."""

import asyncio
from collections.abc import Callable, Coroutine
from uuid import UUID

import structlog

from taskmill.contracts.errors import TaskmillError
from taskmill.runtime.actor import Actor, is_set_within
from taskmill.runtime.leadership import Leadership
from taskmill.task_store.adapters.bulk_operation_rows import BulkOperationRows
from taskmill.task_store.adapters.task_lists import TaskLists
from taskmill.task_store.domain.bulk_operations import BulkChunk, BulkOperationState, named_chunk
from taskmill.task_store.ports import Writes

_log = structlog.get_logger(__name__)

MAX_TASKS_IN_A_CHUNK = 200
"""So many tasks are asked in one batch, for which other requests wait: more would hardly go faster."""

MAX_OPERATIONS_AT_ONCE = 100

_FIRST_ID = UUID(int=0)

LOOK_INTERVAL_SECONDS = 1
"""How often to look for what another store began, and whether an operation that waits can go on."""


class BulkOperations(Actor):
    """Goes through the tasks of every bulk operation that runs, in the store that leads the relay.

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
        self._rows = rows
        self._lists = lists
        self._writes = writes
        self._leadership = leadership
        self._woken = begun
        self._last_id = _FIRST_ID
        self._stop_requested = asyncio.Event()

    def stop(self) -> None:
        """Begin the drain: a chunk that is asked for is awaited."""
        self._stop_requested.set()
        self._woken.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Carry on whatever runs until stopped."""
        started()
        while not self._stop_requested.is_set():
            self._woken.clear()
            if not await self._take_turns():
                await is_set_within(self._woken, LOOK_INTERVAL_SECONDS)

    async def _take_turns(self) -> bool:
        """Carry out a chunk of each operation; return whether one of them got on."""
        if not self._leadership.is_leader:
            return False
        try:
            operations = await self._rows.running(MAX_OPERATIONS_AT_ONCE, behind=self._last_id)
        except TaskmillError as error:
            _log.warning("bulk_operations.postponed", code=error.code)
            return False
        # Those that there are too many of to be looked at in one go come next, or they would wait for those before.
        self._last_id = operations[-1].id if len(operations) == MAX_OPERATIONS_AT_ONCE else _FIRST_ID
        return any([await self._carry_on(operation) for operation in operations])

    async def _carry_on(self, operation: BulkOperationState) -> bool:
        """Carry out the next chunk; return whether the operation got on."""
        try:
            chunk = await self._unless_stopped(self._next_chunk(operation))
            if chunk is None:
                return False
            after = (await self._writes.ask(chunk)).bulk_operation
        except TaskmillError as error:
            _log.warning("bulk_operation.postponed", operation_id=str(operation.id), code=error.code)
            return False
        return after is not None and after.waiting_for is None

    async def _next_chunk(self, operation: BulkOperationState) -> BulkChunk:
        if operation.ids is not None:
            return named_chunk(operation, MAX_TASKS_IN_A_CHUNK)
        return await self._lists.chunk(operation, MAX_TASKS_IN_A_CHUNK)

    async def _unless_stopped(self, looking: Coroutine[None, None, BulkChunk]) -> BulkChunk | None:
        """The chunk, or None when a stop is requested, for a look may take long."""
        look = asyncio.create_task(looking)
        stop = asyncio.create_task(self._stop_requested.wait())
        try:
            await asyncio.wait({look, stop}, return_when=asyncio.FIRST_COMPLETED)
            return None if self._stop_requested.is_set() else await look
        finally:
            look.cancel()
            stop.cancel()
            await asyncio.wait({look, stop})
