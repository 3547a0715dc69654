"""The client for programs without asyncio."""

import os
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

import httpx
import stamina
from httpx_sse import EventSource, ServerSentEvent

from taskmill.contracts.activity import ActivityMinute
from taskmill.contracts.api_keys import ApiKey, ApiKeyWithSecret
from taskmill.contracts.bulk_operations import BulkAction, BulkOperation
from taskmill.contracts.fleet import ProcessorInfo, QueueInfo
from taskmill.contracts.groups import Group
from taskmill.contracts.health import Health
from taskmill.contracts.kinds import KnownKind
from taskmill.contracts.schedules import Backfill, Schedule, ScheduleFire
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import DEFAULT_KIND, Attempt, Task, TaskLine, TaskSummary
from taskmill.contracts.turns import Limit, Rate, Share
from taskmill.contracts.webhooks import Delivery, Replay, Webhook, WebhookWithSecret
from taskmill.sdk.client import flows, operations
from taskmill.sdk.client.calls import Call, Flow, Page, is_read_later, read_answer
from taskmill.sdk.client.connection import (
    ATTEMPTS,
    REQUEST_TIMEOUT_SECONDS,
    RETRY_WITHIN_SECONDS,
    Connection,
    losses_told,
)
from taskmill.sdk.client.errors import ClientError, NoAnswerError
from taskmill.sdk.client.fields import (
    EventConditions,
    FollowUp,
    Id,
    Receipts,
    ScheduleChanges,
    ScheduledTask,
    ScheduleOptions,
    TaskChanges,
    TaskConditions,
    TaskId,
    TaskOptions,
    TaskSelection,
    TaskToSubmit,
    Times,
    WebhookChanges,
    WebhookOptions,
)
from taskmill.sdk.client.flows import LastEvents, new_key, new_task, trace_headers
from taskmill.sdk.client.following import RECONNECT_WITHIN_SECONDS, Following
from taskmill.sdk.event import Event

T = TypeVar("T")


class Client:
    """Asks Taskmill for what its REST API offers. Use it from any thread; `close` it, or enter it with `with`.

    A process that is forked opens connections of its own, unless a `transport` was given.

    A request that fails is made again while that is safe: when it certainly was not carried out (no connection, 429),
    and, when nobody knows (the connection broke; 502, 503, 504), if it does no harm a second time. That holds for all
    of them but `update` with `if_match`: those that create or start something carry an `Idempotency-Key`. It waits as
    `Retry-After` says.

    Args:
        base_url: Where the gateway is; None: what `TASKMILL_URL` says, or else `http://127.0.0.1:8000`.
        api_key: Sent as `Authorization: Bearer`; None: what `TASKMILL_API_KEY` says, or else nothing is sent.
        request_timeout_seconds: How long an answer may take, in seconds, beside what it was asked to wait.
        attempts: How often a request is made at most. In `run` and `watch` only time bounds it.
        retry_within_seconds: How long after its start a request may be made again, in seconds, beside what it was asked
            to wait.
        transport: Carries the requests, for proxies and certificates of one's own; None: httpx' own.

    Raises:
        ValueError: A number is not above 0, the URL is none of HTTP, or the key cannot be sent.

    Every method raises:
        ApiError: The API answered with an error; `taskmill.sdk.client.errors` has the classes.
        NoAnswerError: Nobody answered.
        UnreadableAnswerError: What answered is not the API.
        ValueError: An id is none, or a payload cannot be JSON.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        request_timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
        attempts: int = ATTEMPTS,
        retry_within_seconds: float = RETRY_WITHIN_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._connection = Connection(
            base_url=base_url,
            api_key=api_key,
            request_timeout_seconds=request_timeout_seconds,
            attempts=attempts,
            retry_within_seconds=retry_within_seconds,
        )
        self._transport = transport
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections. Idempotent."""
        self._http_here().close()

    def submit(
        self,
        kind: str = DEFAULT_KIND,
        payload: Any = None,
        *,
        process: bool = True,
        wait: int = 0,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> Task:
        """Create a task, and start processing it.

        Args:
            kind: Names the handler; left out, it is `echo`, which returns its payload.
            payload: Its input: any JSON value of up to 256 KiB.
            process: Whether to start processing at once, or at `run_at`; without either it waits for `process()`.
            wait: Seconds to wait for its end, 0 to 60; it is returned as it is then.
            idempotency_key: 1 to 255 visible ASCII characters, to make the same request again, even from another
                process: it is carried out once. None: one is made, for this call alone.
            traceparent: The trace that it belongs to (W3C Trace Context); None: the one that OpenTelemetry has now, if
                that is installed.
            options: What else may be said of it: `title` (the kind, if left out), `queue`, `priority`, `labels`,
                `run_at`, `max_attempts`, `backoff`, `timeout_seconds`, `description`, `after`, `unique`; see
                `TaskOptions`.

        Returns:
            The new task; with `unique`, it may be the one that holds the key.

        Raises:
            IdempotencyKeyReusedError: Another request was made under the key.
            UniqueKeyHeldError: Another task, the error's `task_id`, holds the unique key.
            QueueFullError: The queue is full, and stayed so.
        """
        body = new_task(kind, payload, options, process=process)
        call = operations.create(body, idempotency_key or new_key(), wait=wait, headers=trace_headers(traceparent))
        return self._send(call)

    def submit_many(
        self,
        tasks: Iterable[TaskToSubmit],
        *,
        process: bool = True,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
    ) -> Receipts:
        """Create many tasks, in requests of up to 1,000 tasks and 768 KiB.

        Each request is carried out whole or not at all. When one fails, those before it stay, and none follows: the
        same tasks under the same `idempotency_key` go on there.

        Args:
            tasks: What `submit` takes, as dicts with a `kind` at least; see `TaskToSubmit`. Any number of them.
            process: What holds for tasks that do not say.
            idempotency_key: As `submit` takes it, up to 240 characters.
            traceparent: As `submit` takes it.

        Returns:
            A receipt for each task, in their order.
        """
        key = idempotency_key or new_key()
        return self._perform(flows.submit_many(tasks, key, process=process, headers=trace_headers(traceparent)))

    def run(
        self,
        kind: str = DEFAULT_KIND,
        payload: Any = None,
        *,
        within_seconds: float = 300.0,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> Task:
        """Have a task processed, and wait until it is completed, whatever happens to the gateway once it is created.

        Args:
            kind: Names the handler.
            payload: Its input: any JSON value of up to 256 KiB.
            within_seconds: How long to wait, more than 0. When it is over the task goes on: `get` it later, or `cancel`
                it. The last answer may come up to `request_timeout_seconds` later.
            idempotency_key: As `submit` takes it.
            traceparent: As `submit` takes it.
            options: As `submit` takes them.

        Returns:
            The completed task, with its `result`.

        Raises:
            RunFailedError: It has failed; the error has the task.
            RunCancelledError: It was cancelled; the error has the task.
            WaitTimeoutError: Time is over; the error has the task.
        """
        body = new_task(kind, payload, options, process=True)
        headers, key = trace_headers(traceparent), idempotency_key or new_key()
        flow = flows.run(
            body,
            key,
            headers=headers,
            within_seconds=within_seconds,
            create_within_seconds=self._connection.retry_within_seconds,
        )
        return self._perform(flow)

    @overload
    def get(self, task_id: TaskId, *, wait: int = 0) -> Task: ...

    @overload
    def get(self, task_id: TaskId, *, if_none_match: int, wait: int = 0) -> Task | None: ...

    def get(self, task_id: TaskId, *, if_none_match: int | None = None, wait: int = 0) -> Task | None:
        """Read a task.

        Args:
            task_id: Its id.
            if_none_match: The `revision` that the caller has: None is returned if it still is that.
            wait: Seconds to wait until it has ended, or, with `if_none_match`, until it has another revision; 0 to 60.

        Raises:
            TaskNotFoundError: There is no such task.
        """
        if if_none_match is None:
            return self._send(operations.get(task_id, wait=wait))
        return self._send(operations.get_if_changed(task_id, if_none_match, wait=wait))

    def list(self, **conditions: Unpack[TaskConditions]) -> Iterator[TaskSummary]:
        """Iterate over tasks, without payload and result, newest first. Pages are read when they are needed.

        Args:
            conditions: All of them are met: `status`, `title`, `kind`, `queue`, `priority`, `labels`, `unique_key`,
                `created_after`, `created_before`; and `sort`, `page_size`; see `TaskConditions`.
        """
        return self._items(operations.list_tasks(conditions))

    def count(self, **conditions: Unpack[TaskSelection]) -> Mapping[TaskStatus, int]:
        """Count tasks by status, each status up to 10,000.

        Args:
            conditions: All of them are met: `status`, `title`, `kind`, `queue`, `priority`, `labels`, `created_after`,
                `created_before`; see `TaskSelection`.
        """
        return self._send(operations.count_tasks(conditions)).counts

    def update(self, task_id: TaskId, *, if_match: int | None = None, **changes: Unpack[TaskChanges]) -> Task:
        """Change a task: what is given replaces what was there, objects merge, None clears.

        Args:
            task_id: Its id.
            if_match: The `revision` that the caller saw: the change is made only if it still is that. Then the request
                is not made again when its answer is lost. None: whatever it is.
            changes: The new values: `title`, `description`, `status`, `kind`, `queue`, `priority`, `labels`, `payload`,
                `max_attempts`, `backoff`, `timeout_seconds`; see `TaskChanges`.

        Raises:
            PreconditionFailedError: It has another revision.
            RunActiveError: This cannot be changed while it is being processed.
        """
        return self._send(operations.update(task_id, changes, if_match))

    def process(
        self,
        task_id: TaskId,
        *,
        wait: int = 0,
        if_match: int | None = None,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
    ) -> Task:
        """Start a run of a task that exists: one that was only created, or one that has ended.

        Args:
            task_id: Its id.
            wait: Seconds to wait for its end, 0 to 60; it is returned as it is then.
            if_match: Only if it has this `revision`; None: whatever it is.
            idempotency_key: As `submit` takes it.
            traceparent: As `submit` takes it.

        Raises:
            RunActiveError: It is being processed already.
            PreconditionFailedError: It has another revision.
        """
        key, headers = idempotency_key or new_key(), trace_headers(traceparent)
        return self._send(operations.process(task_id, if_match, key, wait=wait, headers=headers))

    def cancel(self, task_id: TaskId, *, if_match: int | None = None, idempotency_key: str | None = None) -> Task:
        """Cancel a task: at once if it has not been started; otherwise its handler is asked to stop.

        Args:
            task_id: Its id.
            if_match: Only if it has this `revision`; None: whatever it is.
            idempotency_key: As `submit` takes it.

        Returns:
            The task: cancelled, or in progress with `cancel_requested_at`.

        Raises:
            AlreadyFinishedError: There is nothing to cancel.
        """
        return self._send(operations.cancel(task_id, if_match, idempotency_key or new_key()))

    def delete(self, task_id: TaskId, *, force: bool = False, if_match: int | None = None) -> None:
        """Delete a task; its events stay. That it is gone when the request had to be made again is a success.

        Args:
            task_id: Its id.
            force: Cancel an active run first.
            if_match: Only if it has this `revision`; None: whatever it is.

        Raises:
            RunActiveError: It is being processed, and `force` is not given.
        """
        self._send(operations.delete(task_id, if_match, force=force))

    def events(
        self, task_id: TaskId | None = None, *, after: int = 0, **conditions: Unpack[EventConditions]
    ) -> Iterator[Event]:
        """Iterate over what happened, oldest first, up to now. Pages are read when they are needed.

        Args:
            task_id: Only to this task, of which there may be no events; None: to all.
            after: The `position` behind which to begin; 0: with the oldest event that is kept.
            conditions: All of them are met: `types`, `kind`, `queue`, `labels`; see `EventConditions`.

        Raises:
            GapError: Events behind `after` are no longer kept, or it is no position of this log.
        """
        return self._items(operations.events(task_id, after, conditions))

    def last_events(
        self, count: int, task_id: TaskId | None = None, **conditions: Unpack[EventConditions]
    ) -> LastEvents:
        """Read what happened last, oldest first.

        The log is searched from its end backwards: with conditions that few events meet, as far as it reaches.

        Args:
            count: How many events at most, 1 or more; all are held in memory.
            task_id: Only of this task, of which there may be none; None: of all.
            conditions: All of them are met: `types`, `kind`, `queue`, `labels`; see `EventConditions`.

        Returns:
            The events, and the `position` up to which was looked: `watch(after=position)` goes on there.
        """
        return self._perform(flows.last_events(count, task_id, conditions))

    def watch(
        self,
        task_id: TaskId | None = None,
        *,
        after: int | None = None,
        within_seconds: float | None = None,
        reconnect_within_seconds: float = RECONNECT_WITHIN_SECONDS,
        **conditions: Unpack[EventConditions],
    ) -> Generator[Event, None, None]:
        """Iterate over what happens, over as many connections as it takes: nothing is missed, nothing comes twice.

        Of a single task it ends when the task has completed, failed or been cancelled, with all its events handed out.
        The log is followed until the caller stops.

        Args:
            task_id: Only this task; None: all.
            after: The `position` behind which to begin; None: of a task with its first event, of the log with what
                happens from now on, that is, from when the first event is asked for.
            within_seconds: How long to follow at most; it may take 15 s longer. None: as long as it takes.
            reconnect_within_seconds: How long, in seconds, nobody may be there to connect to, at the beginning, too, or
                nothing be heard from who is.
            conditions: All of them are met: `types`, and of the log also `kind`, `queue`, `labels`.

        Raises:
            TaskNotFoundError: There is no such task, and nothing is left of it.
            GapError: Events were removed, or the log was set back, before they were read; what came before was handed
                out, and `resume_after` says where it goes on.
            WaitTimeoutError: `within_seconds` is over.
            NoAnswerError: `reconnect_within_seconds` is over.
        """
        following = Following(
            task_id,
            after,
            conditions,
            within_seconds=within_seconds,
            reconnect_within_seconds=reconnect_within_seconds,
        )
        self._perform(following.begin())
        while not following.is_over:
            response = self._perform(following.open())
            try:
                for sent in self._sent(response):
                    event = following.take(sent)
                    if event is None:
                        continue
                    if following.is_wanted(event):
                        yield event
                    self._perform(following.look(event))
                    if following.is_over:
                        return
            finally:
                response.close()
            time.sleep(following.pause_seconds())

    def logs(self, task_id: TaskId) -> Iterator[TaskLine]:
        """Iterate over what the handler of a task wrote with `ctx.log`, oldest first.

        The newest 1,000 lines are kept. `position` counts all: a number that is missing was dropped.

        Args:
            task_id: Its id.

        Raises:
            TaskNotFoundError: There is no such task.
        """
        return self._items(operations.lines(task_id))

    def attempts(self, task_id: TaskId) -> Iterator[Attempt]:
        """Iterate over the attempts at a task, oldest first.

        Args:
            task_id: Its id.

        Raises:
            TaskNotFoundError: There is no such task.
        """
        return self._items(operations.attempts(task_id))

    def processors(self) -> Iterator[ProcessorInfo]:
        """Iterate over the processors that were heard of within the last 30 s, by id."""
        return self._items(operations.processors())

    def drain_processor(self, processor_id: str) -> None:
        """Have a processor take no more work, finish or give back what it has, and end, as at SIGTERM.

        When this returns it has begun to. Whoever started it may start it again.

        Args:
            processor_id: Its id, as `processors` tells it.

        Raises:
            NotFoundError: No processor of this id listens.
        """
        self._send(operations.drain_processor(processor_id))

    def queues(self) -> Iterator[QueueInfo]:
        """Iterate over the queues, by name, each with what waits in it and who serves it."""
        return self._items(operations.queues())

    def pause_queue(self, name: str) -> QueueInfo:
        """Begin no more tasks of a queue, until it is resumed.

        What runs goes on to its end; tasks may still be submitted. A queue that does not exist yet comes to
        exist, paused.

        Args:
            name: The queue, 1 to 64 of `a-z`, `0-9`, `-` and `_`.

        Returns:
            The queue.

        Raises:
            InvalidRequestError: It does not exist, and there are as many queues as may be; or it is no name.
            UnavailableError: It may be paused all the same, if the code is `bus_unavailable`: then it takes effect
                later.
        """
        return self._send(operations.pause_queue(name))

    def resume_queue(self, name: str) -> QueueInfo:
        """Begin tasks of a queue again; one that is not paused stays as it is.

        Args:
            name: The queue.

        Returns:
            The queue.

        Raises:
            NotFoundError: There is no such queue.
        """
        return self._send(operations.resume_queue(name))

    def limits(self) -> Iterator[Limit]:
        """Iterate over the limits, by name."""
        return self._items(operations.limits())

    def limit(self, name: str) -> Limit:
        """Read a limit.

        Args:
            name: The limit.

        Raises:
            NotFoundError: There is no such limit.
        """
        return self._send(operations.limit(name))

    def put_limit(
        self,
        name: str,
        *,
        kind: str | None = None,
        concurrency_key: str | None = None,
        max_in_progress: int | None = None,
        rate: Rate | Mapping[str, float] | None = None,
    ) -> Limit:
        """Make a limit, or have it say something else. It holds within 2 s; what goes on by then counts, and goes on.

        Args:
            name: The limit, 1 to 64 of `a-z`, `0-9`, `-` and `_`.
            kind: It holds for tasks of this kind; None: of any.
            concurrency_key: It holds for the tasks of this key; `*`: for those of each key by themselves, unless
                another limit of the same kind names the key; None: for all tasks together.
            max_in_progress: So many are queued or in progress at once, at most; 0: none; None: any number.
            rate: `tasks` of them get their turn in `seconds`, at most; None: any number.

        Returns:
            The limit.

        Raises:
            InvalidRequestError: It limits nothing, or there are 64 others; or a value is not what it must be.
        """
        given = {"kind": kind, "concurrency_key": concurrency_key, "max_in_progress": max_in_progress, "rate": rate}
        return self._send(operations.put_limit(name, given))

    def delete_limit(self, name: str) -> None:
        """Delete a limit: what it held has its turn within 2 s.

        Args:
            name: The limit.

        Raises:
            NotFoundError: There is no such limit.
        """
        self._send(operations.delete_limit(name))

    def shares(self) -> Iterator[Share]:
        """Iterate over the shares that are set, by key. Any other key has the weight 1."""
        return self._items(operations.shares())

    def share(self, concurrency_key: str) -> Share:
        """Read the share that is set for a key.

        Args:
            concurrency_key: The key.

        Raises:
            NotFoundError: None is set.
        """
        return self._send(operations.share(concurrency_key))

    def put_share(self, concurrency_key: str, weight: float) -> Share:
        """Set how much of its queues a key gets, while others want them, too. It holds within 2 s.

        Args:
            concurrency_key: The key.
            weight: Its turns, compared with those of a key of weight 1: 0.001 to 1,000.

        Returns:
            The share.

        Raises:
            InvalidRequestError: There are 10,000 others; or a value is not what it must be.
        """
        return self._send(operations.put_share(concurrency_key, weight))

    def delete_share(self, concurrency_key: str) -> None:
        """Have a key share its queues with the weight 1 again.

        Args:
            concurrency_key: The key.

        Raises:
            NotFoundError: None is set.
        """
        self._send(operations.delete_share(concurrency_key))

    def kinds(self) -> Iterator[KnownKind]:
        """Iterate over the kinds that processors have, or had, handlers for, by name, with what those declare."""
        return self._items(operations.kinds())

    def bulk(
        self,
        action: BulkAction | str,
        ids: Collection[TaskId] | None = None,
        *,
        dry_run: bool = False,
        force: bool = False,
        idempotency_key: str | None = None,
        **conditions: Unpack[TaskSelection],
    ) -> BulkOperation:
        """Begin to process, cancel or delete many tasks; it is carried out in the background.

        Args:
            action: `process`, `cancel` or `delete`, as the methods of these names do it.
            ids: Which tasks, 1 to 1,000, each once; None: those that meet the conditions, of which there has to be one.
            dry_run: Only count them.
            force: With `delete`: cancel active runs first.
            idempotency_key: As `submit` takes it.
            conditions: All of them are met: `status`, `title`, `kind`, `queue`, `priority`, `labels`, `created_after`,
                `created_before`; see `TaskSelection`.

        Returns:
            The operation; `bulk_operation` tells how far it is.

        Raises:
            InvalidRequestError: There is neither an id nor a condition, or both.
            IdempotencyKeyReusedError: Another request was made under this key.
        """
        key = idempotency_key or new_key()
        return self._send(operations.start_bulk(action, ids, conditions, key, dry_run=dry_run, force=force))

    def bulk_operation(self, operation_id: Id) -> BulkOperation:
        """Read how far a bulk operation is. One that was completed is kept for 7 days.

        Args:
            operation_id: Its id.

        Raises:
            NotFoundError: There is no such operation.
        """
        return self._send(operations.bulk_operation(operation_id))

    def create_group(
        self,
        title: str,
        tasks: Iterable[TaskToSubmit],
        *,
        on_completed: FollowUp | None = None,
        on_failed: FollowUp | None = None,
        process: bool = True,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
    ) -> Group:
        """Create tasks that have one outcome together, all or none, and what is processed for it.

        Its tasks are those of `list(group_id=group.id, sort="created_at")`, in their order.

        Args:
            title: What they are together, for people.
            tasks: 1 to 1,000, in one request of 768 KiB at most: what `submit` takes, as dicts with a `kind` at least.
            on_completed: A task that is processed when all of them are completed, as a dict with a `kind` at least;
                None: none is.
            on_failed: A task that is processed as soon as one of them fails, is cancelled or is deleted; None: none is.
            process: Whether to start processing at once those that do not say it themselves.
            idempotency_key: As for `submit`.
            traceparent: As for `submit`.

        Raises:
            IdempotencyKeyReusedError: Another request was made under the key.
            QueueFullError: A queue is full, and stayed so.
        """
        key, headers = idempotency_key or new_key(), trace_headers(traceparent)
        call = operations.create_group(title, tasks, on_completed, on_failed, key, process=process, headers=headers)
        return self._send(call)

    def group(self, group_id: Id) -> Group:
        """Read how far a group is. One that was settled is kept for 30 days.

        Args:
            group_id: Its id.

        Raises:
            NotFoundError: There is none with this id.
        """
        return self._send(operations.group(group_id))

    def groups(self) -> Iterator[Group]:
        """Iterate over the groups, newest first."""
        return self._items(operations.groups())

    def webhooks(self) -> Iterator[Webhook]:
        """Iterate over the webhooks, oldest first, without their secrets."""
        return self._items(operations.webhooks())

    def webhook(self, webhook_id: Id) -> Webhook:
        """Read a webhook, without its secrets.

        Args:
            webhook_id: Its id.

        Raises:
            NotFoundError: There is no such webhook.
        """
        return self._send(operations.webhook(webhook_id))

    def create_webhook(
        self, url: str, *, idempotency_key: str | None = None, **options: Unpack[WebhookOptions]
    ) -> WebhookWithSecret:
        """Have events sent to a URL from now on, signed as Standard Webhooks has it.

        Args:
            url: An absolute http or https URL, without user and password.
            idempotency_key: As `submit` takes it.
            options: `description`, `types`, `kind`, `queue`, `labels`, `is_enabled`, `secret`; see `WebhookOptions`.

        Returns:
            The webhook with its secret, which is shown this once.
        """
        return self._send(operations.create_webhook(url, options, idempotency_key or new_key()))

    def update_webhook(
        self, webhook_id: Id, *, if_match: int | None = None, **changes: Unpack[WebhookChanges]
    ) -> Webhook:
        """Change a webhook: what is given replaces what was there, None clears.

        Args:
            webhook_id: Its id.
            if_match: As `update` takes it.
            changes: The new values: `url`, `description`, `types`, `kind`, `queue`, `labels`, `is_enabled`; see
                `WebhookChanges`.

        Raises:
            NotFoundError: There is no such webhook.
            PreconditionFailedError: It has another revision.
        """
        return self._send(operations.update_webhook(webhook_id, changes, if_match))

    def delete_webhook(self, webhook_id: Id, *, if_match: int | None = None) -> None:
        """Delete a webhook; deliveries that wait end without being sent.

        Args:
            webhook_id: Its id.
            if_match: Only if it has this `revision`; None: whatever it is.

        Raises:
            NotFoundError: There is no such webhook.
        """
        self._send(operations.delete_webhook(webhook_id, if_match))

    def rotate_webhook_secret(
        self, webhook_id: Id, *, secret: str | None = None, if_match: int | None = None
    ) -> WebhookWithSecret:
        """Sign with a new secret from now on, and still with the one before, until the next rotation.

        The request is not made again when its answer is lost: with a `secret` of one's own, and `if_match`, that can be
        done without doing it twice.

        Args:
            webhook_id: Its id.
            secret: `whsec_` and 24 to 64 bytes in Base64; None: one is made.
            if_match: Only if it has this `revision`; None: whatever it is.

        Returns:
            The webhook with its new secret, which is shown this once.

        Raises:
            NotFoundError: There is no such webhook.
            PreconditionFailedError: It has another revision.
        """
        return self._send(operations.rotate_webhook_secret(webhook_id, secret, if_match))

    def deliveries(self, webhook_id: Id) -> Iterator[Delivery]:
        """Iterate over what became of the events that a webhook was to be told, newest first.

        Args:
            webhook_id: Its id.

        Raises:
            NotFoundError: There is no such webhook.
        """
        return self._items(operations.deliveries(webhook_id))

    def redeliver(self, webhook_id: Id, task_id: TaskId) -> Delivery:
        """Deliver an event again, at once, with all its attempts; not one that is being sent.

        The request is not made again when its answer is lost.

        Args:
            webhook_id: The webhook.
            task_id: The task that is the delivery.

        Raises:
            TaskNotFoundError: It is no delivery to this webhook.
            RunActiveError: It is being sent.
        """
        return self._send(operations.redeliver(webhook_id, task_id))

    def replay_to_webhook(
        self,
        webhook_id: Id,
        *,
        after: int,
        until: int | None = None,
        idempotency_key: str | None = None,
        **conditions: Unpack[EventConditions],
    ) -> Replay:
        """Tell a webhook what happened behind a position of the log, whether it was told before or not.

        Args:
            webhook_id: Its id.
            after: The position; 0: before the first event.
            until: Up to and with this position, at most 1,000,000 behind `after`; None: the newest.
            idempotency_key: As `submit` takes it.
            conditions: Those of this replay, not the webhook's: `types`, `kind`, `queue`, `labels`.

        Returns:
            The replay, which is carried out in the background; `replay` tells how far it is.

        Raises:
            NotFoundError: There is no such webhook.
            TooManyRequestsError: 16 replays run.
        """
        return self._send(
            operations.start_replay(
                webhook_id,
                is_subject=False,
                after=after,
                until=until,
                conditions=conditions,
                key=idempotency_key or new_key(),
            )
        )

    def replay_to_subject(
        self,
        name: str,
        *,
        after: int,
        until: int | None = None,
        idempotency_key: str | None = None,
        **conditions: Unpack[EventConditions],
    ) -> Replay:
        """Publish what happened behind a position of the log to the NATS subject `tasks.v1.replay.<name>`.

        With core NATS: whoever wants it subscribes before.

        Args:
            name: The last word of the subject, 1 to 64 of `a-z`, `0-9`, `-` and `_`.
            after: As `replay_to_webhook` takes it.
            until: As `replay_to_webhook` takes it.
            idempotency_key: As `submit` takes it.
            conditions: As `replay_to_webhook` takes them.

        Returns:
            The replay, which is carried out in the background; `replay` tells how far it is.

        Raises:
            TooManyRequestsError: 16 replays run.
        """
        return self._send(
            operations.start_replay(
                name, is_subject=True, after=after, until=until, conditions=conditions, key=idempotency_key or new_key()
            )
        )

    def replay(self, replay_id: Id) -> Replay:
        """Read how far a replay is. One that was completed is kept for 7 days, and goes with its webhook.

        Args:
            replay_id: Its id.

        Raises:
            NotFoundError: There is no such replay.
        """
        return self._send(operations.replay(replay_id))

    def schedules(self) -> Iterator[Schedule]:
        """Iterate over the schedules, oldest first."""
        return self._items(operations.schedules())

    def schedule(self, schedule_id: Id) -> Schedule:
        """Read a schedule.

        Args:
            schedule_id: Its id.

        Raises:
            NotFoundError: There is no such schedule.
        """
        return self._send(operations.schedule(schedule_id))

    def create_schedule(
        self,
        name: str,
        template: ScheduledTask,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> Schedule:
        """Have tasks made again and again, each of which is processed at once.

        Args:
            name: What it is for, for people, 1 to 200 characters.
            template: What each task is made of: `kind`, `payload`, `title`, `queue` and so on; see `ScheduledTask`.
            idempotency_key: As `submit` takes it.
            options: Either `cron`, with `time_zone`, or `interval_seconds`; `overlap`, `catch_up_seconds`, `is_paused`,
                `starts_at`, `ends_at`; see `ScheduleOptions`.

        Returns:
            The schedule; its `timing` says in words how it is understood.

        Raises:
            InvalidRequestError: The line is none, never comes true, or the zone does not exist.
        """
        return self._send(operations.create_schedule(name, template, options, idempotency_key or new_key()))

    def update_schedule(
        self, schedule_id: Id, *, if_match: int | None = None, **changes: Unpack[ScheduleChanges]
    ) -> Schedule:
        """Change a schedule, pause it (`is_paused=True`), or resume it.

        Times that pass while it is paused are not made up for.

        Args:
            schedule_id: Its id.
            if_match: As `update` takes it.
            changes: The new values; objects merge, None clears; see `ScheduleChanges`.

        Raises:
            NotFoundError: There is no such schedule.
            PreconditionFailedError: It has another revision.
        """
        return self._send(operations.update_schedule(schedule_id, changes, if_match))

    def delete_schedule(self, schedule_id: Id, *, if_match: int | None = None) -> None:
        """Delete a schedule; the tasks that it made stay.

        Args:
            schedule_id: Its id.
            if_match: Only if it has this `revision`; None: whatever it is.

        Raises:
            NotFoundError: There is no such schedule.
        """
        self._send(operations.delete_schedule(schedule_id, if_match))

    def run_schedule(self, schedule_id: Id, *, idempotency_key: str | None = None) -> Task:
        """Make a task of a schedule now, also while it is paused, and whatever its overlap says.

        Args:
            schedule_id: Its id.
            idempotency_key: As `submit` takes it.

        Raises:
            NotFoundError: There is no such schedule.
            QueueFullError: Its queue is full.
        """
        return self._send(operations.run_schedule(schedule_id, idempotency_key or new_key()))

    def backfill_schedule(self, schedule_id: Id, *, since: datetime, until: datetime) -> Backfill:
        """Make the tasks of a schedule's times of a span that have none; asked again, none is made twice.

        Args:
            schedule_id: Its id.
            since: From this instant on; with an offset.
            until: Before this instant, which has passed; with an offset. No more than 1,000 times may lie between.

        Returns:
            How many tasks were made, and how many times had one.

        Raises:
            NotFoundError: There is no such schedule.
        """
        return self._send(operations.backfill_schedule(schedule_id, since, until))

    def next_times(self, schedule_id: Id, *, count: int = 10) -> Times:
        """Tell when a schedule fires next: never, while it is paused.

        Args:
            schedule_id: Its id.
            count: How many times, 1 to 100.

        Raises:
            NotFoundError: There is no such schedule.
        """
        return self._send(operations.next_times(schedule_id, count))

    def fires(self, schedule_id: Id) -> Iterator[ScheduleFire]:
        """Iterate over what became of a schedule's times, the newest first, as far as that is kept: for 30 days.

        Args:
            schedule_id: Its id.

        Raises:
            NotFoundError: There is no such schedule.
        """
        return self._items(operations.fires(schedule_id))

    def create_key(self, name: str, scopes: Sequence[str], *, expires_at: datetime | None = None) -> ApiKeyWithSecret:
        """Make an API key, which nobody can read again.

        It is not made again when nobody answered: then look among `keys` for one of the name, revoke it, and make
        another.

        Args:
            name: What it is for: 1 to 100 characters.
            scopes: What who has it may do, as `tasks:read`; each must be one of the caller's own. See docs/security.md.
            expires_at: From when on it is worth nothing, with a time zone; None: never.

        Returns:
            The key, with `key`, which is shown this once.

        Raises:
            ForbiddenError: The caller has not `keys:admin`, or not one of the scopes.
            InvalidRequestError: There are as many keys as may be; or it is none that can be made.
        """
        return self._send(operations.create_key(name, scopes, expires_at))

    def keys(self) -> Iterator[ApiKey]:
        """Iterate over what is known of the API keys, oldest first; those that ended are known for 30 days."""
        return self._items(operations.keys())

    def revoke_key(self, key_id: str) -> ApiKey:
        """Have an API key be worth nothing, for good, within a second. One that is revoked stays so.

        Args:
            key_id: Its id: the part of it behind `tm_`.

        Returns:
            What is known of it.

        Raises:
            NotFoundError: There is no such key.
        """
        return self._send(operations.revoke_key(key_id))

    def activity(self, minutes: int = 60) -> Sequence[ActivityMinute]:
        """Tell what was done in each of the last minutes, and how long it took, oldest first.

        It is for people: minutes in which nothing happened are left out, stores write down what they did every 10 s,
        and keep a day of it. Metrics and events are exact.

        Args:
            minutes: How many minutes back, 1 to 1,440.

        Raises:
            InvalidRequestError: `minutes` is none of these.
        """
        return self._send(operations.activity(minutes))

    def health(self) -> Health:
        """Tell how Taskmill is: the state of its parts, and who is there for the tasks.

        That a part is down is no error: the answer says so.
        """
        return self._send(operations.health())

    def _open(self) -> None:
        self._http = httpx.Client(**self._connection.http_options(), transport=self._transport)
        self._process_id = os.getpid()

    def _http_here(self) -> httpx.Client:
        """The connections of this process: one that was forked must not read the answers to its parent."""
        if self._process_id != os.getpid():
            self._open()
        return self._http

    def _send(self, call: Call[T]) -> T:
        for attempt in stamina.retry_context(**self._connection.attempts_at(call)):
            with attempt:
                return read_answer(call, self._exchange(call), is_first=attempt.num == 1)
        raise AssertionError("the last attempt returns or raises")

    def _exchange(self, call: Call[Any]) -> httpx.Response:
        with losses_told():
            http = self._http_here()
            response = http.send(self._connection.request(http, call), stream=True)
            if is_read_later(call, response):
                return response
            try:
                response.read()
            finally:
                response.close()
            return response

    def _perform(self, flow: Flow[T]) -> T:
        step: Callable[[], Call[Any]] = partial(next, flow)
        while True:
            try:
                call = step()
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                answer = self._send(call)
            except ClientError as error:
                step = partial(flow.throw, error)
            else:
                step = partial(flow.send, answer)

    def _items(self, call: Call[Page[T]] | None) -> Iterator[T]:
        while call is not None:
            page = self._send(call)
            yield from page.items
            call = page.next_call

    @staticmethod
    def _sent(response: httpx.Response) -> Iterator[ServerSentEvent]:
        """What a stream brings, to its end, however it comes."""
        try:
            with losses_told():
                yield from EventSource(response).iter_sse()
        except NoAnswerError:
            return
