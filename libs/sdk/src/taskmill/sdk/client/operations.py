"""Each operation of the API as a `Call`."""

import reprlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx
from pydantic import BaseModel
from pydantic_core import from_json, to_json

from taskmill.contracts.activity import Activity, ActivityMinute
from taskmill.contracts.api_keys import ApiKey, ApiKeyPage, ApiKeyWithSecret
from taskmill.contracts.bulk_operations import BulkAction, BulkOperation
from taskmill.contracts.events import EventType
from taskmill.contracts.fleet import ProcessorInfo, ProcessorPage, QueueInfo, QueuePage
from taskmill.contracts.groups import Group, GroupPage
from taskmill.contracts.health import Health
from taskmill.contracts.kinds import KindPage, KnownKind
from taskmill.contracts.limits import MAX_INTEGER, MAX_PAGE_ITEMS
from taskmill.contracts.requests import AttemptPage, CreateTasksReply, LinePage, TaskCounts, TaskPage
from taskmill.contracts.schedules import Backfill, FirePage, NextTimes, Schedule, ScheduleFire, SchedulePage
from taskmill.contracts.tasks import Attempt, Task, TaskLine, TaskSummary
from taskmill.contracts.turns import Limit, LimitPage, Share, SharePage
from taskmill.contracts.webhooks import Delivery, DeliveryPage, Replay, Webhook, WebhookPage, WebhookWithSecret
from taskmill.sdk.client.calls import EVENT_STREAM, Call, Page, is_event_stream
from taskmill.sdk.client.fields import (
    EventConditions,
    FollowUp,
    Id,
    ScheduleChanges,
    ScheduledTask,
    ScheduleOptions,
    TaskChanges,
    TaskConditions,
    TaskId,
    TaskSelection,
    TaskToSubmit,
    WebhookChanges,
    WebhookOptions,
)
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


def count_tasks(conditions: TaskSelection) -> Call[TaskCounts]:
    """Count tasks by status."""
    return Call(
        method="GET", path="/tasks/counts", read=_model(TaskCounts), params=[*_query(dict(conditions), "status")]
    )


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
    path = _path("processors", processor_id, "drain")
    # A second time it might be another process that has the id by now.
    return Call(method="POST", path=path, read=lambda _: None, is_repeatable=False)


def queues() -> Call[Page[QueueInfo]]:
    """Read the first page of the queues."""
    return _page("/queues", _FULL_PAGE, _model(QueuePage))


def pause_queue(name: str) -> Call[QueueInfo]:
    """Begin no more tasks of a queue."""
    return Call(method="POST", path=_path("queues", name, "pause"), read=_model(QueueInfo))


def resume_queue(name: str) -> Call[QueueInfo]:
    """Begin tasks of a queue again."""
    return Call(method="POST", path=_path("queues", name, "resume"), read=_model(QueueInfo))


def limits() -> Call[Page[Limit]]:
    """Read the first page of the limits."""
    return _page("/limits", _FULL_PAGE, _model(LimitPage))


def limit(name: str) -> Call[Limit]:
    """Read a limit."""
    return Call(method="GET", path=_path("limits", name), read=_model(Limit))


def put_limit(name: str, given: Mapping[str, Any]) -> Call[Limit]:
    """Make a limit, or change it."""
    headers = {"Content-Type": "application/json"}
    return Call(method="PUT", path=_path("limits", name), read=_model(Limit), headers=headers, body=to_json(given))


def delete_limit(name: str) -> Call[None]:
    """Delete a limit."""
    return Call(method="DELETE", path=_path("limits", name), read=lambda _: None, is_gone_fine=True)


def shares() -> Call[Page[Share]]:
    """Read the first page of the shares."""
    return _page("/shares", _FULL_PAGE, _model(SharePage))


def share(key: str) -> Call[Share]:
    """Read the share of a key."""
    return Call(method="GET", path=_path("shares", key), read=_model(Share))


def put_share(key: str, weight: float) -> Call[Share]:
    """Set the share of a key."""
    headers, body = {"Content-Type": "application/json"}, to_json({"weight": weight})
    return Call(method="PUT", path=_path("shares", key), read=_model(Share), headers=headers, body=body)


def delete_share(key: str) -> Call[None]:
    """Delete the share of a key."""
    return Call(method="DELETE", path=_path("shares", key), read=lambda _: None, is_gone_fine=True)


def kinds() -> Call[Page[KnownKind]]:
    """Read the first page of the kinds."""
    return _page("/kinds", _FULL_PAGE, _model(KindPage))


def start_bulk(
    action: BulkAction | str,
    ids: Collection[TaskId] | None,
    conditions: TaskSelection,
    key: str,
    *,
    dry_run: bool,
    force: bool,
) -> Call[BulkOperation]:
    """Have something done to many tasks: those that are named, or else those that meet the conditions."""
    given: dict[str, Any] = {**conditions}
    if "status" in given:
        given["status"] = [str(one) for one in several(given["status"])]
    chosen = {"filter": given} if ids is None else {"ids": [str(_uuid(one)) for one in ids]}
    body = to_json({"action": action, "dry_run": dry_run, "force": force, **chosen})
    return Call(
        method="POST", path="/tasks/bulk", read=_model(BulkOperation), headers=_json_headers(key, {}), body=body
    )


def create_group(
    title: str,
    tasks: Iterable[TaskToSubmit],
    on_completed: FollowUp | None,
    on_failed: FollowUp | None,
    key: str,
    *,
    process: bool,
    headers: Mapping[str, str],
) -> Call[Group]:
    """Create a group with its tasks, all or nothing."""
    given: dict[str, Any] = {
        "title": title,
        "tasks": [{"title": task["kind"], "process": process, **task} for task in tasks],
    }
    for name, follow_up in (("on_completed", on_completed), ("on_failed", on_failed)):
        if follow_up is not None:
            given[name] = {"title": follow_up["kind"], **follow_up}
    body = to_json(given)
    return Call(method="POST", path="/groups", read=_model(Group), headers=_json_headers(key, headers), body=body)


def group(group_id: Id) -> Call[Group]:
    """Read how far a group is."""
    return Call(method="GET", path=f"/groups/{_uuid(group_id)}", read=_model(Group))


def groups() -> Call[Page[Group]]:
    """Read the first page of the groups."""
    return _page("/groups", _FULL_PAGE, _model(GroupPage))


def bulk_operation(operation_id: Id) -> Call[BulkOperation]:
    """Read how far a bulk operation is."""
    return Call(method="GET", path=f"/operations/{_uuid(operation_id)}", read=_model(BulkOperation))


def webhooks() -> Call[Page[Webhook]]:
    """Read the first page of the webhooks."""
    return _page("/webhooks", _FULL_PAGE, _model(WebhookPage))


def webhook(webhook_id: Id) -> Call[Webhook]:
    """Read a webhook."""
    return Call(method="GET", path=_webhook(webhook_id), read=_model(Webhook))


def create_webhook(url: str, options: WebhookOptions, key: str) -> Call[WebhookWithSecret]:
    """Create a webhook."""
    body = to_json({"url": url, **_with_label_texts(options)})
    return Call(
        method="POST", path="/webhooks", read=_model(WebhookWithSecret), headers=_json_headers(key, {}), body=body
    )


def update_webhook(webhook_id: Id, changes: WebhookChanges, revision: int | None) -> Call[Webhook]:
    """Change a webhook; made again as `update` is."""
    return Call(
        method="PATCH",
        path=_webhook(webhook_id),
        read=_model(Webhook),
        headers={"Content-Type": "application/merge-patch+json", **_tag("If-Match", revision)},
        body=to_json(_with_label_texts(changes)),
        is_repeatable=revision is None,
    )


def delete_webhook(webhook_id: Id, revision: int | None) -> Call[None]:
    """Delete a webhook."""
    return Call(
        method="DELETE",
        path=_webhook(webhook_id),
        read=lambda _: None,
        headers=_tag("If-Match", revision),
        is_gone_fine=True,
    )


def rotate_webhook_secret(webhook_id: Id, secret: str | None, revision: int | None) -> Call[WebhookWithSecret]:
    """Give a webhook a new secret. Never made again by itself: a second rotation ends the secret that is in use."""
    return Call(
        method="POST",
        path=f"{_webhook(webhook_id)}/rotate",
        read=_model(WebhookWithSecret),
        headers={"Content-Type": "application/json", **_tag("If-Match", revision)},
        body=to_json({} if secret is None else {"secret": secret}),
        is_repeatable=False,
    )


def deliveries(webhook_id: Id) -> Call[Page[Delivery]]:
    """Read the first page of the deliveries to a webhook."""
    return _page(f"{_webhook(webhook_id)}/deliveries", _FULL_PAGE, _model(DeliveryPage))


def redeliver(webhook_id: Id, task_id: TaskId) -> Call[Delivery]:
    """Deliver an event again. When nobody knows whether it was done, to do it twice would send it twice."""
    path = f"{_webhook(webhook_id)}/deliveries/{_uuid(task_id)}/redeliver"
    return Call(method="POST", path=path, read=_model(Delivery), is_repeatable=False)


def start_replay(
    target: Id | str, *, is_subject: bool, after: int, until: int | None, conditions: EventConditions, key: str
) -> Call[Replay]:
    """Have a span of the log told again: to a webhook, or to the subject of a name."""
    given: dict[str, Any] = {"after": after, **_with_label_texts(conditions)}
    if "types" in given:
        given["types"] = several(given["types"])
    if until is not None:
        given["until"] = until
    if is_subject:
        given["name"] = target
    path = "/events/replay" if is_subject else f"{_webhook(target)}/replay"
    return Call(method="POST", path=path, read=_model(Replay), headers=_json_headers(key, {}), body=to_json(given))


def replay(replay_id: Id) -> Call[Replay]:
    """Read how far a replay is."""
    return Call(method="GET", path=f"/replays/{_uuid(replay_id)}", read=_model(Replay))


def schedules() -> Call[Page[Schedule]]:
    """Read the first page of the schedules."""
    return _page("/schedules", _FULL_PAGE, _model(SchedulePage))


def schedule(schedule_id: Id) -> Call[Schedule]:
    """Read a schedule."""
    return Call(method="GET", path=_schedule(schedule_id), read=_model(Schedule))


def create_schedule(name: str, template: ScheduledTask, options: ScheduleOptions, key: str) -> Call[Schedule]:
    """Create a schedule."""
    body = to_json({"name": name, "template": {"title": name, **template}, **options})
    return Call(method="POST", path="/schedules", read=_model(Schedule), headers=_json_headers(key, {}), body=body)


def update_schedule(schedule_id: Id, changes: ScheduleChanges, revision: int | None) -> Call[Schedule]:
    """Change a schedule; made again as `update` is."""
    return Call(
        method="PATCH",
        path=_schedule(schedule_id),
        read=_model(Schedule),
        headers={"Content-Type": "application/merge-patch+json", **_tag("If-Match", revision)},
        body=to_json(changes),
        is_repeatable=revision is None,
    )


def delete_schedule(schedule_id: Id, revision: int | None) -> Call[None]:
    """Delete a schedule."""
    return Call(
        method="DELETE",
        path=_schedule(schedule_id),
        read=lambda _: None,
        headers=_tag("If-Match", revision),
        is_gone_fine=True,
    )


def run_schedule(schedule_id: Id, key: str) -> Call[Task]:
    """Make a task of a schedule now."""
    path = f"{_schedule(schedule_id)}/run"
    return Call(method="POST", path=path, read=_model(Task), headers=_json_headers(key, {}), body=b"{}")


def backfill_schedule(schedule_id: Id, since: datetime, until: datetime) -> Call[Backfill]:
    """Make the tasks of a span of the past. What was made before is not made again."""
    return Call(
        method="POST",
        path=f"{_schedule(schedule_id)}/backfill",
        read=_model(Backfill),
        headers={"Content-Type": "application/json"},
        body=to_json({"since": since.isoformat(), "until": until.isoformat()}),
    )


def next_times(schedule_id: Id, count: int) -> Call[list[datetime]]:
    """Read when a schedule fires next."""
    return Call(
        method="GET",
        path=f"{_schedule(schedule_id)}/next-times",
        read=lambda response: _model(NextTimes)(response).items,
        params=[("count", str(count))],
    )


def fires(schedule_id: Id) -> Call[Page[ScheduleFire]]:
    """Read the first page of what became of a schedule's times."""
    return _page(f"{_schedule(schedule_id)}/fires", _FULL_PAGE, _model(FirePage))


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
    return Call(method="POST", path=_path("keys", key_id, "revoke"), read=_model(ApiKey))


def activity(minutes: int) -> Call[list[ActivityMinute]]:
    """Read what was done in the last minutes."""
    return Call(
        method="GET",
        path="/activity",
        read=lambda response: _model(Activity)(response).items,
        params=[("minutes", str(minutes))],
    )


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


def log_ends(within: float | None = None) -> Call[LogEnds]:
    """Ask where the log begins and ends."""
    return Call(method="GET", path="/events", read=_model(LogEnds), params=[("limit", "1")], within_seconds=within)


def events(
    task_id: TaskId | None, after: int, conditions: EventConditions, until: int | None = None
) -> Call[Page[Event]]:
    """Read the first page of events behind a position; reading one raises `GapError` if some are gone.

    Args:
        task_id: Only of this task; None: of all.
        after: The position.
        conditions: Which events.
        until: The last position of interest; None: the newest.
    """
    return _events([*event_query(task_id, conditions), *_FULL_PAGE], after, MAX_INTEGER if until is None else until)


def _events(query: list[tuple[str, str]], after: int, until: int) -> Call[Page[Event]]:
    def read(response: httpx.Response) -> Page[Event]:
        ends = _model(LogEnds)(response)
        if (gap := ends.gap_behind(after)) is not None:
            raise gap
        page = from_json(response.content)
        items = [
            event_of(item["position"], to_json(item["event"])) for item in page["items"] if item["position"] <= until
        ]
        searched = page["next_after"]
        return Page(items, _events(query, searched, until) if searched < min(ends.newest, until) else None)

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
        ValueError, KeyError, TypeError: It is none that is known.
    """
    fields = from_json(document)
    event_type = EventType(str(fields["type"]).removeprefix("taskmill.task.").rpartition(".")[0])
    return Event(
        position, event_type, fields["data"]["kind"], UUID(str(fields["subject"])), fields["sequence"], document, fields
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


def _with_label_texts(given: Mapping[str, Any]) -> dict[str, Any]:
    """What a webhook or a replay is told, with labels as their bodies have them: `key:value`, or `key`."""
    return {
        name: [key if wanted is None else f"{key}:{wanted}" for key, wanted in value.items()]
        if name == "labels" and value is not None
        else value
        for name, value in given.items()
    }


def several(value: str | Collection[str]) -> Collection[str]:
    """What may be one or several, as several."""
    return [value] if isinstance(value, str) else value


def _model(model: type[_Model]) -> Callable[[httpx.Response], _Model]:
    return lambda response: model.model_validate_json(response.content)


def _uuid(given: Id) -> UUID:
    if isinstance(given, UUID):
        return given
    try:
        return UUID(given)
    # A whole task, for one, is no text.
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"an id is a UUID, and this is none: {reprlib.repr(given)}") from None


def _webhook(webhook_id: Id) -> str:
    return f"/webhooks/{_uuid(webhook_id)}"


def _schedule(schedule_id: Id) -> str:
    return f"/schedules/{_uuid(schedule_id)}"


def _task(task_id: TaskId) -> str:
    return _path("tasks", str(_uuid(task_id)))


def _path(*names: str) -> str:
    """A path: what a caller has named may be any text, and is one step of it all the same."""
    return "".join(f"/{_step(name)}" for name in names)


def _step(name: str) -> str:
    # Left as they are, these two would be taken for steps up the path.
    return name.replace(".", "%2E") if name in {".", ".."} else quote(name, safe="")


def _wait(seconds: int) -> list[tuple[str, str]]:
    return [("wait", str(seconds))] if seconds else []


def _tag(header: str, revision: int | None) -> dict[str, str]:
    return {} if revision is None else {header: f'"{revision}"'}


def _json_headers(key: str, headers: Mapping[str, str]) -> dict[str, str]:
    return {"Content-Type": "application/json", "Idempotency-Key": key, **headers}


_FULL_PAGE = [("limit", str(MAX_PAGE_ITEMS))]
