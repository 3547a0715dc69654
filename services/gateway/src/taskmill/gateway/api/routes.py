"""The table of routes. Those asked most come first: a request is compared with each in turn."""

from typing import Any

from taskmill.contracts.bulk_operations import BulkOperation
from taskmill.contracts.errors import (
    AlreadyFinishedError,
    BulkOperationNotFoundError,
    BusUnavailableError,
    DatabaseUnavailableError,
    FieldNotEditableError,
    IdempotencyKeyReusedError,
    IllegalTransitionError,
    OverloadedError,
    QueueFullError,
    RevisionMismatchError,
    RunActiveError,
    StoreUnavailableError,
    TaskmillError,
    TaskNotFoundError,
    TooManyQueuesError,
)
from taskmill.contracts.events import EventPage
from taskmill.contracts.requests import AttemptPage, CreateTasksReply, TaskPage
from taskmill.contracts.tasks import Task
from taskmill.gateway.api import examples
from taskmill.gateway.api.bulk_endpoints import BulkEndpoints
from taskmill.gateway.api.documentation import DocumentationEndpoints, ProblemKind
from taskmill.gateway.api.health_endpoints import Health, HealthEndpoints, Liveness
from taskmill.gateway.api.list_endpoints import ListEndpoints
from taskmill.gateway.api.strict_route import StrictRoute
from taskmill.gateway.api.task_endpoints import TaskEndpoints
from taskmill.gateway.errors import PathNotFoundError

_UNAVAILABLE = [BusUnavailableError, DatabaseUnavailableError, OverloadedError, StoreUnavailableError]
_ON_A_CREATION = [*_UNAVAILABLE, IdempotencyKeyReusedError, QueueFullError, TooManyQueuesError]
_ON_A_TASK: list[type[TaskmillError]] = [*_UNAVAILABLE, TaskNotFoundError]
_ON_A_CHANGE = [*_ON_A_TASK, RevisionMismatchError, RunActiveError]
_ON_AN_EDIT = [*_ON_A_CHANGE, FieldNotEditableError, IllegalTransitionError, TooManyQueuesError]

_ON_A_RUN = [*_ON_A_CHANGE, IdempotencyKeyReusedError, QueueFullError]
_ON_A_CANCELLATION = [*_ON_A_TASK, AlreadyFinishedError, IdempotencyKeyReusedError, RevisionMismatchError]

_TASK = "/tasks/{task_id:uuid}"

_ETAG = {"ETag": {"description": "The task's revision.", "schema": {"type": "string", "pattern": '^"[0-9]+"$'}}}
_LOCATION = {"Location": {"description": "The task's path.", "schema": {"type": "string", "format": "uri-reference"}}}
_REPLAYED = {
    "Idempotent-Replayed": {
        "description": "There, and `true`, when this is the answer to an earlier request under the same key.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}
_NEXT = {"Link": {"description": 'The next page, as `rel="next"`, if any.', "schema": {"type": "string"}}}

_LINKS = {
    operation: {"operationId": operation, "parameters": {"task_id": "$response.body#/id"}}
    for operation in ("getTask", "patchTask", "processTask", "cancelTask", "deleteTask", "listAttempts", "listEvents")
}


def task_routes(endpoints: TaskEndpoints) -> list[StrictRoute]:
    """Making, reading, changing, processing and cancelling tasks."""
    task_answer: dict[str, Any] = {"headers": _ETAG, **examples.answer(examples.TASK)}
    run_answer = {**task_answer, "headers": {**_ETAG, **_LOCATION, **_REPLAYED}}
    return [
        StrictRoute(
            "/tasks",
            endpoints.create,
            methods=["POST"],
            operation_id="createTask",
            summary="Create a task",
            tags=["tasks"],
            status_code=201,
            response_model=Task,
            response_description="The task is stored.",
            responses={201: {**run_answer, "links": _LINKS}},
            errors=_ON_A_CREATION,
        ),
        StrictRoute(
            _TASK,
            endpoints.get,
            methods=["GET"],
            operation_id="getTask",
            summary="Read a task",
            tags=["tasks"],
            response_model=Task,
            response_description="The task, whole.",
            responses={200: task_answer, 304: {"description": "The client has this revision.", "headers": _ETAG}},
            errors=_ON_A_TASK,
        ),
        StrictRoute(
            f"{_TASK}/process",
            endpoints.process,
            methods=["POST"],
            operation_id="processTask",
            summary="Process a task",
            tags=["tasks"],
            status_code=202,
            response_model=Task,
            response_description="The run is stored; a processor will execute it.",
            responses={202: run_answer},
            errors=_ON_A_RUN,
        ),
        StrictRoute(
            f"{_TASK}/cancel",
            endpoints.cancel,
            methods=["POST"],
            operation_id="cancelTask",
            summary="Cancel a task",
            tags=["tasks"],
            response_model=Task,
            response_description="The task is cancelled.",
            responses={
                200: run_answer,
                202: {**run_answer, "model": Task, "description": "Its processor is asked to stop the handler."},
            },
            errors=_ON_A_CANCELLATION,
        ),
        StrictRoute(
            "/tasks/batch",
            endpoints.create_many,
            methods=["POST"],
            operation_id="createTasks",
            summary="Create many tasks",
            tags=["tasks"],
            status_code=201,
            response_model=CreateTasksReply,
            response_description="All tasks are stored.",
            responses={201: {"headers": _REPLAYED, **examples.answer(examples.RECEIPTS)}},
            errors=_ON_A_CREATION,
        ),
        StrictRoute(
            _TASK,
            endpoints.replace,
            methods=["PUT"],
            operation_id="replaceTask",
            summary="Change a task by sending it back",
            tags=["tasks"],
            response_model=Task,
            response_description="The task, changed.",
            responses={200: task_answer},
            errors=_ON_AN_EDIT,
        ),
        StrictRoute(
            _TASK,
            endpoints.patch,
            methods=["PATCH"],
            operation_id="patchTask",
            summary="Change a task by a merge patch",
            tags=["tasks"],
            response_model=Task,
            response_description="The task, changed.",
            responses={200: task_answer},
            errors=_ON_AN_EDIT,
        ),
        StrictRoute(
            _TASK,
            endpoints.delete,
            methods=["DELETE"],
            operation_id="deleteTask",
            summary="Delete a task",
            tags=["tasks"],
            status_code=204,
            response_description="The task is gone.",
            errors=_ON_A_CHANGE,
        ),
    ]


def list_routes(endpoints: ListEndpoints) -> list[StrictRoute]:
    """Lists, and the history of a task."""
    return [
        StrictRoute(
            "/tasks",
            endpoints.tasks,
            methods=["GET"],
            operation_id="listTasks",
            summary="List tasks",
            tags=["tasks"],
            response_model=TaskPage,
            response_description="A page of tasks.",
            responses={200: {"headers": _NEXT, **examples.answer(examples.TASK_PAGE)}},
            errors=_UNAVAILABLE,
        ),
        StrictRoute(
            f"{_TASK}/attempts",
            endpoints.attempts,
            methods=["GET"],
            operation_id="listAttempts",
            summary="List the attempts at a task",
            tags=["history"],
            response_model=AttemptPage,
            response_description="A page of attempts.",
            responses={200: {"headers": _NEXT, **examples.answer(examples.ATTEMPT_PAGE)}},
            errors=_ON_A_TASK,
        ),
        StrictRoute(
            f"{_TASK}/events",
            endpoints.events,
            methods=["GET"],
            operation_id="listEvents",
            summary="List the events of a task",
            tags=["history"],
            response_model=EventPage,
            response_description="A page of events.",
            responses={200: {"headers": _NEXT, **examples.answer(examples.EVENT_PAGE)}},
            errors=_ON_A_TASK,
        ),
    ]


def bulk_routes(endpoints: BulkEndpoints) -> list[StrictRoute]:
    """Bulk operations."""
    answer = examples.answer(examples.BULK_OPERATION)
    location = {"Location": {**_LOCATION["Location"], "description": "The operation's path."}}
    link = {"operationId": "getBulkOperation", "parameters": {"operation_id": "$response.body#/id"}}
    return [
        StrictRoute(
            "/tasks/bulk",
            endpoints.start,
            methods=["POST"],
            operation_id="startBulkOperation",
            summary="Process, cancel or delete many tasks",
            tags=["bulk operations"],
            status_code=202,
            response_model=BulkOperation,
            response_description="The operation is stored, and will be carried out.",
            responses={202: {"headers": {**location, **_REPLAYED}, "links": {"getBulkOperation": link}, **answer}},
            errors=[*_UNAVAILABLE, IdempotencyKeyReusedError],
        ),
        StrictRoute(
            "/operations/{operation_id:uuid}",
            endpoints.get,
            methods=["GET"],
            operation_id="getBulkOperation",
            summary="Read a bulk operation",
            tags=["bulk operations"],
            response_model=BulkOperation,
            response_description="How far it is.",
            responses={200: answer},
            errors=[*_UNAVAILABLE, BulkOperationNotFoundError],
        ),
    ]


def health_routes(endpoints: HealthEndpoints) -> list[StrictRoute]:
    """How Taskmill is."""
    return [
        StrictRoute(
            "/health",
            endpoints.health,
            methods=["GET"],
            operation_id="getHealth",
            summary="Tell the state of every component",
            tags=["health"],
            response_model=Health,
            response_description="Every component is up.",
            responses={503: {"model": Health, "description": "A component is down."}},
        ),
        StrictRoute(
            "/livez",
            endpoints.livez,
            methods=["GET"],
            operation_id="getLiveness",
            summary="Tell that the process answers",
            tags=["health"],
            response_model=Liveness,
            response_description="It does.",
        ),
        StrictRoute(
            "/readyz",
            endpoints.readyz,
            methods=["GET"],
            operation_id="getReadiness",
            summary="Tell whether requests can be served",
            tags=["health"],
            response_model=Liveness,
            response_description="They can.",
            errors=[BusUnavailableError, DatabaseUnavailableError, StoreUnavailableError],
        ),
    ]


def documentation_routes(endpoints: DocumentationEndpoints) -> list[StrictRoute]:
    """What explains the interface."""
    return [
        StrictRoute("/", endpoints.root, methods=["GET"], include_in_schema=False),
        StrictRoute("/docs", endpoints.page, methods=["GET"], include_in_schema=False),
        StrictRoute("/docs/assets/{name}", endpoints.asset, methods=["GET"], include_in_schema=False),
        StrictRoute(
            "/problems/{code}",
            endpoints.problem,
            methods=["GET"],
            operation_id="getProblemKind",
            summary="Explain a kind of problem",
            tags=["documentation"],
            response_model=ProblemKind,
            response_description="What it means.",
            errors=[PathNotFoundError],
        ),
    ]
