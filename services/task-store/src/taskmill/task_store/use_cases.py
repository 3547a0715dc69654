"""What requests ask of the store: from the request to the body of the reply.

All raise `TaskmillError`s only; `DatabaseUnavailableError` may come from any of them.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from pydantic import TypeAdapter

from taskmill.contracts.bulk_operations import GetBulkOperation
from taskmill.contracts.errors import DatabaseUnavailableError, TaskmillError
from taskmill.contracts.groups import CreateGroup
from taskmill.contracts.json_text import read_json
from taskmill.contracts.kinds import ListKinds
from taskmill.contracts.limits import MAX_DEPENDENCIES, MAX_LISTED_QUEUES, MAX_UNKNOWN_KINDS
from taskmill.contracts.log import ReadLog
from taskmill.contracts.requests import (
    EXISTING_HEADER,
    REPLAYED_HEADER,
    CheckHealth,
    ComponentState,
    CountTasks,
    CreateTask,
    CreateTasks,
    FleetSummary,
    GetCheckpoint,
    GetTask,
    ListAttempts,
    ListEvents,
    ListLines,
    ListTasks,
    ProcessTask,
    StoreHealth,
    TaskCounts,
)
from taskmill.contracts.tasks import WaitingFor, WaitReason
from taskmill.runtime.clock import Clock
from taskmill.runtime.reply import Reply
from taskmill.runtime.tracing import current_traceparent
from taskmill.task_store.domain.cursors import (
    ListPosition,
    list_cursor,
    name_cursor,
    number_cursor,
    parse_list_cursor,
    parse_name_cursor,
    parse_number_cursor,
)
from taskmill.task_store.domain.documents import (
    attempt_document,
    bulk_operation_document,
    events_document,
    is_of_existing,
    line_document,
    log_document,
    page_of,
    reply_document,
    summary_document,
    task_document,
)
from taskmill.task_store.domain.operations import Answer, ClientRequest
from taskmill.task_store.domain.state import TaskState
from taskmill.task_store.domain.turns import held_by
from taskmill.task_store.domain.waiting import PROCESSOR_LIFE, Service, waiting_for, waits_for_processors
from taskmill.task_store.ports import (
    ActivityReads,
    ApiKeys,
    BulkOperationReads,
    Drains,
    Groups,
    Lists,
    LogReads,
    Pauses,
    Predecessors,
    Processors,
    Queues,
    Rates,
    Reads,
    RequestWrites,
    Schedules,
    ServiceReads,
    Turns,
    Webhooks,
)

# A `CreateTasks` weighs as much as a thousand other requests: so many at most stand in one batch of the mailbox.
MAX_LARGE_REQUESTS_AT_ONCE = 4

_CREATE = TypeAdapter(CreateTask)

_Request = TypeVar("_Request", bound=ClientRequest)

_REPLAYED = {REPLAYED_HEADER: "true"}
_EXISTING = {EXISTING_HEADER: "true"}


@dataclass(frozen=True, slots=True)
class Ports:
    """What the use cases work on."""

    creations: RequestWrites
    """Takes the tasks that are to be created."""
    writes: RequestWrites
    """Takes whatever else changes something."""
    reads: Reads
    lists: Lists
    log: LogReads
    processors: Processors
    queues: Queues
    service: ServiceReads
    pauses: Pauses
    drains: Drains
    rates: Rates
    bulk_operations: BulkOperationReads
    webhooks: Webhooks
    api_keys: ApiKeys
    schedules: Schedules
    activity: ActivityReads
    turns: Turns
    groups: Groups
    predecessors: Predecessors
    now: Clock
    on_webhook: Callable[[], None] = lambda: None
    """Called after a webhook was made or changed."""
    on_replay: Callable[[], None] = lambda: None
    """Called after a replay was begun."""
    on_turn_settings: Callable[[], None] = lambda: None
    """Called after a limit or a share was made, changed or deleted."""
    large_requests: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_LARGE_REQUESTS_AT_ONCE))


async def change(ports: Ports, request: ClientRequest) -> bytes | Reply:
    """Any request that changes something → what the registry says. Raises what the rules that it meets do."""
    mailbox = ports.creations if isinstance(request, CreateTask | CreateTasks) else ports.writes
    return _reply(request, await mailbox.ask(_in_trace(request, current_traceparent())))


async def create_each_task(
    ports: Ports, bodies: Sequence[bytes], traceparents: Sequence[str | None]
) -> Sequence[bytes | Reply | TaskmillError]:
    """Each `CreateTask` → `Task`, for requests that came together; each is answered for itself."""
    requests: list[CreateTask] = []
    refusals: dict[int, TaskmillError] = {}
    for index, (body, traceparent) in enumerate(zip(bodies, traceparents, strict=True)):
        try:
            requests.append(_in_trace(read_json(_CREATE, body), traceparent))
        except TaskmillError as refusal:
            refusals[index] = refusal
    answers = zip(requests, await ports.creations.ask_each(requests), strict=True)
    return [refusals[index] if index in refusals else _reply_or_error(*next(answers)) for index in range(len(bodies))]


async def create_tasks(ports: Ports, request: CreateTasks) -> bytes | Reply:
    """`CreateTasks` → `CreateTasksReply`: all or none."""
    async with ports.large_requests:
        return await change(ports, request)


async def get_task(ports: Ports, request: GetTask) -> bytes:
    """`GetTask` → `Task`. Raises `TaskNotFoundError`."""
    task = await ports.reads.task(request.id)
    [waiting] = await _waiting(ports, [task])
    if waiting is not None and waiting.reason is WaitReason.DEPENDENCIES:
        after = await ports.predecessors.waiting_for(task.id, MAX_DEPENDENCIES)
        waiting = waiting.model_copy(update={"after": after})
    return task_document(task, waiting)


async def get_checkpoint(ports: Ports, request: GetCheckpoint) -> bytes:
    """`GetCheckpoint` → `StoredCheckpoint`. Raises `TaskNotFoundError`."""
    return b'{"checkpoint":%b}' % (await ports.reads.checkpoint(request.id, request.run)).encode()


async def list_tasks(ports: Ports, request: ListTasks) -> bytes:
    """`ListTasks` → `TaskPage`."""
    after = None if request.cursor is None else parse_list_cursor(request.cursor)
    found = await ports.lists.tasks(request, after)
    shown = found[: request.limit]
    waiting = dict(zip((task.id for task in shown), await _waiting(ports, shown), strict=True))
    return page_of(
        found,
        request.limit,
        lambda task: summary_document(task, waiting[task.id]),
        lambda task: list_cursor(ListPosition(task.created_at, task.id)),
    )


async def count_tasks(ports: Ports, request: CountTasks) -> bytes:
    """`CountTasks` → `TaskCounts`."""
    return TaskCounts(counts=await ports.lists.counts(request.filter)).model_dump_json().encode()


async def get_bulk_operation(ports: Ports, request: GetBulkOperation) -> bytes:
    """`GetBulkOperation` → `BulkOperation`. Raises `BulkOperationNotFoundError`."""
    return bulk_operation_document(await ports.bulk_operations.bulk_operation(request.id))


async def list_attempts(ports: Ports, request: ListAttempts) -> bytes:
    """`ListAttempts` → `AttemptPage`. Raises `TaskNotFoundError`."""
    after_attempt = parse_number_cursor(request.cursor)
    found = await ports.lists.attempts(request.task_id, after_attempt=after_attempt, limit=request.limit + 1)
    if not found:
        # A task that was never processed has no attempts; one that does not exist is an error.
        await ports.reads.task(request.task_id)
    return page_of(found, request.limit, attempt_document, lambda attempt: number_cursor(attempt.attempt))


async def list_lines(ports: Ports, request: ListLines) -> bytes:
    """`ListLines` → `LinePage`. Raises `TaskNotFoundError`."""
    after_position = parse_number_cursor(request.cursor, below=2**63)
    found, dropped = await ports.reads.lines(request.task_id, after_position=after_position, limit=request.limit)
    return page_of(found, request.limit, line_document, lambda line: number_cursor(line.position), dropped=dropped)


async def list_events(ports: Ports, request: ListEvents) -> bytes:
    """`ListEvents` → `EventPage`, also of a deleted task. Raises `TaskNotFoundError`."""
    after_version = parse_number_cursor(request.cursor)
    found = await ports.reads.events(request.task_id, after_version=after_version, limit=request.limit)
    next_cursor = number_cursor(found.last_version) if found.has_more else None
    return events_document(found.documents, next_cursor, found.removed)


async def read_log(ports: Ports, request: ReadLog) -> bytes:
    """`ReadLog` → `LogPage`."""
    return log_document(*await ports.log.read(request))


async def list_kinds(ports: Ports, request: ListKinds) -> bytes:
    """`ListKinds` → `KindPage`."""
    behind = parse_name_cursor(request.cursor)
    found = [kind for kind in await ports.processors.kinds(ports.now()) if kind.kind > behind]
    return page_of(
        found, request.limit, lambda kind: kind.model_dump_json().encode(), lambda kind: name_cursor(kind.kind)
    )


async def check_health(ports: Ports, _request: CheckHealth) -> bytes:
    """`CheckHealth` → `StoreHealth`."""
    if not await ports.reads.is_reachable():
        return StoreHealth(postgresql=ComponentState.DOWN).model_dump_json().encode()
    return StoreHealth(postgresql=ComponentState.UP, fleet=await _fleet(ports)).model_dump_json().encode()


async def _fleet(ports: Ports) -> FleetSummary | None:
    """Who is there; None: PostgreSQL went away meanwhile."""
    since = ports.now() - PROCESSOR_LIFE
    try:
        return FleetSummary(
            processors=await ports.processors.count(since),
            paused_queues=len(await ports.queues.paused()),
            unserved_queues=await ports.queues.unserved(since, MAX_LISTED_QUEUES),
            unknown_kinds=await ports.queues.unknown_kinds(since, MAX_UNKNOWN_KINDS),
            differing_kinds=await ports.processors.differing_kinds(ports.now(), MAX_UNKNOWN_KINDS),
        )
    except DatabaseUnavailableError:
        return None


def _in_trace(request: _Request, traceparent: str | None) -> _Request:
    """A request with the span that answers it, which the task's next step belongs to."""
    if traceparent is None:
        return request
    return cast("_Request", request.model_copy(update=_traced_fields(request, traceparent)))


def _traced_fields(request: ClientRequest, traceparent: str) -> dict[str, object]:
    if isinstance(request, CreateTasks):
        return {"tasks": [task.model_copy(update={"traceparent": traceparent}) for task in request.tasks]}
    if isinstance(request, CreateGroup):
        traced = [task.model_copy(update={"traceparent": traceparent}) for task in request.tasks]
        follow_ups = {"on_completed": request.on_completed, "on_failed": request.on_failed}
        return {"tasks": traced} | {
            name: task.model_copy(update={"traceparent": traceparent})
            for name, task in follow_ups.items()
            if task is not None
        }
    return {"traceparent": traceparent} if isinstance(request, CreateTask | ProcessTask) else {}


def _reply_or_error(request: ClientRequest, answer: Answer | TaskmillError) -> bytes | Reply | TaskmillError:
    return answer if isinstance(answer, TaskmillError) else _reply(request, answer)


def _reply(request: ClientRequest, answer: Answer) -> bytes | Reply:
    if answer.keyed is None:
        document = reply_document(request, answer)
        return Reply(document, _EXISTING) if is_of_existing(request, answer) else document
    headers = (_REPLAYED if answer.keyed.is_replayed else {}) | (_EXISTING if answer.keyed.is_existing else {})
    return Reply(answer.keyed.document.encode(), headers)


async def _waiting(ports: Ports, tasks: Sequence[TaskState]) -> list[WaitingFor | None]:
    """What each task waits for."""
    service = await ports.service.known() if any(map(waits_for_processors, tasks)) else Service()
    waiting = [waiting_for(task, *service) for task in tasks]
    if any(one is not None and one.reason is WaitReason.TURN for one in waiting):
        return await _with_limits(ports, tasks, waiting)
    return waiting


async def _with_limits(
    ports: Ports, tasks: Sequence[TaskState], waiting: Sequence[WaitingFor | None]
) -> list[WaitingFor | None]:
    """The same, with the limit that holds a task in place of its turn."""
    rules = await ports.turns.limits()
    buckets = {
        task.id: rules.buckets(task.kind, task.concurrency_key)
        for task, one in zip(tasks, waiting, strict=True)
        if one is not None and one.reason is WaitReason.TURN
    }
    loads = await ports.turns.loads(dict.fromkeys(bucket for some in buckets.values() for bucket in some), ports.now())
    held = {task_id: held_by(some, loads) for task_id, some in buckets.items()}
    return [held.get(task.id) or one for task, one in zip(tasks, waiting, strict=True)]
