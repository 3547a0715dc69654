"""Answers the requests of the registry."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from taskmill.contracts import registry, subjects
from taskmill.runtime.failpoint import failpoint
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.reply import Reply
from taskmill.runtime.requests import RequestServer
from taskmill.task_store import use_cases
from taskmill.task_store.use_cases import Store

QUEUE_GROUP = "task-store"
MAX_IN_FLIGHT = 2_000

_Body = TypeVar("_Body")
_Answer = TypeVar("_Answer")

_USE_CASES: dict[registry.Command, Callable[[Store, bytes], Awaitable[bytes | Reply]]] = {
    registry.CREATE: use_cases.create_task,
    registry.CREATE_MANY: use_cases.create_tasks,
    registry.GET: use_cases.get_task,
    registry.LIST: use_cases.list_tasks,
    registry.UPDATE: use_cases.update_task,
    registry.DELETE: use_cases.delete_task,
    registry.PROCESS: use_cases.process_task,
    registry.CANCEL: use_cases.cancel_task,
    registry.START_BULK: use_cases.start_bulk_operation,
    registry.GET_BULK: use_cases.get_bulk_operation,
    registry.ATTEMPTS: use_cases.list_attempts,
    registry.EVENTS: use_cases.list_events,
    registry.HEALTH: use_cases.check_health,
}


def commands(session: NatsSession, store: Store, *, deadline_seconds: float) -> RequestServer:
    """The actor that answers every command; of all stores, one gets each request.

    Args:
        session: The connection.
        store: What the use cases work on.
        deadline_seconds: After so long a request is given up, as its sender has done by then.
    """
    return RequestServer(
        session,
        "commands",
        {command.subject: partial(_carry_out, _USE_CASES[command], store) for command in registry.COMMANDS},
        group=QUEUE_GROUP,
        max_in_flight=MAX_IN_FLIGHT,
        deadline_seconds=deadline_seconds,
        bundled={subjects.bundle(registry.CREATE.subject): partial(_carry_out, use_cases.create_each_task, store)},
    )


async def _carry_out(use_case: Callable[[Store, _Body], Awaitable[_Answer]], store: Store, body: _Body) -> _Answer:
    answer = await use_case(store, body)
    failpoint("store.before_reply")
    return answer
