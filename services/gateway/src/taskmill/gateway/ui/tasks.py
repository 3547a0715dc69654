"""The pages of the tasks: the list, and what is done to many."""

import asyncio
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from taskmill.contracts import registry
from taskmill.contracts.api_keys import Scope
from taskmill.contracts.bulk_operations import BulkAction, BulkOperation, GetBulkOperation, StartBulkOperation
from taskmill.contracts.errors import InvalidRequestError, TaskmillError
from taskmill.contracts.limits import MAX_COUNTED_TASKS
from taskmill.contracts.requests import CountTasks, TaskCounts, TaskPage
from taskmill.contracts.status import TaskStatus
from taskmill.gateway.api.admission import caller_of
from taskmill.gateway.api.problems import problem_document
from taskmill.gateway.api.queries import TaskConditions, TaskQuery
from taskmill.gateway.api.query_reader import QueryReader
from taskmill.gateway.errors import MissingScopeError
from taskmill.gateway.ui.forms import Form, encoded, filled_in, read_form
from taskmill.gateway.ui.pages import Parts, page, see
from taskmill.gateway.ui.route import PREFIX

_QUERY = QueryReader(TaskQuery)
_CONDITIONS = QueryReader(TaskConditions)
_NO_CONDITIONS = frozenset({"cursor", "sort", "limit"})
_WITH_FIELD = frozenset({"title", "kind", "queue", "priority", "label", "status"})

_SCOPE_OF = {
    BulkAction.PROCESS: Scope.TASKS_WRITE,
    BulkAction.DELETE: Scope.TASKS_WRITE,
    BulkAction.CANCEL: Scope.TASKS_CANCEL,
}


class TaskListPages:
    """The tasks, and operations on many of them."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @page("GET", "", Scope.TASKS_READ)
    async def root(self, request: Request) -> Response:
        """Lead whoever looks around to the tasks."""
        return see(f"{PREFIX}/tasks", request)

    @page("GET", "/tasks", Scope.TASKS_READ)
    async def tasks(self, request: Request) -> Response:
        """Show a page of tasks, and how many there are of each status."""
        given = filled_in(request)
        try:
            query = _QUERY.read(encoded(given))
        except InvalidRequestError as error:
            return self._show(request, given, status=422, problem=problem_document(error.problem()))
        assert isinstance(query, TaskQuery)  # noqa: S101  (the reader's model)
        every_status = query.filter().model_copy(update={"status": []})
        reply, counts = await asyncio.gather(
            self._parts.store.ask(registry.LIST, query.request()), self._counts(CountTasks(filter=every_status))
        )
        return self._show(request, given, found=TaskPage.model_validate_json(reply.body), counts=counts, query=query)

    async def _counts(self, request: CountTasks) -> dict[TaskStatus, int]:
        """How many there are; nothing: it cannot be said in time, and the list is worth more."""
        try:
            reply = await self._parts.store.ask(registry.COUNT, request)
        except TaskmillError:
            return {}
        return TaskCounts.model_validate_json(reply.body).counts

    def _show(self, request: Request, given: list[tuple[str, str]], *, status: int = 200, **found: Any) -> Response:
        others = [(name, value) for name, value in given if name not in {"status", "cursor"}]
        conditions = [(name, value) for name, value in given if name not in _NO_CONDITIONS]
        # What links elsewhere have asked for, such as the tasks of a group.
        without_field = [
            (name, value, urlencode([pair for pair in given if pair != (name, value) and pair[0] != "cursor"]))
            for name, value in conditions
            if name not in _WITH_FIELD
        ]
        values: dict[str, Any] = {"found": TaskPage(items=[]), "counts": {}, "query": TaskQuery(), "problem": None}
        values |= found
        next_cursor = values["found"].next_cursor
        first_page = [pair for pair in given if pair[0] != "cursor"]
        is_first_page = first_page == given
        return self._parts.render(
            request,
            "tasks.html",
            status=status,
            given=given,
            value_of=dict(given).get,
            others=urlencode(others),
            conditions=urlencode(conditions),
            without_field=without_field,
            gateway=f"{request.url.scheme}://{request.url.netloc}",
            is_first_page=is_first_page,
            first=None if is_first_page else f"{PREFIX}/tasks?{urlencode(first_page)}",
            following=f"{PREFIX}/tasks?{urlencode([*first_page, ('cursor', next_cursor)])}" if next_cursor else None,
            most=MAX_COUNTED_TASKS,
            **values,
        )

    @page("POST", "/tasks/bulk/preview", Scope.TASKS_WRITE)
    async def preview(self, request: Request) -> Response:
        """Say how many tasks an operation would be asked of, and ask whether to begin it."""
        form = await read_form(request)
        operation = self._operation(request, form)
        if operation.ids is not None:
            matched = len(operation.ids)
        else:
            assert operation.filter is not None  # noqa: S101  (it is one or the other)
            counts = await self._counts(CountTasks(filter=operation.filter))
            matched = sum(counts.values())
        return self._parts.render(
            request,
            "bulk_preview.html",
            operation=operation,
            matched=matched,
            most=MAX_COUNTED_TASKS,
            ids=[str(task_id) for task_id in operation.ids or ()],
            conditions=form.one("conditions"),
        )

    @page("POST", "/tasks/bulk", Scope.TASKS_WRITE)
    async def start(self, request: Request) -> Response:
        """Begin an operation."""
        operation = self._operation(request, await read_form(request))
        await self._parts.store.ask(registry.START_BULK, operation)
        return see(f"{PREFIX}/operations/{operation.id}", request)

    @page("GET", "/operations/{operation_id:uuid}", Scope.TASKS_READ)
    async def operation(self, request: Request) -> Response:
        """Show how far an operation is."""
        operation_id: UUID = request.path_params["operation_id"]
        reply = await self._parts.store.ask(registry.GET_BULK, GetBulkOperation(id=operation_id))
        operation = BulkOperation.model_validate_json(reply.body)
        return self._parts.render(request, "operation.html", operation=operation)

    def _operation(self, request: Request, form: Form) -> StartBulkOperation:
        """What a form asks of many tasks: those that are ticked, or all that meet the list's conditions."""
        wanted: dict[str, Any] = {"id": self._parts.new_id(), "action": form.one("action")}
        if form.has("force"):
            wanted["force"] = True
        if form.one("which") == "all":
            conditions = _CONDITIONS.read(form.one("conditions").encode())
            assert isinstance(conditions, TaskConditions)  # noqa: S101  (the reader's model)
            # An operation takes a condition at least.
            wanted["filter"] = conditions.filter() if conditions.model_fields_set else {"status": list(TaskStatus)}
        else:
            wanted["ids"] = form.all("id")
        try:
            operation = StartBulkOperation.model_validate(wanted)
        except ValidationError as error:
            raise InvalidRequestError("Tick the tasks that are meant, or choose all that match.") from error
        needed = _SCOPE_OF[operation.action]
        if needed not in caller_of(request.scope).scopes:
            raise MissingScopeError(needed)
        return operation
