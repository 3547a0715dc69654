"""What requests ask of the store: one function for each, from the body of the request to that of the reply.

All raise `TaskmillError`s only; those of the form of a request (`InvalidJsonError`, `InvalidRequestError`) and
`DatabaseUnavailableError` may come from any of them.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from taskmill.contracts.bulk_operations import GetBulkOperation, StartBulkOperation
from taskmill.contracts.errors import TaskmillError
from taskmill.contracts.json_text import read_json
from taskmill.contracts.requests import (
    REPLAYED_HEADER,
    CancelTask,
    CheckHealth,
    ComponentState,
    CreateTask,
    CreateTasks,
    DeleteTask,
    DeleteTaskReply,
    GetTask,
    ListAttempts,
    ListEvents,
    ListTasks,
    ProcessTask,
    StoreHealth,
    UpdateTask,
)
from taskmill.runtime.clock import Clock
from taskmill.runtime.reply import Reply
from taskmill.task_store.domain.cursors import (
    ListPosition,
    list_cursor,
    number_cursor,
    parse_list_cursor,
    parse_number_cursor,
)
from taskmill.task_store.domain.documents import (
    attempt_document,
    bulk_operation_document,
    fitting,
    page_document,
    receipts_document,
    summary_document,
    task_document,
)
from taskmill.task_store.domain.operations import Answer, KeyedReply
from taskmill.task_store.domain.state import TaskState
from taskmill.task_store.domain.waiting import ServedWork, waiting_for, waits_for_processors
from taskmill.task_store.ports import BulkOperationReads, Lists, Processors, Reads, RequestWrites

# A `CreateTasks` weighs as much as a thousand other requests: so many at most stand in one batch of the mailbox.
MAX_LARGE_REQUESTS_AT_ONCE = 4

_CREATE = TypeAdapter(CreateTask)
_CREATE_MANY = TypeAdapter(CreateTasks)
_GET = TypeAdapter(GetTask)
_LIST = TypeAdapter(ListTasks)
_UPDATE = TypeAdapter(UpdateTask)
_DELETE = TypeAdapter(DeleteTask)
_PROCESS = TypeAdapter(ProcessTask)
_CANCEL = TypeAdapter(CancelTask)
_START_BULK = TypeAdapter(StartBulkOperation)
_GET_BULK = TypeAdapter(GetBulkOperation)
_ATTEMPTS = TypeAdapter(ListAttempts)
_EVENTS = TypeAdapter(ListEvents)
_HEALTH = TypeAdapter(CheckHealth)

_REPLAYED = {REPLAYED_HEADER: "true"}


@dataclass(frozen=True, slots=True)
class Store:
    """What the use cases work on."""

    writes: RequestWrites
    reads: Reads
    lists: Lists
    processors: Processors
    bulk_operations: BulkOperationReads
    now: Clock
    large_requests: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_LARGE_REQUESTS_AT_ONCE))


async def create_task(store: Store, body: bytes) -> bytes | Reply:
    """`CreateTask` → `Task`.

    Raises `TaskExistsError`, `TooManyQueuesError`, `QueueFullError`, `IdempotencyKeyReusedError`.
    """
    return _task_reply(await store.writes.ask(read_json(_CREATE, body)))


async def create_each_task(store: Store, bodies: Sequence[bytes]) -> Sequence[bytes | Reply | TaskmillError]:
    """What `create_task` does, for requests that came together; each is answered for itself."""
    requests: list[CreateTask] = []
    refusals: dict[int, TaskmillError] = {}
    for index, body in enumerate(bodies):
        try:
            requests.append(read_json(_CREATE, body))
        except TaskmillError as refusal:
            refusals[index] = refusal
    answers = iter(await store.writes.ask_each(requests))
    return [refusals[index] if index in refusals else _told(next(answers)) for index in range(len(bodies))]


async def create_tasks(store: Store, body: bytes) -> bytes | Reply:
    """`CreateTasks` → `CreateTasksReply`: all or none. Raises what `create_task` does."""
    request = read_json(_CREATE_MANY, body)
    async with store.large_requests:
        answer = await store.writes.ask(request)
    return receipts_document(answer.states) if answer.keyed is None else _keyed_reply(answer.keyed)


async def get_task(store: Store, body: bytes) -> bytes:
    """`GetTask` → `Task`. Raises `TaskNotFoundError`."""
    request = read_json(_GET, body)
    task = await store.reads.task(request.id)
    return task_document(task, waiting_for(task, await _services(store, [task])))


async def list_tasks(store: Store, body: bytes) -> bytes:
    """`ListTasks` → `TaskPage`."""
    request = read_json(_LIST, body)
    after = None if request.cursor is None else parse_list_cursor(request.cursor)
    found = await store.lists.tasks(request, after)
    services = await _services(store, found)
    items = fitting(summary_document(task, waiting_for(task, services)) for task in found[: request.limit])
    if len(items) == len(found):
        return page_document(items, None)
    last = found[len(items) - 1]
    return page_document(items, list_cursor(ListPosition(last.created_at, last.id)))


async def update_task(store: Store, body: bytes) -> bytes | Reply:
    """`UpdateTask` → `Task`. Raises what `domain.editing` does, `TaskNotFoundError` and `TooManyQueuesError`."""
    return _task_reply(await store.writes.ask(read_json(_UPDATE, body)))


async def delete_task(store: Store, body: bytes) -> bytes:
    """`DeleteTask` → `DeleteTaskReply`. Raises `TaskNotFoundError`, `RevisionMismatchError`, `RunActiveError`."""
    (deleted,) = (await store.writes.ask(read_json(_DELETE, body))).states
    return DeleteTaskReply(id=deleted.id, version=deleted.version).model_dump_json().encode()


async def process_task(store: Store, body: bytes) -> bytes | Reply:
    """`ProcessTask` → `Task`.

    Raises `TaskNotFoundError`, `RevisionMismatchError`, `RunActiveError`, `QueueFullError`,
    `IdempotencyKeyReusedError`.
    """
    return _task_reply(await store.writes.ask(read_json(_PROCESS, body)))


async def cancel_task(store: Store, body: bytes) -> bytes | Reply:
    """`CancelTask` → `Task`.

    Raises `TaskNotFoundError`, `RevisionMismatchError`, `AlreadyFinishedError`, `IdempotencyKeyReusedError`.
    """
    return _task_reply(await store.writes.ask(read_json(_CANCEL, body)))


async def start_bulk_operation(store: Store, body: bytes) -> bytes | Reply:
    """`StartBulkOperation` → `BulkOperation`. Raises `IdempotencyKeyReusedError`."""
    answer = await store.writes.ask(read_json(_START_BULK, body))
    if answer.keyed is not None:
        return _keyed_reply(answer.keyed)
    assert answer.bulk_operation is not None  # noqa: S101  (that is the answer to this request)
    return bulk_operation_document(answer.bulk_operation)


async def get_bulk_operation(store: Store, body: bytes) -> bytes:
    """`GetBulkOperation` → `BulkOperation`. Raises `BulkOperationNotFoundError`."""
    request = read_json(_GET_BULK, body)
    return bulk_operation_document(await store.bulk_operations.bulk_operation(request.id))


async def list_attempts(store: Store, body: bytes) -> bytes:
    """`ListAttempts` → `AttemptPage`. Raises `TaskNotFoundError`."""
    request = read_json(_ATTEMPTS, body)
    after_attempt = parse_number_cursor(request.cursor)
    found = await store.lists.attempts(request.task_id, after_attempt=after_attempt, limit=request.limit + 1)
    if not found:
        # A task that was never processed has no attempts; one that does not exist is an error.
        await store.reads.task(request.task_id)
    items = fitting(map(attempt_document, found[: request.limit]))
    is_last = len(items) == len(found)
    return page_document(items, None if is_last else number_cursor(found[len(items) - 1].attempt))


async def list_events(store: Store, body: bytes) -> bytes:
    """`ListEvents` → `EventPage`, also of a deleted task. Raises `TaskNotFoundError`."""
    request = read_json(_EVENTS, body)
    after_version = parse_number_cursor(request.cursor)
    found = await store.reads.events(request.task_id, after_version=after_version, limit=request.limit)
    return page_document(found.documents, number_cursor(found.last_version) if found.has_more else None)


async def check_health(store: Store, body: bytes) -> bytes:
    """`CheckHealth` → `StoreHealth`."""
    read_json(_HEALTH, body)
    postgresql = ComponentState.UP if await store.reads.is_reachable() else ComponentState.DOWN
    return StoreHealth(postgresql=postgresql).model_dump_json().encode()


def _told(answer: Answer | TaskmillError) -> bytes | Reply | TaskmillError:
    return answer if isinstance(answer, TaskmillError) else _task_reply(answer)


def _task_reply(answer: Answer) -> bytes | Reply:
    return task_document(answer.states[0], answer.waiting) if answer.keyed is None else _keyed_reply(answer.keyed)


def _keyed_reply(keyed: KeyedReply) -> Reply:
    return Reply(keyed.document.encode(), _REPLAYED if keyed.is_replayed else {})


async def _services(store: Store, tasks: Sequence[TaskState]) -> list[ServedWork]:
    """What the living processors do, if any of the tasks waits for them."""
    if not any(map(waits_for_processors, tasks)):
        return []
    return await store.processors.services(store.now())
