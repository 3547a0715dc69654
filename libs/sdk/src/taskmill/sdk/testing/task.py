"""Runs a task from its first attempt to its end, by the rules of the store."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from pydantic_core import from_json

from taskmill.contracts.limits import MAX_CHECKPOINT_BYTES, MAX_PAYLOAD_BYTES
from taskmill.contracts.retries import DEFAULT_BACKOFF, is_last_failure, last_attempt, retry_wait_seconds
from taskmill.contracts.status import Priority, TaskStatus
from taskmill.contracts.tasks import DEFAULT_QUEUE, AttemptOutcome, KindDefaults
from taskmill.contracts.work import WorkItem
from taskmill.sdk.calling.ending import Failed, PutOff, Returned, Stopped
from taskmill.sdk.handler import Handler, handlers_of
from taskmill.sdk.plain_json import plain_json
from taskmill.sdk.testing.execution import Executions
from taskmill.sdk.testing.outcome import MadeAttempt, TaskOutcome

_OF_THE_LIFESPAN: Final = object()


async def run_task(
    handler: Callable[..., Any] | Handler,
    payload: object = None,
    *,
    kind: str | None = None,
    attempts: int | None = None,
    timeout: float | None = None,
    cancel: asyncio.Event | None = None,
    state: Any = _OF_THE_LIFESPAN,
    run: int = 1,
    task_id: uuid.UUID | None = None,
    title: str = "A task in a test",
    labels: Mapping[str, str] | None = None,
    queue: str | None = None,
    priority: Priority = Priority.MEDIUM,
    checkpoint: object = None,
    put_offs: int = 10,
) -> TaskOutcome:
    """Run a task as a processor and the store would, but without them, and without waiting between attempts.

    The lifespan of the handler's app is entered before the first attempt, and left after the last one; middleware,
    dependencies, threads and processes of their own are as they are in a processor.

    Args:
        handler: The decorated function, or a handler of `app.handlers`.
        payload: Any JSON value, or what pydantic writes as one, up to 256 KiB. The handler gets what is read from that
            JSON, anew for each attempt.
        kind: Which handler is meant, when the function was registered for several kinds.
        attempts: Attempts at most, 1 to 100; None: what the kind says, or else 1.
        timeout: How long an attempt may take, in seconds; None: what the kind says, or else for ever.
        cancel: Set it to cancel the task. An async handler may go on all the same until its time is over, as in a
            processor.
        state: What `ctx.state` is, instead of what the lifespan yields, which is not entered then.
        run: How often processing was asked for. It numbers the first attempt, too, as if each run before had made one.
        task_id: The id of the task; None: a new one.
        title: Its title.
        labels: Its labels.
        queue: The queue that it waited in; None: that of the kind, or else `default`.
        priority: Its priority.
        checkpoint: What an earlier execution of the run left, for `ctx.checkpoint`; None: none did.
        put_offs: How often the handler may put the task off (`NotNow`). It is called again at once; one time more, and
            the task stays `scheduled`.

    Returns:
        How it came out. A task that fails raises nothing.

    Raises:
        TypeError: `handler` is none, or is one for several kinds and `kind` names none of them.
        ValueError: The payload or the checkpoint cannot be kept exactly as JSON, or is too large; or another argument
            is out of bounds.
        Exception: What the lifespan raises.
    """
    chosen = _handler(handler, kind)
    plain_payload = plain_json("the payload", payload, MAX_PAYLOAD_BYTES)
    said = KindDefaults(queue=queue, max_attempts=attempts, timeout_seconds=timeout)
    first = WorkItem(
        task_id=task_id or uuid.uuid4(),
        run=run,
        attempt=run,
        dispatch=1,
        attempt_limit=last_attempt(run, said.max_attempts or chosen.defaults.max_attempts),
        timeout_seconds=said.timeout_seconds or chosen.defaults.timeout_seconds,
        title=title,
        kind=chosen.kind,
        queue=said.queue or chosen.defaults.queue or DEFAULT_QUEUE,
        priority=priority,
        labels=dict(labels or {}),
        payload=plain_payload,
        checkpoint=plain_json("the checkpoint", checkpoint, MAX_CHECKPOINT_BYTES),
    )
    async with (
        _with_state(chosen, state) as handler_with_state,
        Executions.of(handler_with_state, cancel or asyncio.Event()) as executions,
    ):
        return await _Run(chosen, first, executions, put_offs).outcome()


def _handler(function: object, kind: str | None) -> Handler:
    handlers = {function.kind: function} if isinstance(function, Handler) else handlers_of(function)
    if not handlers:
        raise TypeError(f"{function!r} is no handler: decorate it with @app.task(…)")
    if kind is None and len(handlers) > 1:
        raise TypeError(f"say which kind is meant: {', '.join(handlers)}")
    try:
        return next(iter(handlers.values())) if kind is None else handlers[kind]
    except KeyError:
        raise TypeError(f"it is no handler of {kind!r}, but of {', '.join(handlers)}") from None


@asynccontextmanager
async def _with_state(handler: Handler, state: Any) -> AsyncIterator[Handler]:
    """A handler like it, whose app is in its lifespan; the app itself is left as it is."""
    if state is not _OF_THE_LIFESPAN:
        yield replace(handler, shared=replace(handler.shared, state=state))
    elif handler.shared.lifespan is None:
        yield handler
    else:
        async with handler.shared.lifespan() as entered:
            yield replace(handler, shared=replace(handler.shared, state=entered))


class _Run:
    """One run of a task."""

    def __init__(self, handler: Handler, first: WorkItem, executions: Executions, put_offs: int) -> None:
        self._backoff = handler.defaults.backoff or DEFAULT_BACKOFF
        self._first = first
        self._executions = executions
        self._put_offs = put_offs
        self._attempts: list[MadeAttempt] = []
        self._put_off_seconds: list[float] = []

    async def outcome(self) -> TaskOutcome:
        item = self._first
        while not self._executions.is_cancelled:
            # A copy for each: an attempt must not see what the one before did to its payload.
            match await self._executions.execute(item.model_copy(deep=True)):
                case Returned(result_json):
                    self._attempts.append(MadeAttempt(item.attempt, AttemptOutcome.COMPLETED))
                    return self._outcome(TaskStatus.COMPLETED, from_json(result_json))
                case Stopped():
                    self._attempts.append(MadeAttempt(item.attempt, AttemptOutcome.CANCELLED))
                    return self._outcome(TaskStatus.CANCELLED)
                case Failed() as failed:
                    if not self._is_retried(item, failed):
                        return self._outcome(TaskStatus.FAILED)
                    item = self._next(item, attempt=item.attempt + 1)
                case PutOff(after_seconds):
                    self._put_off_seconds.append(after_seconds)
                    if len(self._put_off_seconds) > self._put_offs:
                        return self._outcome(TaskStatus.SCHEDULED)
                    item = self._next(item)
        return self._outcome(TaskStatus.CANCELLED)

    def _is_retried(self, item: WorkItem, failed: Failed) -> bool:
        """Note a failed attempt, and say whether another follows."""
        failure = failed.failure
        is_last = is_last_failure(
            item.attempt,
            item.attempt_limit,
            is_final=failure.is_final,
            is_to_be_cancelled=self._executions.is_cancelled,
        )
        wait_seconds = None
        if not is_last:
            wait_seconds = failure.retry_after_seconds
            if wait_seconds is None:
                wait_seconds = retry_wait_seconds(self._backoff, item.attempt - self._first.attempt, lambda: 0)
        self._attempts.append(
            MadeAttempt(item.attempt, AttemptOutcome.FAILED, failure.error, failure.traceback, wait_seconds)
        )
        return not is_last

    def _next(self, item: WorkItem, **changes: Any) -> WorkItem:
        """The next dispatch, with the newest checkpoint of the run."""
        left = self._executions.checkpoint
        checkpoint = item.checkpoint if left is None else left
        return item.model_copy(update={"dispatch": item.dispatch + 1, "checkpoint": checkpoint, **changes})

    def _outcome(self, status: TaskStatus, result: Any = None) -> TaskOutcome:
        return TaskOutcome(
            status,
            result,
            self._attempts[-1].error if self._attempts else None,
            tuple(self._attempts),
            tuple(self._put_off_seconds),
            tuple(self._executions.reports),
        )
