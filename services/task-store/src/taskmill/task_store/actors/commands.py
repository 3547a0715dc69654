"""Answers the requests of the registry."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

from pydantic import TypeAdapter

from taskmill.contracts import registry, subjects
from taskmill.contracts.errors import TaskmillError
from taskmill.contracts.json_text import read_json
from taskmill.contracts.requests import KeyedRequest, TaskRequest
from taskmill.runtime.failpoint import failpoint
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.reply import Reply
from taskmill.runtime.requests import RequestServer
from taskmill.task_store import (
    fleet_use_cases,
    group_use_cases,
    key_use_cases,
    schedule_use_cases,
    turn_use_cases,
    use_cases,
    webhook_use_cases,
)
from taskmill.task_store.use_cases import Ports

QUEUE_GROUP = "task-store"
MAX_IN_FLIGHT = 2_000

_Answer = TypeVar("_Answer")

# All but those that change something, of which one alone is special.
_USE_CASES: dict[registry.Command, Callable[[Ports, Any], Coroutine[Any, Any, bytes | Reply]]] = {
    registry.CREATE_MANY: use_cases.create_tasks,
    registry.GET: use_cases.get_task,
    registry.GET_CHECKPOINT: use_cases.get_checkpoint,
    registry.LIST: use_cases.list_tasks,
    registry.COUNT: use_cases.count_tasks,
    registry.GET_BULK: use_cases.get_bulk_operation,
    registry.ATTEMPTS: use_cases.list_attempts,
    registry.LINES: use_cases.list_lines,
    registry.EVENTS: use_cases.list_events,
    registry.READ_LOG: use_cases.read_log,
    registry.LIST_KINDS: use_cases.list_kinds,
    registry.HEALTH: use_cases.check_health,
    registry.CREATE_WEBHOOK: webhook_use_cases.create_webhook,
    registry.GET_WEBHOOK: webhook_use_cases.get_webhook,
    registry.LIST_WEBHOOKS: webhook_use_cases.list_webhooks,
    registry.UPDATE_WEBHOOK: webhook_use_cases.update_webhook,
    registry.DELETE_WEBHOOK: webhook_use_cases.delete_webhook,
    registry.ROTATE_WEBHOOK: webhook_use_cases.rotate_webhook,
    registry.SWITCH_OFF_WEBHOOK: webhook_use_cases.switch_off_webhook,
    registry.PREPARE_DELIVERY: webhook_use_cases.prepare_delivery,
    registry.START_REPLAY: webhook_use_cases.start_replay,
    registry.GET_REPLAY: webhook_use_cases.get_replay,
    registry.LIST_PROCESSORS: fleet_use_cases.list_processors,
    registry.DRAIN_PROCESSOR: fleet_use_cases.drain_processor,
    registry.READ_ACTIVITY: fleet_use_cases.read_activity,
    registry.LIST_QUEUES: fleet_use_cases.list_queues,
    registry.PAUSE_QUEUE: fleet_use_cases.pause_queue,
    registry.RESUME_QUEUE: fleet_use_cases.resume_queue,
    registry.CREATE_KEY: key_use_cases.create_key,
    registry.GET_KEY: key_use_cases.get_key,
    registry.LIST_KEYS: key_use_cases.list_keys,
    registry.REVOKE_KEY: key_use_cases.revoke_key,
    registry.FIND_KEYS: key_use_cases.find_keys,
    registry.PUT_LIMIT: turn_use_cases.put_limit,
    registry.GET_LIMIT: turn_use_cases.get_limit,
    registry.LIST_LIMITS: turn_use_cases.list_limits,
    registry.DELETE_LIMIT: turn_use_cases.delete_limit,
    registry.PUT_SHARE: turn_use_cases.put_share,
    registry.GET_SHARE: turn_use_cases.get_share,
    registry.LIST_SHARES: turn_use_cases.list_shares,
    registry.DELETE_SHARE: turn_use_cases.delete_share,
    registry.GET_SCHEDULE: schedule_use_cases.get_schedule,
    registry.LIST_SCHEDULES: schedule_use_cases.list_schedules,
    registry.BACKFILL_SCHEDULE: schedule_use_cases.backfill_schedule,
    registry.GET_NEXT_TIMES: schedule_use_cases.get_next_times,
    registry.LIST_FIRES: schedule_use_cases.list_fires,
    registry.CREATE_GROUP: group_use_cases.create_group,
    registry.GET_GROUP: group_use_cases.get_group,
    registry.LIST_GROUPS: group_use_cases.list_groups,
}


def commands(session: NatsSession, ports: Ports, *, deadline_seconds: float) -> RequestServer:
    """The actor that answers every command; of all stores, one gets each request.

    Args:
        session: The connection.
        ports: What the use cases work on.
        deadline_seconds: After so long a request is given up, as its sender has done by then.
    """
    return RequestServer(
        session,
        "commands",
        {command.subject: partial(_one, use_case(command, ports)) for command in registry.COMMANDS},
        group=QUEUE_GROUP,
        max_in_flight=MAX_IN_FLIGHT,
        deadline_seconds=deadline_seconds,
        bundled={subjects.bundle(registry.CREATE.subject): partial(_each, ports)},
    )


def use_case(command: registry.Command, ports: Ports) -> Callable[[bytes], Coroutine[Any, Any, bytes | Reply]]:
    """What answers the requests of a command, from body to body."""
    is_change = issubclass(command.request, (KeyedRequest, TaskRequest))
    serve = _USE_CASES.get(command, use_cases.change) if is_change else _USE_CASES[command]
    adapter: TypeAdapter[Any] = TypeAdapter(command.request)

    async def answer(body: bytes) -> bytes | Reply:
        return await serve(ports, read_json(adapter, body))

    return answer


def _one(use_case: Callable[[bytes], Awaitable[bytes | Reply]], body: bytes) -> Awaitable[bytes | Reply]:
    return _carry_out(use_case(body))


def _each(
    ports: Ports, bodies: Sequence[bytes], traceparents: Sequence[str | None]
) -> Awaitable[Sequence[bytes | Reply | TaskmillError]]:
    return _carry_out(use_cases.create_each_task(ports, bodies, traceparents))


async def _carry_out(answering: Awaitable[_Answer]) -> _Answer:
    answer = await answering
    failpoint("store.before_reply")
    return answer
