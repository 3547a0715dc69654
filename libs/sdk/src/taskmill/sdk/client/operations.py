"""Each operation of the API as a `Call`."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx
from pydantic import BaseModel
from pydantic_core import from_json, to_json

from taskmill.contracts.api_keys import ApiKey, ApiKeyPage, ApiKeyWithSecret
from taskmill.contracts.events import EventType
from taskmill.contracts.fleet import ProcessorInfo, ProcessorPage, QueueInfo, QueuePage
from taskmill.contracts.health import Health
from taskmill.contracts.limits import MAX_PAGE_ITEMS
from taskmill.contracts.requests import AttemptPage, CreateTasksReply, LinePage, TaskPage
from taskmill.contracts.tasks import Attempt, Task, TaskLine, TaskSummary
from taskmill.sdk.client.calls import EVENT_STREAM, Call, Page, is_event_stream
from taskmill.sdk.client.fields import EventConditions, TaskChanges, TaskConditions, TaskId
from taskmill.sdk.errors import EventsGoneError, GapError, LogSetBackError
from taskmill.sdk.event import Event

MAX_WAIT_SECONDS = 60
"""What the API waits at most in one request."""

_Model = TypeVar("_Model", bound=BaseModel)


def create(body: bytes, key: str, *, wait: int, headers: Mapping[str, str], within: float | None = None) -> Call[Task]:
    """Create a task, and wait for its end for `wait` seconds at most."""
    return Call(
        method="POST",
        path="/tasks",
        read=_model(Task),
        params=_wait(wait),
        headers=_json_headers(key, headers),
        body=body,
        wait_seconds=wait,
        within_seconds=within,
    )


def create_many(body: bytes, key: str, *, headers: Mapping[str, str]) -> Call[CreateTasksReply]:
    """Create many tasks, all or none."""
    read = _model(CreateTasksReply)
    return Call(method="POST", path="/tasks/batch", read=read, headers=_json_headers(key, headers), body=body)


def get(task_id: TaskId, *, wait: int, within: float | None = None) -> Call[Task]:
    """Read a task, once it has ended, after `wait` seconds at the latest."""
    path = _task(task_id)
    return Call(
        method="GET", path=path, read=_model(Task), params=_wait(wait), wait_seconds=wait, within_seconds=within
    )


def get_if_changed(task_id: TaskId, revision: int | None, *, wait: int) -> Call[Task | None]:
    """Read a task if its revision is another one, once it is, after `wait` seconds at the latest; None: it is not."""

    def read(response: httpx.Response) -> Task | None:
        return None if response.status_code == httpx.codes.NOT_MODIFIED else _model(Task)(response)

    headers = _tag("If-None-Match", revision)
    return Call(method="GET", path=_task(task_id), read=read, params=_wait(wait), headers=headers, wait_seconds=wait)


def list_tasks(conditions: TaskConditions) -> Call[Page[TaskSummary]]:
    """Read the first page of tasks."""
    given = dict(conditions)
    limit = given.pop("page_size", MAX_PAGE_ITEMS)
    return _page("/tasks", [*_query(given, "status"), ("limit", str(limit))], _model(TaskPage))


def attempts(task_id: TaskId) -> Call[Page[Attempt]]:
    """Read the first page of a task's attempts."""
    return _page(f"{_task(task_id)}/attempts", _FULL_PAGE, _model(AttemptPage))


def lines(task_id: TaskId) -> Call[Page[TaskLine]]:
    """Read the first page of a task's lines."""
    return _page(f"{_task(task_id)}/logs", _FULL_PAGE, _model(LinePage))


def processors() -> Call[Page[ProcessorInfo]]:
    """Read the first page of the processors."""
    return _page("/processors", _FULL_PAGE, _model(ProcessorPage))


def drain_processor(processor_id: str) -> Call[None]:
    """Have a processor drain, and end."""
    path = f"/processors/{quote(processor_id, safe='')}/drain"
    # A second time it might be another process that has the id by now.
    return Call(method="POST", path=path, read=lambda _: None, is_repeatable=False)


def queues() -> Call[Page[QueueInfo]]:
    """Read the first page of the queues."""
    return _page("/queues", _FULL_PAGE, _model(QueuePage))


def pause_queue(name: str) -> Call[QueueInfo]:
    """Begin no more tasks of a queue."""
    return Call(method="POST", path=f"/queues/{quote(name, safe='')}/pause", read=_model(QueueInfo))


def resume_queue(name: str) -> Call[QueueInfo]:
    """Begin tasks of a queue again."""
    return Call(method="POST", path=f"/queues/{quote(name, safe='')}/resume", read=_model(QueueInfo))


def create_key(name: str, scopes: Sequence[str], expires_at: datetime | None) -> Call[ApiKeyWithSecret]:
    """Make an API key. A second time it would be another one."""
    wanted: dict[str, Any] = {"name": name, "scopes": list(scopes)}
    if expires_at is not None:
        wanted["expires_at"] = expires_at.isoformat()
    return Call(
        method="POST",
        path="/keys",
        headers={"Content-Type": "application/json"},
        body=to_json(wanted),
        read=_model(ApiKeyWithSecret),
        is_repeatable=False,
    )


def keys() -> Call[Page[ApiKey]]:
    """Read the first page of the API keys."""
    return _page("/keys", _FULL_PAGE, _model(ApiKeyPage))


def revoke_key(key_id: str) -> Call[ApiKey]:
    """Have an API key be worth nothing."""
    return Call(method="POST", path=f"/keys/{quote(key_id, safe='')}/revoke", read=_model(ApiKey))


def health() -> Call[Health]:
    """Ask how Taskmill is; that a part is down is an answer, too."""
    return Call(method="GET", path="/health", read=_model(Health), accepts={httpx.codes.SERVICE_UNAVAILABLE})


def update(task_id: TaskId, changes: TaskChanges, revision: int | None) -> Call[Task]:
    """Change a task.

    With a revision it is not made again when nobody answered: the answer might be that the task has changed, by the
    very request that it repeats. Without one, the same patch a second time changes nothing.
    """
    return Call(
        method="PATCH",
        path=_task(task_id),
        read=_model(Task),
        headers={"Content-Type": "application/merge-patch+json", **_tag("If-Match", revision)},
        body=to_json(changes),
        is_repeatable=revision is None,
    )


def process(task_id: TaskId, revision: int | None, key: str, *, wait: int, headers: Mapping[str, str]) -> Call[Task]:
    """Start a run of a task, and wait for its end for `wait` seconds at most."""
    return Call(
        method="POST",
        path=f"{_task(task_id)}/process",
        read=_model(Task),
        params=_wait(wait),
        headers={"Idempotency-Key": key, **_tag("If-Match", revision), **headers},
        wait_seconds=wait,
    )


def cancel(task_id: TaskId, revision: int | None, key: str) -> Call[Task]:
    """Cancel a task."""
    headers = {"Idempotency-Key": key, **_tag("If-Match", revision)}
    return Call(method="POST", path=f"{_task(task_id)}/cancel", read=_model(Task), headers=headers)


def delete(task_id: TaskId, revision: int | None, *, force: bool) -> Call[None]:
    """Delete a task."""
    return Call(
        method="DELETE",
        path=_task(task_id),
        read=lambda _: None,
        params=[("force", "true")] if force else [],
        headers=_tag("If-Match", revision),
        is_gone_fine=True,
    )


class LogEnds(BaseModel):
    """Where the log begins and ends, as a page of it, or a reset, says."""

    oldest: int
    newest: int
    removed: int

    def gap_behind(self, position: int) -> GapError | None:
        """Why nobody can go on behind a position without missing something; None: one can."""
        if position > self.newest:
            return LogSetBackError(after=position, newest=self.newest)
        if 0 < position < self.removed:
            return EventsGoneError(after=position, removed=self.removed)
        return None


def log_ends() -> Call[LogEnds]:
    """Ask where the log begins and ends."""
    return Call(method="GET", path="/events", read=_model(LogEnds), params=[("limit", "1")])


def events(task_id: TaskId | None, after: int, conditions: EventConditions) -> Call[Page[Event]]:
    """Read the first page of events behind a position; reading one raises `GapError` if some are gone."""
    return _events([*event_query(task_id, conditions), *_FULL_PAGE], after)


def _events(query: list[tuple[str, str]], after: int) -> Call[Page[Event]]:
    def read(response: httpx.Response) -> Page[Event]:
        ends = _model(LogEnds)(response)
        if (gap := ends.gap_behind(after)) is not None:
            raise gap
        page = from_json(response.content)
        items = [event_of(item["position"], to_json(item["event"])) for item in page["items"]]
        searched = page["next_after"]
        return Page(items, _events(query, searched) if searched < ends.newest else None)

    return Call(method="GET", path="/events", read=read, params=[*query, ("after", str(after))])


def stream(query: list[tuple[str, str]], after: int, silent_within: float, within: float) -> Call[httpx.Response]:
    """Open a stream of the events behind a position; it is broken when nothing comes for `silent_within` seconds."""

    def read(response: httpx.Response) -> httpx.Response:
        if not is_event_stream(response):
            raise ValueError(f"it is no {EVENT_STREAM}")
        return response

    return Call(
        method="GET",
        path="/events",
        read=read,
        params=query,
        headers={"Accept": EVENT_STREAM, "Cache-Control": "no-store", "Last-Event-ID": str(after)},
        is_stream=True,
        wait_seconds=silent_within,
        within_seconds=within,
    )


def event_query(task_id: TaskId | None, conditions: EventConditions) -> list[tuple[str, str]]:
    """Which events, as the API is asked."""
    given = dict(conditions)
    if "types" in given:
        given["type"] = given.pop("types")
    query = _query(given, "type")
    return query if task_id is None else [*query, ("task", str(_uuid(task_id)))]


def event_of(position: int, document: bytes) -> Event:
    """An event, by its position and its document.

    Raises:
        ValueError, KeyError: It is none that is known.
    """
    fields = from_json(document)
    event_type = EventType(fields["type"].removeprefix("taskmill.task.").rpartition(".")[0])
    return Event(
        position, event_type, fields["data"]["kind"], UUID(fields["subject"]), fields["sequence"], document, fields
    )


def _page(path: str, query: list[tuple[str, str]], read_page: Callable[[httpx.Response], Any]) -> Call[Page[Any]]:
    def read(response: httpx.Response) -> Page[Any]:
        page = read_page(response)
        if page.next_cursor is None:
            return Page(page.items, None)
        without_cursor = [pair for pair in query if pair[0] != "cursor"]
        return Page(page.items, _page(path, [*without_cursor, ("cursor", page.next_cursor)], read_page))

    return Call(method="GET", path=path, read=read, params=query)


def _query(given: Mapping[str, Any], repeatable: str) -> list[tuple[str, str]]:
    query: list[tuple[str, str]] = []
    for name, value in given.items():
        if name == "labels":
            query += [("label", key if wanted is None else f"{key}:{wanted}") for key, wanted in value.items()]
        elif name == repeatable:
            query += [(name, str(one)) for one in several(value)]
        else:
            query.append((name, value.isoformat() if isinstance(value, datetime) else str(value)))
    return query


def several(value: str | Collection[str]) -> Collection[str]:
    """What may be one or several, as several."""
    return [value] if isinstance(value, str) else value


def _model(model: type[_Model]) -> Callable[[httpx.Response], _Model]:
    return lambda response: model.model_validate_json(response.content)


def _uuid(task_id: TaskId) -> UUID:
    return task_id if isinstance(task_id, UUID) else UUID(task_id)


def _task(task_id: TaskId) -> str:
    return f"/tasks/{_uuid(task_id)}"


def _wait(seconds: int) -> list[tuple[str, str]]:
    return [("wait", str(seconds))] if seconds else []


def _tag(header: str, revision: int | None) -> dict[str, str]:
    return {} if revision is None else {header: f'"{revision}"'}


def _json_headers(key: str, headers: Mapping[str, str]) -> dict[str, str]:
    return {"Content-Type": "application/json", "Idempotency-Key": key, **headers}


_FULL_PAGE = [("limit", str(MAX_PAGE_ITEMS))]
