"""The client for asyncio. Each method does what the same one of `Client` does: all but the waiting is shared."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
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


class AsyncClient:
    """Asks Taskmill for what its REST API offers, in one event loop; `close` it, or enter it with `async with`.

    It takes what `Client` takes, and raises what `Client` raises. A call that is cancelled may have been carried out.

    Every method also raises:
        RuntimeError: It was used in another event loop before: its connections belong to that.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        request_timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
        attempts: int = ATTEMPTS,
        retry_within_seconds: float = RETRY_WITHIN_SECONDS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._connection = Connection(
            base_url=base_url,
            api_key=api_key,
            request_timeout_seconds=request_timeout_seconds,
            attempts=attempts,
            retry_within_seconds=retry_within_seconds,
        )
        self._http = httpx.AsyncClient(**self._connection.http_options(), transport=transport)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        await self._http.aclose()

    async def submit(
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
        """Create a task, and start processing it; see `Client.submit`."""
        body = new_task(kind, payload, options, process=process)
        call = operations.create(body, idempotency_key or new_key(), wait=wait, headers=trace_headers(traceparent))
        return await self._send(call)

    async def submit_many(
        self,
        tasks: Iterable[TaskToSubmit],
        *,
        process: bool = True,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
    ) -> Receipts:
        """Create many tasks; see `Client.submit_many`."""
        key = idempotency_key or new_key()
        return await self._perform(flows.submit_many(tasks, key, process=process, headers=trace_headers(traceparent)))

    async def run(
        self,
        kind: str = DEFAULT_KIND,
        payload: Any = None,
        *,
        within_seconds: float = 300.0,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> Task:
        """Have a task processed, and wait until it is completed; see `Client.run`."""
        body = new_task(kind, payload, options, process=True)
        headers, key = trace_headers(traceparent), idempotency_key or new_key()
        flow = flows.run(
            body,
            key,
            headers=headers,
            within_seconds=within_seconds,
            create_within_seconds=self._connection.retry_within_seconds,
        )
        return await self._perform(flow)

    @overload
    async def get(self, task_id: TaskId, *, wait: int = 0) -> Task: ...

    @overload
    async def get(self, task_id: TaskId, *, if_none_match: int, wait: int = 0) -> Task | None: ...

    async def get(self, task_id: TaskId, *, if_none_match: int | None = None, wait: int = 0) -> Task | None:
        """Read a task; see `Client.get`."""
        if if_none_match is None:
            return await self._send(operations.get(task_id, wait=wait))
        return await self._send(operations.get_if_changed(task_id, if_none_match, wait=wait))

    def list(self, **conditions: Unpack[TaskConditions]) -> AsyncIterator[TaskSummary]:
        """Iterate over tasks; see `Client.list`."""
        return self._items(operations.list_tasks(conditions))

    async def count(self, **conditions: Unpack[TaskSelection]) -> Mapping[TaskStatus, int]:
        """Count tasks by status; see `Client.count`."""
        return (await self._send(operations.count_tasks(conditions))).counts

    async def update(self, task_id: TaskId, *, if_match: int | None = None, **changes: Unpack[TaskChanges]) -> Task:
        """Change a task; see `Client.update`."""
        return await self._send(operations.update(task_id, changes, if_match))

    async def process(
        self,
        task_id: TaskId,
        *,
        wait: int = 0,
        if_match: int | None = None,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
    ) -> Task:
        """Start a run of a task that exists; see `Client.process`."""
        key, headers = idempotency_key or new_key(), trace_headers(traceparent)
        return await self._send(operations.process(task_id, if_match, key, wait=wait, headers=headers))

    async def cancel(self, task_id: TaskId, *, if_match: int | None = None, idempotency_key: str | None = None) -> Task:
        """Cancel a task; see `Client.cancel`."""
        return await self._send(operations.cancel(task_id, if_match, idempotency_key or new_key()))

    async def delete(self, task_id: TaskId, *, force: bool = False, if_match: int | None = None) -> None:
        """Delete a task; see `Client.delete`."""
        await self._send(operations.delete(task_id, if_match, force=force))

    def events(
        self, task_id: TaskId | None = None, *, after: int = 0, **conditions: Unpack[EventConditions]
    ) -> AsyncIterator[Event]:
        """Iterate over what happened, up to now; see `Client.events`."""
        return self._items(operations.events(task_id, after, conditions))

    async def last_events(
        self, count: int, task_id: TaskId | None = None, **conditions: Unpack[EventConditions]
    ) -> LastEvents:
        """Read what happened last, oldest first; see `Client.last_events`."""
        return await self._perform(flows.last_events(count, task_id, conditions))

    async def watch(
        self,
        task_id: TaskId | None = None,
        *,
        after: int | None = None,
        within_seconds: float | None = None,
        reconnect_within_seconds: float = RECONNECT_WITHIN_SECONDS,
        **conditions: Unpack[EventConditions],
    ) -> AsyncGenerator[Event, None]:
        """Iterate over what happens; see `Client.watch`. Close it with `contextlib.aclosing` if you leave it early."""
        following = Following(
            task_id,
            after,
            conditions,
            within_seconds=within_seconds,
            reconnect_within_seconds=reconnect_within_seconds,
        )
        await self._perform(following.begin())
        while not following.is_over:
            response = await self._perform(following.open())
            try:
                async with aclosing(self._sent(response)) as stream:
                    async for sent in stream:
                        event = following.take(sent)
                        if event is None:
                            continue
                        if following.is_wanted(event):
                            yield event
                        await self._perform(following.look(event))
                        if following.is_over:
                            return
            finally:
                await response.aclose()
            await asyncio.sleep(following.pause_seconds())

    def logs(self, task_id: TaskId) -> AsyncIterator[TaskLine]:
        """Iterate over what the handler of a task wrote; see `Client.logs`."""
        return self._items(operations.lines(task_id))

    def attempts(self, task_id: TaskId) -> AsyncIterator[Attempt]:
        """Iterate over the attempts at a task; see `Client.attempts`."""
        return self._items(operations.attempts(task_id))

    def processors(self) -> AsyncIterator[ProcessorInfo]:
        """Iterate over the processors that live; see `Client.processors`."""
        return self._items(operations.processors())

    async def drain_processor(self, processor_id: str) -> None:
        """Have a processor drain, and end; see `Client.drain_processor`."""
        await self._send(operations.drain_processor(processor_id))

    def queues(self) -> AsyncIterator[QueueInfo]:
        """Iterate over the queues; see `Client.queues`."""
        return self._items(operations.queues())

    async def pause_queue(self, name: str) -> QueueInfo:
        """Begin no more tasks of a queue; see `Client.pause_queue`."""
        return await self._send(operations.pause_queue(name))

    async def resume_queue(self, name: str) -> QueueInfo:
        """Begin tasks of a queue again; see `Client.resume_queue`."""
        return await self._send(operations.resume_queue(name))

    def limits(self) -> AsyncIterator[Limit]:
        """Iterate over the limits; see `Client.limits`."""
        return self._items(operations.limits())

    async def limit(self, name: str) -> Limit:
        """Read a limit; see `Client.limit`."""
        return await self._send(operations.limit(name))

    async def put_limit(
        self,
        name: str,
        *,
        kind: str | None = None,
        concurrency_key: str | None = None,
        max_in_progress: int | None = None,
        rate: Rate | Mapping[str, float] | None = None,
    ) -> Limit:
        """Make a limit, or have it say something else; see `Client.put_limit`."""
        given = {"kind": kind, "concurrency_key": concurrency_key, "max_in_progress": max_in_progress, "rate": rate}
        return await self._send(operations.put_limit(name, given))

    async def delete_limit(self, name: str) -> None:
        """Delete a limit; see `Client.delete_limit`."""
        await self._send(operations.delete_limit(name))

    def shares(self) -> AsyncIterator[Share]:
        """Iterate over the shares; see `Client.shares`."""
        return self._items(operations.shares())

    async def share(self, concurrency_key: str) -> Share:
        """Read the share of a key; see `Client.share`."""
        return await self._send(operations.share(concurrency_key))

    async def put_share(self, concurrency_key: str, weight: float) -> Share:
        """Set the share of a key; see `Client.put_share`."""
        return await self._send(operations.put_share(concurrency_key, weight))

    async def delete_share(self, concurrency_key: str) -> None:
        """Delete the share of a key; see `Client.delete_share`."""
        await self._send(operations.delete_share(concurrency_key))

    def kinds(self) -> AsyncIterator[KnownKind]:
        """Iterate over the kinds, by name; see `Client.kinds`."""
        return self._items(operations.kinds())

    async def bulk(
        self,
        action: BulkAction | str,
        ids: Collection[TaskId] | None = None,
        *,
        dry_run: bool = False,
        force: bool = False,
        idempotency_key: str | None = None,
        **conditions: Unpack[TaskSelection],
    ) -> BulkOperation:
        """Begin to process, cancel or delete many tasks; see `Client.bulk`."""
        key = idempotency_key or new_key()
        return await self._send(operations.start_bulk(action, ids, conditions, key, dry_run=dry_run, force=force))

    async def bulk_operation(self, operation_id: Id) -> BulkOperation:
        """Read how far a bulk operation is; see `Client.bulk_operation`."""
        return await self._send(operations.bulk_operation(operation_id))

    async def create_group(
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
        """Create tasks that have one outcome together, all or none; see `Client.create_group`."""
        key, headers = idempotency_key or new_key(), trace_headers(traceparent)
        call = operations.create_group(title, tasks, on_completed, on_failed, key, process=process, headers=headers)
        return await self._send(call)

    async def group(self, group_id: Id) -> Group:
        """Read how far a group is; see `Client.group`."""
        return await self._send(operations.group(group_id))

    def groups(self) -> AsyncIterator[Group]:
        """Iterate over the groups, newest first; see `Client.groups`."""
        return self._items(operations.groups())

    def webhooks(self) -> AsyncIterator[Webhook]:
        """Iterate over the webhooks, oldest first, without their secrets; see `Client.webhooks`."""
        return self._items(operations.webhooks())

    async def webhook(self, webhook_id: Id) -> Webhook:
        """Read a webhook, without its secrets; see `Client.webhook`."""
        return await self._send(operations.webhook(webhook_id))

    async def create_webhook(
        self, url: str, *, idempotency_key: str | None = None, **options: Unpack[WebhookOptions]
    ) -> WebhookWithSecret:
        """Have events sent to a URL from now on, signed as Standard Webhooks has it; see `Client.create_webhook`."""
        return await self._send(operations.create_webhook(url, options, idempotency_key or new_key()))

    async def update_webhook(
        self, webhook_id: Id, *, if_match: int | None = None, **changes: Unpack[WebhookChanges]
    ) -> Webhook:
        """Change a webhook: what is given replaces what was there, None clears; see `Client.update_webhook`."""
        return await self._send(operations.update_webhook(webhook_id, changes, if_match))

    async def delete_webhook(self, webhook_id: Id, *, if_match: int | None = None) -> None:
        """Delete a webhook; deliveries that wait end without being sent; see `Client.delete_webhook`."""
        await self._send(operations.delete_webhook(webhook_id, if_match))

    async def rotate_webhook_secret(
        self, webhook_id: Id, *, secret: str | None = None, if_match: int | None = None
    ) -> WebhookWithSecret:
        """Sign with a new secret, too, from now on; see `Client.rotate_webhook_secret`."""
        return await self._send(operations.rotate_webhook_secret(webhook_id, secret, if_match))

    def deliveries(self, webhook_id: Id) -> AsyncIterator[Delivery]:
        """Iterate over the deliveries to a webhook, newest first; see `Client.deliveries`."""
        return self._items(operations.deliveries(webhook_id))

    async def redeliver(self, webhook_id: Id, task_id: TaskId) -> Delivery:
        """Deliver an event again, at once; see `Client.redeliver`."""
        return await self._send(operations.redeliver(webhook_id, task_id))

    async def replay_to_webhook(
        self,
        webhook_id: Id,
        *,
        after: int,
        until: int | None = None,
        idempotency_key: str | None = None,
        **conditions: Unpack[EventConditions],
    ) -> Replay:
        """Tell a webhook a span of the log again; see `Client.replay_to_webhook`."""
        return await self._send(
            operations.start_replay(
                webhook_id,
                is_subject=False,
                after=after,
                until=until,
                conditions=conditions,
                key=idempotency_key or new_key(),
            )
        )

    async def replay_to_subject(
        self,
        name: str,
        *,
        after: int,
        until: int | None = None,
        idempotency_key: str | None = None,
        **conditions: Unpack[EventConditions],
    ) -> Replay:
        """Publish a span of the log to a NATS subject; see `Client.replay_to_subject`."""
        return await self._send(
            operations.start_replay(
                name, is_subject=True, after=after, until=until, conditions=conditions, key=idempotency_key or new_key()
            )
        )

    async def replay(self, replay_id: Id) -> Replay:
        """Read how far a replay is; see `Client.replay`."""
        return await self._send(operations.replay(replay_id))

    def schedules(self) -> AsyncIterator[Schedule]:
        """Iterate over the schedules, oldest first; see `Client.schedules`."""
        return self._items(operations.schedules())

    async def schedule(self, schedule_id: Id) -> Schedule:
        """Read a schedule; see `Client.schedule`."""
        return await self._send(operations.schedule(schedule_id))

    async def create_schedule(
        self,
        name: str,
        template: ScheduledTask,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> Schedule:
        """Have tasks made again and again; see `Client.create_schedule`."""
        return await self._send(operations.create_schedule(name, template, options, idempotency_key or new_key()))

    async def update_schedule(
        self, schedule_id: Id, *, if_match: int | None = None, **changes: Unpack[ScheduleChanges]
    ) -> Schedule:
        """Change, pause or resume a schedule; see `Client.update_schedule`."""
        return await self._send(operations.update_schedule(schedule_id, changes, if_match))

    async def delete_schedule(self, schedule_id: Id, *, if_match: int | None = None) -> None:
        """Delete a schedule; its tasks stay; see `Client.delete_schedule`."""
        await self._send(operations.delete_schedule(schedule_id, if_match))

    async def run_schedule(self, schedule_id: Id, *, idempotency_key: str | None = None) -> Task:
        """Make a task of a schedule now; see `Client.run_schedule`."""
        return await self._send(operations.run_schedule(schedule_id, idempotency_key or new_key()))

    async def backfill_schedule(self, schedule_id: Id, *, since: datetime, until: datetime) -> Backfill:
        """Make the tasks of a span of the past; see `Client.backfill_schedule`."""
        return await self._send(operations.backfill_schedule(schedule_id, since, until))

    async def next_times(self, schedule_id: Id, *, count: int = 10) -> Times:
        """Tell when a schedule fires next; see `Client.next_times`."""
        return await self._send(operations.next_times(schedule_id, count))

    def fires(self, schedule_id: Id) -> AsyncIterator[ScheduleFire]:
        """Iterate over what became of a schedule's times, newest first; see `Client.fires`."""
        return self._items(operations.fires(schedule_id))

    async def create_key(
        self, name: str, scopes: Sequence[str], *, expires_at: datetime | None = None
    ) -> ApiKeyWithSecret:
        """Make an API key; see `Client.create_key`."""
        return await self._send(operations.create_key(name, scopes, expires_at))

    def keys(self) -> AsyncIterator[ApiKey]:
        """Iterate over what is known of the API keys; see `Client.keys`."""
        return self._items(operations.keys())

    async def revoke_key(self, key_id: str) -> ApiKey:
        """Have an API key be worth nothing; see `Client.revoke_key`."""
        return await self._send(operations.revoke_key(key_id))

    async def activity(self, minutes: int = 60) -> Sequence[ActivityMinute]:
        """Tell what was done in each of the last minutes; see `Client.activity`."""
        return await self._send(operations.activity(minutes))

    async def health(self) -> Health:
        """Tell how Taskmill is; see `Client.health`."""
        return await self._send(operations.health())

    async def _send(self, call: Call[T]) -> T:
        async for attempt in stamina.retry_context(**self._connection.attempts_at(call)):
            with attempt:
                return read_answer(call, await self._exchange(call), is_first=attempt.num == 1)
        raise AssertionError("the last attempt returns or raises")

    async def _exchange(self, call: Call[Any]) -> httpx.Response:
        loop = asyncio.get_running_loop()
        if self._loop not in {None, loop}:
            raise RuntimeError("an AsyncClient works in one event loop only: make one in each")
        self._loop = loop
        with losses_told():
            response = await self._http.send(self._connection.request(self._http, call), stream=True)
            if is_read_later(call, response):
                return response
            try:
                await response.aread()
            finally:
                await response.aclose()
            return response

    async def _perform(self, flow: Flow[T]) -> T:
        step: Callable[[], Call[Any]] = partial(next, flow)
        while True:
            try:
                call = step()
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                answer = await self._send(call)
            except ClientError as error:
                step = partial(flow.throw, error)
            else:
                step = partial(flow.send, answer)

    async def _items(self, call: Call[Page[T]] | None) -> AsyncIterator[T]:
        while call is not None:
            page = await self._send(call)
            for item in page.items:
                yield item
            call = page.next_call

    @staticmethod
    async def _sent(response: httpx.Response) -> AsyncGenerator[ServerSentEvent, None]:
        """What a stream brings, to its end, however it comes."""
        try:
            with losses_told():
                async with aclosing(EventSource(response).aiter_sse()) as stream:
                    async for sent in stream:
                        yield sent
        except NoAnswerError:
            return
