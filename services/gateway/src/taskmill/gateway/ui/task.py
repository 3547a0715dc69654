"""The page of one task, and what is done to it."""

import asyncio
import re
import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import orjson
from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import Response

from taskmill.contracts import registry
from taskmill.contracts.api_keys import Scope
from taskmill.contracts.errors import TaskmillError
from taskmill.contracts.events import EventPage, EventType, TaskEvent
from taskmill.contracts.json_text import is_same_json
from taskmill.contracts.limits import MAX_PAGE_ITEMS, MAX_TASK_LINES
from taskmill.contracts.requests import (
    AttemptPage,
    CancelTask,
    DeleteTask,
    GetTask,
    LinePage,
    ListAttempts,
    ListEvents,
    ListLines,
    NewTask,
    ProcessTask,
    UpdateTask,
)
from taskmill.contracts.tasks import Task, TaskLine
from taskmill.gateway.api.admission import caller_of
from taskmill.gateway.ui.forms import Form, read_form
from taskmill.gateway.ui.json_fields import check_texts, invalid, labels_of, parse_json, typed_labels
from taskmill.gateway.ui.pages import Parts, page, see
from taskmill.gateway.ui.rendering import MAX_SHOWN_CHARS, ShownJson, pretty, seconds_between, shown
from taskmill.gateway.ui.route import PREFIX

_SHOWN_EVENTS = MAX_PAGE_ITEMS
_MAX_EVENTS_CHARS = 4 * MAX_SHOWN_CHARS
"""Of all events together. Of each that comes behind, the beginning is shown."""
_MIN_EVENT_CHARS = 200
_MAX_REVISION_DIGITS = 18
_LINE_END = re.compile(r"\r\n?|\n")
"""More no revision has."""

_MILESTONES = {
    EventType.CREATED: "created",
    EventType.SCHEDULED: "scheduled",
    EventType.QUEUED: "queued",
    EventType.STARTED: "started",
    EventType.COMPLETED: "completed",
    EventType.FAILED: "failed",
    EventType.CANCEL_REQUESTED: "cancel requested",
    EventType.CANCELLED: "cancelled",
    EventType.UPDATED: "edited",
}


class Milestone(NamedTuple):
    """A point in the life of a task.

    Attributes:
        what: What happened.
        at: When.
        seconds: How long it took from the one before; None: it is the first.
        attempt: The attempt that it belongs to.
    """

    what: str
    at: datetime
    seconds: float | None
    attempt: int


class TaskPages:
    """One task."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @page("GET", "/tasks/{task_id:uuid}", Scope.TASKS_READ)
    async def task(self, request: Request) -> Response:
        """Show everything of a task."""
        return await self._show(request)

    async def _show(self, request: Request) -> Response:
        task_id: UUID = request.path_params["task_id"]
        may_see_events = Scope.EVENTS_READ in caller_of(request.scope).scopes
        task, attempts, lines, events = await asyncio.gather(
            self._task(task_id), self._attempts(task_id), self._lines(task_id), self._events(task_id, may_see_events)
        )
        shows_payloads = self._parts.shows_payloads
        return self._parts.render(
            request,
            "task.html",
            task=task,
            attempts=attempts.items[::-1],
            found_attempts=attempts,
            found_events=events,
            lines=lines.items,
            dropped=lines.dropped,
            events=_shown_events(events.items) if shows_payloads else [],
            timeline=timeline(events.items),
            waited=seconds_between(task.queued_at, task.started_at),
            ran=seconds_between(task.started_at, task.finished_at),
            curl=_curl(task, request) if shows_payloads else None,
            trace_id=(trace_id := _trace_id(events.items)),
            trace_address=trace_address(self._parts.trace_url, trace_id),
        )

    @page("POST", "/tasks/{task_id:uuid}/process", Scope.TASKS_WRITE)
    async def process(self, request: Request) -> Response:
        """Start a run."""
        await read_form(request)
        await self._parts.store.ask(registry.PROCESS, ProcessTask(id=request.path_params["task_id"]))
        return await self._show(request)

    @page("POST", "/tasks/{task_id:uuid}/cancel", Scope.TASKS_CANCEL)
    async def cancel(self, request: Request) -> Response:
        """Cancel the run."""
        await read_form(request)
        await self._parts.store.ask(registry.CANCEL, CancelTask(id=request.path_params["task_id"]))
        return await self._show(request)

    @page("POST", "/tasks/{task_id:uuid}/delete", Scope.TASKS_WRITE)
    async def delete(self, request: Request) -> Response:
        """Delete the task, its run with it."""
        await read_form(request)
        await self._parts.store.ask(registry.DELETE, DeleteTask(id=request.path_params["task_id"], force=True))
        return see(f"{PREFIX}/tasks", request)

    @page("GET", "/tasks/{task_id:uuid}/edit", Scope.TASKS_WRITE)
    async def edit(self, request: Request) -> Response:
        """Show what may be changed."""
        task = await self._task(request.path_params["task_id"])
        return self._form(request, task, _as_typed(task, shows_payloads=self._parts.shows_payloads), {})

    @page("POST", "/tasks/{task_id:uuid}/edit", Scope.TASKS_WRITE)
    async def change(self, request: Request) -> Response:
        """Change what was changed in the form."""
        form = await read_form(request)
        task = await self._task(request.path_params["task_id"])
        typed = {name: form.text(name) for name in ("title", "description", "labels", "priority", "payload")}
        try:
            check_texts(form)
            changes = _changes(task, form)
            if changes:
                wanted = UpdateTask(id=task.id, changes=changes, expected_revision=_revision(form))
                await self._parts.store.ask(registry.UPDATE, wanted)
        except TaskmillError as error:
            return self._form(request, task, typed, _by_field(error))
        return see(f"{PREFIX}/tasks/{task.id}", request)

    def _form(self, request: Request, task: Task, typed: dict[str, str], errors: dict[str, str]) -> Response:
        may_edit_all = not task.is_run_active
        return self._parts.render(
            request,
            "edit.html",
            status=422 if errors else 200,
            task=task,
            typed=typed,
            errors=errors,
            may_edit_all=may_edit_all,
        )

    async def _task(self, task_id: UUID) -> Task:
        return Task.model_validate_json((await self._parts.store.ask(registry.GET, GetTask(id=task_id))).body)

    async def _attempts(self, task_id: UUID) -> AttemptPage:
        wanted = ListAttempts(task_id=task_id, limit=MAX_PAGE_ITEMS)
        reply = await self._parts.store.ask(registry.ATTEMPTS, wanted)
        return AttemptPage.model_validate_json(reply.body)

    async def _lines(self, task_id: UUID) -> LinePage:
        """All lines that are kept."""
        lines: list[TaskLine] = []
        cursor, dropped = None, 0
        while True:
            wanted = ListLines(task_id=task_id, limit=MAX_PAGE_ITEMS, cursor=cursor)
            found = LinePage.model_validate_json((await self._parts.store.ask(registry.LINES, wanted)).body)
            lines += found.items
            cursor, dropped = found.next_cursor, found.dropped
            if cursor is None or len(lines) >= MAX_TASK_LINES:
                return LinePage(items=lines, dropped=dropped)

    async def _events(self, task_id: UUID, may_see: bool) -> EventPage:
        if not may_see:
            return EventPage(items=[])
        wanted = ListEvents(task_id=task_id, limit=_SHOWN_EVENTS)
        return EventPage.model_validate_json((await self._parts.store.ask(registry.EVENTS, wanted)).body)


def timeline(events: Sequence[TaskEvent]) -> list[Milestone]:
    """The points in the life of a task, with what lies between them."""
    names = {event_type.cloud_event_type: name for event_type, name in _MILESTONES.items()}
    found: list[Milestone] = []
    for event in events:
        if event.type in names:
            before = found[-1].at if found else None
            what = f"{names[event.type]} again" if _is_repeat(found, names[event.type]) else names[event.type]
            found.append(Milestone(what, event.time, seconds_between(before, event.time), event.data["attempt"]))
    return found


def _shown_events(events: Sequence[TaskEvent]) -> list[ShownJson]:
    texts: list[ShownJson] = []
    left = _MAX_EVENTS_CHARS
    for event in events:
        most = min(MAX_SHOWN_CHARS, max(_MIN_EVENT_CHARS, left))
        texts.append(shown(event.model_dump(mode="json", exclude_none=True), most))
        left -= len(texts[-1].text)
    return texts


def _is_repeat(found: Sequence[Milestone], what: str) -> bool:
    return what == "queued" and any(milestone.what.startswith("queued") for milestone in found)


def _trace_id(events: Sequence[TaskEvent]) -> str | None:
    """The trace that the newest event belongs to; None: nothing is traced."""
    traced = [event.traceparent for event in events if event.traceparent]
    return traced[-1].split("-")[1] if traced else None


def trace_address(url: str | None, trace_id: str | None) -> str | None:
    """Where a trace can be seen; None: nowhere, or there is none."""
    return None if url is None or trace_id is None else url.replace("{trace_id}", trace_id)


def _curl(task: Task, request: Request) -> str | None:
    """A command that makes the same task again; None: it would be longer than a shell takes."""
    fields = {name: getattr(task, name) for name in NewTask.model_fields if hasattr(task, name) and name != "run_at"}
    known = {
        name: value for name, value in fields.items() if value not in (None, {}, NewTask.model_fields[name].default)
    }
    body = NewTask.model_construct(**known, process=True).model_dump_json(exclude_unset=True)
    if len(body) > MAX_SHOWN_CHARS:
        return None
    address = f"{request.url.scheme}://{request.url.netloc}/tasks"
    return f"curl -X POST {address} -H 'Content-Type: application/json' -d {shlex.quote(body)}"


def _as_typed(task: Task, *, shows_payloads: bool) -> dict[str, str]:
    return {
        "title": task.title,
        "description": task.description or "",
        "labels": typed_labels(task.labels),
        "priority": task.priority,
        "payload": pretty(task.payload) if shows_payloads else "",
    }


def _changes(task: Task, form: Form) -> dict[str, JsonValue]:
    """The fields that were edited.

    Raises:
        InvalidRequestError: What was typed is no JSON, or are no labels.
    """
    wanted: dict[str, JsonValue] = {
        "title": form.one("title"),
        "description": form.text("description") or None,
        "labels": {**labels_of(form.text("labels"))},
    }
    if form.has("priority"):
        wanted["priority"] = form.one("priority")
    if form.has("payload"):
        wanted["payload"] = parse_json(form.text("payload"), "/payload")
    now = orjson.loads(task.model_dump_json(include=set(wanted)))
    # As a browser brings them that nobody touched: a title in one line, and lines that end alike.
    title, description = _LINE_END.sub("", task.title).strip(), _LINE_END.sub("\n", task.description or "")
    now |= {"title": title, "description": description or None}
    return {name: value for name, value in wanted.items() if not is_same_json(value, now[name])}


def _revision(form: Form) -> int:
    """The revision that the form was made of.

    Raises:
        InvalidRequestError: It is none.
    """
    typed = form.one("revision")
    if not typed.isascii() or not typed.isdecimal() or len(typed) > _MAX_REVISION_DIGITS or int(typed) < 1:
        raise invalid("", "The form does not say which revision of the task it was made of.", "no_revision")
    return int(typed)


def _by_field(error: TaskmillError) -> dict[str, str]:
    problems = error.problem().errors
    if not problems:
        return {"": error.problem().detail}
    return {problem.pointer.removeprefix("/").partition("/")[0]: problem.detail for problem in problems}
