"""Endpoints that make and change single tasks, and the batch."""

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import Body, Header, Query, Response
from fastapi import Request as HttpRequest
from pydantic.json_schema import SkipJsonSchema

from taskmill.contracts import registry
from taskmill.contracts.errors import (
    AlreadyFinishedError,
    FieldNotEditableError,
    IdempotencyKeyReusedError,
    IllegalTransitionError,
    QueueFullError,
    RevisionMismatchError,
    RunActiveError,
    TooManyQueuesError,
    UnavailableError,
    UniqueKeyHeldError,
)
from taskmill.contracts.requests import (
    EXISTING_HEADER,
    CancelTask,
    CreateTasksReply,
    DeleteTask,
    GetTask,
    NewTask,
    ProcessTask,
    UpdateTask,
)
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import Task
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api import examples
from taskmill.gateway.api.bodies import NO_OPTIONS, NewTasks, NoOptions, TaskDocument, TaskPatch, creation, with_key
from taskmill.gateway.api.conditional import etag, expected_revision, is_unmodified
from taskmill.gateway.api.idempotency import IdempotencyKeyHeader, idempotency, is_replayed, json_response, refused
from taskmill.gateway.api.payload_check import PayloadCheck
from taskmill.gateway.api.queries import DeleteQuery
from taskmill.gateway.api.routes import ON_A_TASK, REPLAYED, TASK, UNAVAILABLE, TaskId, location, route
from taskmill.gateway.api.task_head import TaskHead, task_head
from taskmill.gateway.api.waiting import PreferHeader, Wait, Waiting, WaitQuery
from taskmill.gateway.followers import Feed

IfMatch = Annotated[
    str | SkipJsonSchema[None],
    Header(description="Make the change only if the task still has this ETag, or one of these; else 412."),
]
IfNoneMatch = Annotated[
    str | SkipJsonSchema[None],
    Header(description="Answer 304 if the task still has this ETag, or one of these."),
]

MERGE_PATCH = "application/merge-patch+json"

_ON_A_CREATION = [*UNAVAILABLE, IdempotencyKeyReusedError, QueueFullError, TooManyQueuesError, UniqueKeyHeldError]
_ON_A_CHANGE = [*ON_A_TASK, RevisionMismatchError, RunActiveError]
_ON_AN_EDIT = [*_ON_A_CHANGE, FieldNotEditableError, IllegalTransitionError, TooManyQueuesError]
_ON_A_RUN = [*_ON_A_CHANGE, IdempotencyKeyReusedError, QueueFullError]
_ON_A_CANCELLATION = [*ON_A_TASK, AlreadyFinishedError, IdempotencyKeyReusedError, RevisionMismatchError]

_ETAG = {"ETag": {"description": "The task's revision.", "schema": {"type": "string", "pattern": '^"[0-9]+"$'}}}
_TASK_ANSWER: dict[str, Any] = {"headers": _ETAG, **examples.answer(examples.TASK)}
_RUN_ANSWER = {**_TASK_ANSWER, "headers": {**_ETAG, **location("The task's path."), **REPLAYED}}
_LINKS = {
    operation: {"operationId": operation, "parameters": {"task_id": "$response.body#/id"}}
    for operation in ("getTask", "patchTask", "processTask", "cancelTask", "deleteTask", "listAttempts", "listEvents")
}


class TaskEndpoints:
    """What can be done with a task. Those asked most come first: a request is compared with each route in turn.

    Args:
        feed: What happens, for those who wait.
        payloads: Refuses payloads that cannot fit.
        new_task_id: Makes the id of a new task, a UUID of version 7 as text.
    """

    def __init__(self, store: Store, feed: Feed, payloads: PayloadCheck, new_task_id: Callable[[], str]) -> None:
        self._store = store
        self._waiting = Waiting(store, feed)
        self._payloads = payloads
        self._new_task_id = new_task_id

    @route(
        "POST",
        "/tasks",
        operation_id="createTask",
        summary="Create a task",
        tags=["tasks"],
        status_code=201,
        response_model=Task,
        response_description="The task is stored.",
        responses={
            200: {**_RUN_ANSWER, "model": Task, "description": "Nothing new is stored: this task has its unique key."},
            201: {**_RUN_ANSWER, "links": _LINKS},
        },
        errors=_ON_A_CREATION,
    )
    async def create(
        self,
        http: HttpRequest,
        query: Annotated[WaitQuery, Query()],
        body: Annotated[NewTask, Body(openapi_examples=examples.body(examples.NEW_TASK))],
        idempotency_key: IdempotencyKeyHeader = None,
        prefer: PreferHeader = None,
    ) -> Response:
        """Create a task, and start processing it: at once if `process` is true, at `run_at` if that is given.

        With `after` it is processed once other tasks are completed. The answer means that it is stored; with `wait`, it
        tells how the task has ended, if it has by then. A payload that does not fit the `payload_schema` of its kind
        (see `GET /kinds`) is refused.

        With `unique`, no other task holds the same key at a time. While one does, `unique.on_conflict` says what
        happens: the answer is 409 and names that task, or 200 with it, or it is replaced.
        """
        problems = await self._payloads.problems(body)
        task_id = self._new_task_id()
        key = refused(idempotency(idempotency_key, "POST /tasks", body), problems)
        reply = await self._store.ask(registry.CREATE, with_key(creation(task_id, body), key))
        is_existing = reply.headers.get(EXISTING_HEADER) == "true"
        if is_existing or is_replayed(reply):
            # It tells of the task that has the unique key, or of the one that the first request made.
            task_id = str(task_head(reply).id)
        status = 200 if is_existing else 201
        wait = Wait(query, prefer)
        if not wait.seconds and not is_existing:
            # Whatever creation does, for clients it is one change: the first revision.
            return json_response(reply, status, {"Location": _path(task_id), "ETag": etag(1), **wait.headers()})
        reply = await self._waiting.end(reply, UUID(task_id), wait, http.receive)
        headers = {"Location": _path(task_id), "ETag": etag(task_head(reply).revision), **wait.headers()}
        return json_response(reply, status, headers)

    @route(
        "GET",
        TASK,
        operation_id="getTask",
        summary="Read a task",
        tags=["tasks"],
        response_model=Task,
        response_description="The task, whole.",
        responses={200: _TASK_ANSWER, 304: {"description": "The client has this revision.", "headers": _ETAG}},
        errors=ON_A_TASK,
    )
    async def get(
        self,
        http: HttpRequest,
        task_id: TaskId,
        query: Annotated[WaitQuery, Query()],
        if_none_match: IfNoneMatch = None,
        prefer: PreferHeader = None,
    ) -> Response:
        """Read a task, whole. The ETag changes with its status and its editable fields, not with its progress.

        With `wait` the answer comes as soon as the task has ended, or the time is over; with `If-None-Match`, as soon
        as the ETag is another one.
        """
        wait = Wait(query, prefer)

        def is_awaited(head: TaskHead) -> bool:
            return head.is_ended if if_none_match is None else not is_unmodified(if_none_match, head.revision)

        try:
            reply = await self._waiting.task(task_id, wait, is_awaited, http.receive)
        except UnavailableError:
            if not wait.is_preferred:
                raise
            # Only a preference: then it is told as it is.
            wait.give_up()
            reply = await self._waiting.task(task_id, wait, is_awaited, http.receive)
        revision = task_head(reply).revision
        headers = {"ETag": etag(revision), **wait.headers()}
        if is_unmodified(if_none_match, revision):
            return Response(status_code=304, headers=headers)
        return json_response(reply, 200, headers)

    @route(
        "POST",
        f"{TASK}/process",
        operation_id="processTask",
        summary="Process a task",
        tags=["tasks"],
        status_code=202,
        response_model=Task,
        response_description="The run is stored; a processor will execute it.",
        responses={202: _RUN_ANSWER},
        errors=_ON_A_RUN,
    )
    async def process(
        self,
        http: HttpRequest,
        task_id: TaskId,
        query: Annotated[WaitQuery, Query()],
        body: Annotated[NoOptions, Body(openapi_examples=examples.body({}))] = NO_OPTIONS,
        if_match: IfMatch = None,
        idempotency_key: IdempotencyKeyHeader = None,
        prefer: PreferHeader = None,
    ) -> Response:
        """Start a run of the task: it is queued, and a processor will execute it. Impossible while a run is active.

        With `wait` the answer tells how the run has ended, if it has by then.
        """
        request = ProcessTask(
            id=task_id,
            expected_revision=await self._expected_revision(task_id, if_match),
            idempotency=idempotency(idempotency_key, f"POST {_path(task_id)}/process", body),
        )
        wait = Wait(query, prefer)
        reply = await self._store.ask(registry.PROCESS, request)
        reply = await self._waiting.end(reply, task_id, wait, http.receive)
        headers = {"Location": _path(task_id), "ETag": etag(task_head(reply).revision), **wait.headers()}
        return json_response(reply, 202, headers)

    @route(
        "POST",
        f"{TASK}/cancel",
        operation_id="cancelTask",
        summary="Cancel a task",
        tags=["tasks"],
        response_model=Task,
        response_description="The task is cancelled.",
        responses={
            200: _RUN_ANSWER,
            202: {**_RUN_ANSWER, "model": Task, "description": "Its processor is asked to stop the handler."},
        },
        errors=_ON_A_CANCELLATION,
    )
    async def cancel(
        self,
        task_id: TaskId,
        body: Annotated[NoOptions, Body(openapi_examples=examples.body({}))] = NO_OPTIONS,
        if_match: IfMatch = None,
        idempotency_key: IdempotencyKeyHeader = None,
    ) -> Response:
        """Cancel a task. One that has not been started is cancelled at once: 200.

        Of one that is in progress, the processor is asked to stop the handler: 202. It ends as cancelled, completed or
        failed, whichever comes first, and is not tried again; `cancellation` in its last event says which it was.
        Asking again changes nothing.
        """
        request = CancelTask(
            id=task_id,
            expected_revision=await self._expected_revision(task_id, if_match),
            idempotency=idempotency(idempotency_key, f"POST {_path(task_id)}/cancel", body),
        )
        reply = await self._store.ask(registry.CANCEL, request)
        task = task_head(reply)
        status = 200 if task.status is TaskStatus.CANCELLED else 202
        return json_response(reply, status, {"Location": _path(task_id), "ETag": etag(task.revision)})

    @route(
        "POST",
        "/tasks/batch",
        operation_id="createTasks",
        summary="Create many tasks",
        tags=["tasks"],
        status_code=201,
        response_model=CreateTasksReply,
        response_description="All tasks are stored.",
        responses={201: {"headers": REPLAYED, **examples.answer(examples.RECEIPTS)}},
        errors=_ON_A_CREATION,
    )
    async def create_many(
        self,
        body: Annotated[NewTasks, Body(openapi_examples=examples.body(examples.NEW_TASKS))],
        idempotency_key: IdempotencyKeyHeader = None,
    ) -> Response:
        """Create many tasks, all or none. The answer has them in the order of the request.

        A unique key may stand in it once. With `return_existing` or `debounce`, the task that holds it stands in the
        answer, with `is_existing`; if one of the tasks is refused for its key, all are.
        """
        problems = await self._payloads.problems_of_each(body.tasks)
        tasks = b",".join(creation(self._new_task_id(), task) for task in body.tasks)
        key = refused(idempotency(idempotency_key, "POST /tasks/batch", body), problems)
        reply = await self._store.ask(registry.CREATE_MANY, with_key(b'{"tasks":[%b]}' % tasks, key))
        return json_response(reply, 201)

    @route(
        "PUT",
        TASK,
        operation_id="replaceTask",
        summary="Change a task by sending it back",
        tags=["tasks"],
        response_model=Task,
        response_description="The task, changed.",
        responses={200: _TASK_ANSWER},
        errors=_ON_AN_EDIT,
    )
    async def replace(
        self,
        task_id: TaskId,
        body: Annotated[TaskDocument, Body(openapi_examples=examples.body(examples.CHANGED_TASK))],
        if_match: IfMatch = None,
    ) -> Response:
        """Change a task by sending it back as GET gave it, with changes.

        Fields that are left out keep their value. Fields that only Taskmill sets may be there, unchanged. While a run
        is active, only title, description and labels may change.
        """
        request = UpdateTask(
            id=task_id,
            changes=body.changes(),
            unchanged=body.unchanged(),
            expected_revision=await self._expected_revision(task_id, if_match),
        )
        return await self._update(request)

    @route(
        "PATCH",
        TASK,
        operation_id="patchTask",
        summary="Change a task by a merge patch",
        tags=["tasks"],
        response_model=Task,
        response_description="The task, changed.",
        responses={200: _TASK_ANSWER},
        errors=_ON_AN_EDIT,
    )
    async def patch(
        self,
        task_id: TaskId,
        body: Annotated[TaskPatch, Body(media_type=MERGE_PATCH, openapi_examples=examples.body(examples.TASK_PATCH))],
        if_match: IfMatch = None,
    ) -> Response:
        """Change a task by a merge patch (RFC 7396). The body may also be sent as `application/json`.

        Objects merge, null clears. While a run is active, only title, description and labels may change.
        """
        request = UpdateTask(
            id=task_id,
            changes=body.changes(),
            is_merge_patch=True,
            expected_revision=await self._expected_revision(task_id, if_match),
        )
        return await self._update(request)

    @route(
        "DELETE",
        TASK,
        operation_id="deleteTask",
        summary="Delete a task",
        tags=["tasks"],
        status_code=204,
        response_description="The task is gone.",
        errors=_ON_A_CHANGE,
    )
    async def delete(
        self, task_id: TaskId, query: Annotated[DeleteQuery, Query()], if_match: IfMatch = None
    ) -> Response:
        """Delete a task. Its events stay. While a run is active, this needs `force=true`, which cancels it first."""
        revision = await self._expected_revision(task_id, if_match)
        await self._store.ask(registry.DELETE, DeleteTask(id=task_id, force=query.force, expected_revision=revision))
        return Response(status_code=204)

    async def _update(self, request: UpdateTask) -> Response:
        reply = await self._store.ask(registry.UPDATE, request)
        return json_response(reply, 200, {"ETag": etag(task_head(reply).revision)})

    async def _expected_revision(self, task_id: TaskId, if_match: str | None) -> int | None:
        async def read_revision() -> int:
            return task_head(await self._store.ask(registry.GET, GetTask(id=task_id))).revision

        return await expected_revision(if_match, read_revision)


def _path(task_id: UUID | str) -> str:
    return f"/tasks/{task_id}"
