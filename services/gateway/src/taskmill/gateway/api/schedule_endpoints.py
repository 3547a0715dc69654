"""Endpoints of schedules, and of what became of their times."""

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import Body, Path, Query, Request, Response
from pydantic import BaseModel

from taskmill.contracts import registry
from taskmill.contracts.errors import (
    FieldNotEditableError,
    FieldProblem,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    QueueFullError,
    RevisionMismatchError,
    ScheduleNotFoundError,
    TooManyQueuesError,
    TooManySchedulesError,
)
from taskmill.contracts.requests import IdempotencyKey
from taskmill.contracts.schedules import (
    Backfill,
    BackfillSchedule,
    CreateSchedule,
    DeleteSchedule,
    FirePage,
    GetNextTimes,
    GetSchedule,
    ListFires,
    ListSchedules,
    NextTimes,
    RunSchedule,
    Schedule,
    SchedulePage,
    UpdateSchedule,
)
from taskmill.contracts.tasks import Task
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api import examples
from taskmill.gateway.api.bodies import NO_OPTIONS, NoOptions
from taskmill.gateway.api.conditional import etag, expected_revision, is_unmodified
from taskmill.gateway.api.idempotency import (
    IdempotencyKeyHeader,
    idempotency,
    is_replayed,
    json_response,
    refused,
)
from taskmill.gateway.api.pages import NEXT, page_response
from taskmill.gateway.api.payload_check import PayloadCheck
from taskmill.gateway.api.queries import PageQuery
from taskmill.gateway.api.routes import REPLAYED, UNAVAILABLE, location, route
from taskmill.gateway.api.schedule_bodies import (
    NewBackfill,
    NewSchedule,
    NextTimesQuery,
    ScheduleDocument,
    SchedulePatch,
)
from taskmill.gateway.api.task_endpoints import MERGE_PATCH, IfMatch, IfNoneMatch
from taskmill.gateway.api.task_head import task_head
from taskmill.runtime.reply import Reply

ScheduleId = Annotated[UUID, Path(description="The schedule's id, a UUID.")]

_SCHEDULE = "/schedules/{schedule_id:uuid}"
_PAYLOAD = "/template/payload"

_ON_A_SCHEDULE = [*UNAVAILABLE, ScheduleNotFoundError]
_ON_A_CHANGE = [*_ON_A_SCHEDULE, RevisionMismatchError]

_ETAG = {"ETag": {"description": "The schedule's revision.", "schema": {"type": "string", "pattern": '^"[0-9]+"$'}}}
_ANSWER: dict[str, Any] = {"headers": _ETAG, **examples.answer(examples.SCHEDULE)}


class _Head(BaseModel):
    """The fields of a schedule that the gateway reads."""

    id: UUID
    revision: int


class ScheduleEndpoints:
    """What can be done with schedules.

    Args:
        payloads: Refuses payloads that cannot fit.
        new_id: Makes the id of a new schedule or task, a UUID of version 7.
    """

    def __init__(self, store: Store, payloads: PayloadCheck, new_id: Callable[[], UUID]) -> None:
        self._store = store
        self._payloads = payloads
        self._new_id = new_id

    @route(
        "POST",
        "/schedules",
        operation_id="createSchedule",
        summary="Create a schedule",
        tags=["schedules"],
        status_code=201,
        response_model=Schedule,
        response_description="Its tasks are made from now on.",
        responses={201: {**_ANSWER, "headers": {**_ETAG, **location("The schedule's path."), **REPLAYED}}},
        errors=[*UNAVAILABLE, TooManySchedulesError, IdempotencyKeyReusedError],
    )
    async def create(
        self,
        body: Annotated[NewSchedule, Body(openapi_examples=examples.body(examples.NEW_SCHEDULE))],
        idempotency_key: IdempotencyKeyHeader = None,
    ) -> Response:
        """Have tasks made of a template, at the times of a cron line or at an interval; each is processed at once.

        `timing` says in words how the line is read. A payload that does not fit the `payload_schema` of its kind is
        refused. The guide is docs/schedules.md.
        """
        problems = await self._payloads.problems(body.template, _PAYLOAD)
        key = refused(idempotency(idempotency_key, "POST /schedules", body), problems)
        request = CreateSchedule(id=self._new_id(), **body.model_dump(exclude_unset=True), **_keyed(key))
        reply = await self._store.ask(registry.CREATE_SCHEDULE, request)
        return json_response(reply, 201, {"Location": f"/schedules/{_head(reply).id}", **_etag(reply)})

    @route(
        "GET",
        "/schedules",
        operation_id="listSchedules",
        summary="List the schedules",
        tags=["schedules"],
        response_model=SchedulePage,
        response_description="A page of schedules.",
        responses={200: {"headers": NEXT, **examples.answer(examples.SCHEDULE_PAGE)}},
        errors=UNAVAILABLE,
    )
    async def list(self, request: Request, query: Annotated[PageQuery, Query()]) -> Response:
        """Read a page of the schedules, oldest first."""
        wanted = ListSchedules(limit=query.limit, cursor=query.cursor)
        return page_response(request, await self._store.ask(registry.LIST_SCHEDULES, wanted))

    @route(
        "GET",
        _SCHEDULE,
        operation_id="getSchedule",
        summary="Read a schedule",
        tags=["schedules"],
        response_model=Schedule,
        response_description="The schedule.",
        responses={200: _ANSWER, 304: {"description": "The client has this revision.", "headers": _ETAG}},
        errors=_ON_A_SCHEDULE,
    )
    async def get(self, schedule_id: ScheduleId, if_none_match: IfNoneMatch = None) -> Response:
        """Read a schedule. The ETag changes when a client changes it, not when it fires."""
        reply = await self._store.ask(registry.GET_SCHEDULE, GetSchedule(id=schedule_id))
        if is_unmodified(if_none_match, _head(reply).revision):
            return Response(status_code=304, headers=_etag(reply))
        return json_response(reply, 200, _etag(reply))

    @route(
        "PUT",
        _SCHEDULE,
        operation_id="replaceSchedule",
        summary="Change a schedule by sending it back",
        tags=["schedules"],
        response_model=Schedule,
        response_description="The schedule, changed.",
        responses={200: _ANSWER},
        errors=[*_ON_A_CHANGE, FieldNotEditableError],
    )
    async def replace(
        self,
        schedule_id: ScheduleId,
        body: Annotated[ScheduleDocument, Body(openapi_examples=examples.body(examples.SCHEDULE))],
        if_match: IfMatch = None,
    ) -> Response:
        """Change a schedule by sending it back as GET gave it, with changes.

        Fields that are left out have the default of creation. What decides when it fires holds from now on.
        """
        if body.id not in {None, schedule_id}:
            problem = FieldProblem(pointer="/id", detail="Only Taskmill sets this field.", code="field_not_editable")
            raise FieldNotEditableError(errors=[problem])
        problems = await self._payloads.problems(body.template, _PAYLOAD)
        if problems:
            raise InvalidRequestError(errors=problems)
        revision = await self._expected_revision(schedule_id, if_match)
        return await self._update(
            UpdateSchedule(id=schedule_id, changes=body.changes(), is_replacement=True, expected_revision=revision)
        )

    @route(
        "PATCH",
        _SCHEDULE,
        operation_id="patchSchedule",
        summary="Change a schedule by a merge patch",
        tags=["schedules"],
        response_model=Schedule,
        response_description="The schedule, changed.",
        responses={200: _ANSWER},
        errors=_ON_A_CHANGE,
    )
    async def patch(
        self,
        schedule_id: ScheduleId,
        body: Annotated[
            SchedulePatch, Body(media_type=MERGE_PATCH, openapi_examples=examples.body(examples.SCHEDULE_PATCH))
        ],
        if_match: IfMatch = None,
    ) -> Response:
        """Change, pause or resume a schedule by a merge patch (RFC 7396), which `application/json` is taken for, too.

        Times that pass while `is_paused` is true are not made up for. What decides when it fires holds from now on.
        """
        revision = await self._expected_revision(schedule_id, if_match)
        return await self._update(UpdateSchedule(id=schedule_id, changes=body.changes(), expected_revision=revision))

    @route(
        "DELETE",
        _SCHEDULE,
        operation_id="deleteSchedule",
        summary="Delete a schedule",
        tags=["schedules"],
        status_code=204,
        response_description="The schedule is gone.",
        errors=_ON_A_CHANGE,
    )
    async def delete(self, schedule_id: ScheduleId, if_match: IfMatch = None) -> Response:
        """Delete a schedule. The tasks that it made stay, and go on."""
        revision = await self._expected_revision(schedule_id, if_match)
        await self._store.ask(registry.DELETE_SCHEDULE, DeleteSchedule(id=schedule_id, expected_revision=revision))
        return Response(status_code=204)

    @route(
        "POST",
        f"{_SCHEDULE}/run",
        operation_id="runSchedule",
        summary="Run a schedule now",
        tags=["schedules"],
        status_code=201,
        response_model=Task,
        response_description="The task is stored.",
        responses={
            201: {"headers": {**location("The task's path."), **REPLAYED}, **examples.answer(examples.TASK)},
        },
        errors=[*_ON_A_SCHEDULE, IdempotencyKeyReusedError, QueueFullError, TooManyQueuesError],
    )
    async def run(
        self,
        schedule_id: ScheduleId,
        body: Annotated[NoOptions, Body(openapi_examples=examples.body({}))] = NO_OPTIONS,
        idempotency_key: IdempotencyKeyHeader = None,
    ) -> Response:
        """Make a task of the template at once, also while the schedule is paused, and whatever its overlap says."""
        key = idempotency(idempotency_key, f"POST /schedules/{schedule_id}/run", body)
        task_id = self._new_id()
        request = RunSchedule(id=schedule_id, task_id=task_id, **_keyed(key))
        reply = await self._store.ask(registry.RUN_SCHEDULE, request)
        if is_replayed(reply):
            task_id = task_head(reply).id
        return json_response(reply, 201, {"Location": f"/tasks/{task_id}"})

    @route(
        "POST",
        f"{_SCHEDULE}/backfill",
        operation_id="backfillSchedule",
        summary="Make the tasks of a span of the past",
        tags=["schedules"],
        response_model=Backfill,
        response_description="Each time of the span has its task.",
        responses={200: examples.answer(examples.BACKFILL)},
        errors=[*_ON_A_SCHEDULE, QueueFullError, TooManyQueuesError],
    )
    async def backfill(
        self,
        schedule_id: ScheduleId,
        body: Annotated[NewBackfill, Body(openapi_examples=examples.body(examples.NEW_BACKFILL))],
    ) -> Response:
        """Make the tasks of the times from `since` on and before `until` that have none: missed, skipped, or paused.

        Asked again, it makes what is missing, and no task twice. A span may have 1,000 times.
        """
        request = BackfillSchedule(id=schedule_id, since=body.since, until=body.until)
        return json_response(await self._store.ask(registry.BACKFILL_SCHEDULE, request), 200)

    @route(
        "GET",
        f"{_SCHEDULE}/next-times",
        operation_id="getNextTimes",
        summary="Read when a schedule fires next",
        tags=["schedules"],
        response_model=NextTimes,
        response_description="The next times.",
        responses={200: examples.answer(examples.NEXT_TIMES)},
        errors=_ON_A_SCHEDULE,
    )
    async def next_times(self, schedule_id: ScheduleId, query: Annotated[NextTimesQuery, Query()]) -> Response:
        """Read the next ten times of a schedule, or as many as are wanted; none, while it is paused."""
        request = GetNextTimes(id=schedule_id, count=query.count)
        return json_response(await self._store.ask(registry.GET_NEXT_TIMES, request), 200)

    @route(
        "GET",
        f"{_SCHEDULE}/fires",
        operation_id="listFires",
        summary="List what became of a schedule's times",
        tags=["schedules"],
        response_model=FirePage,
        response_description="A page of fires.",
        responses={200: {"headers": NEXT, **examples.answer(examples.FIRE_PAGE)}},
        errors=_ON_A_SCHEDULE,
    )
    async def fires(self, request: Request, schedule_id: ScheduleId, query: Annotated[PageQuery, Query()]) -> Response:
        """Read a page of a schedule's fires, the newest time first: for 30 days, unless the operator says otherwise.

        Those that were missed are counted in the schedule.
        """
        wanted = ListFires(schedule_id=schedule_id, limit=query.limit, cursor=query.cursor)
        return page_response(request, await self._store.ask(registry.LIST_FIRES, wanted))

    async def _update(self, request: UpdateSchedule) -> Response:
        reply = await self._store.ask(registry.UPDATE_SCHEDULE, request)
        return json_response(reply, 200, _etag(reply))

    async def _expected_revision(self, schedule_id: UUID, if_match: str | None) -> int | None:
        async def read_revision() -> int:
            return _head(await self._store.ask(registry.GET_SCHEDULE, GetSchedule(id=schedule_id))).revision

        return await expected_revision(if_match, read_revision)


def _keyed(key: IdempotencyKey | None) -> dict[str, IdempotencyKey]:
    return {} if key is None else {"idempotency": key}


def _head(reply: Reply) -> _Head:
    return _Head.model_validate_json(reply.body)


def _etag(reply: Reply) -> dict[str, str]:
    return {"ETag": etag(_head(reply).revision)}
