"""What a handler is given beside the payload."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Protocol
from uuid import UUID

from pydantic import JsonValue
from structlog.typing import FilteringBoundLogger

from taskmill.contracts.limits import MAX_CHECKPOINT_BYTES, MAX_PROGRESS_MESSAGE_CHARS, MAX_TIMEOUT_SECONDS
from taskmill.contracts.reports import Checkpointed, HandlerReport, Logged, Progressed, Submitted
from taskmill.contracts.status import Priority
from taskmill.contracts.tasks import DependencyFailure, Line, LineLevel, Progress
from taskmill.contracts.text import storable_text
from taskmill.contracts.work import WorkItem
from taskmill.sdk.plain_json import plain_json
from taskmill.sdk.submissions import Submissions
from taskmill.sdk.task_logger import task_logger
from taskmill.sdk.unique import UniqueOptions


class Tell(Protocol):
    """Takes what a handler says."""

    def __call__(self, report_type: type[HandlerReport], /, **content: Any) -> None:
        """Have a report made of `content`, which is all that it holds beside the fence. From any thread."""


class Control(Protocol):
    """How an attempt stands with whoever calls its handler."""

    @property
    def deadline(self) -> datetime | None:
        """When its time is over, in UTC; None: never."""

    @property
    def is_cancelled(self) -> bool:
        """Whether its result is not wanted any more."""

    @property
    def is_shutting_down(self) -> bool:
        """Whether the processor ends."""

    def extend(self, seconds: float) -> None:
        """Move the deadline, if there is one, to some seconds from now. From any thread."""


@dataclass
class Unstopped:
    """The control of an attempt that nobody stops."""

    deadline: datetime | None = None
    is_cancelled: bool = False
    is_shutting_down: bool = False

    def extend(self, seconds: float) -> None:
        """Nobody looks at the clock."""


class Context:
    """What a handler may know of its task, and how it says how far it is.

    Args:
        work_item: The message that asked for this attempt.
        tell: Takes what the handler says.
        control: How the attempt stands; None: nobody stops it.
        state: What the lifespan of the handler's app yielded.
        now: Dates the lines of the task, in UTC.
    """

    def __init__(
        self,
        work_item: WorkItem,
        tell: Tell,
        *,
        control: Control | None = None,
        state: Any = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._work_item = work_item
        self._tell = tell
        self._control = control or Unstopped()
        self._state = state
        self._now = now
        is_resumed = work_item.checkpoint is not None
        self._submissions = Submissions(work_item.task_id, work_item.run, is_resumed=is_resumed)

    @property
    def task_id(self) -> UUID:
        """The id of the task."""
        return self._work_item.task_id

    @property
    def run(self) -> int:
        """How often processing of the task was asked for, this time included."""
        return self._work_item.run

    @property
    def attempt(self) -> int:
        """The number of this attempt, over all runs."""
        return self._work_item.attempt

    @property
    def attempt_limit(self) -> int:
        """The number of the last attempt that this run may come to: when `attempt` has reached it, none follows."""
        return self._work_item.attempt_limit

    @property
    def deadline(self) -> datetime | None:
        """When the handler will be stopped and the attempt fail with `timeout`, in UTC; None: never."""
        return self._control.deadline

    @property
    def cancelled(self) -> bool:
        """Whether a client cancelled the task, or its time is over: what the handler does from here on is dropped.

        An async handler is stopped where it awaits. A sync one may look here, and end soon.
        """
        return self._control.is_cancelled

    @property
    def shutting_down(self) -> bool:
        """Whether the processor ends: a handler that saves how far it is and raises `NotNow(0)` goes on elsewhere."""
        return self._control.is_shutting_down

    @property
    def state(self) -> Any:
        """What the lifespan of the handler's app yielded; None without one, and in a process of the handler's own."""
        return self._state

    @property
    def kind(self) -> str:
        """The kind that the handler was chosen by."""
        return self._work_item.kind

    @property
    def queue(self) -> str:
        """The queue that the task waited in."""
        return self._work_item.queue

    @property
    def priority(self) -> Priority:
        """The priority that the task waited with."""
        return self._work_item.priority

    @property
    def title(self) -> str:
        """The title of the task when it was queued."""
        return self._work_item.title

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the task when it was queued."""
        return self._work_item.labels

    @property
    def idempotency_token(self) -> str:
        """`<task id>:<run>`: the same in every execution of a run, so that a side effect can be made to happen once."""
        return f"{self._work_item.task_id}:{self._work_item.run}"

    @cached_property
    def log(self) -> FilteringBoundLogger:
        """A structlog logger: `ctx.log.info("page fetched", number=3)`. It never waits; use it from any thread.

        What it writes goes two ways: into the log of the processor, where each line names the task, the kind and the
        attempt; and, but for `debug`, to the task, where everybody who may see the task can read and follow it. There a
        line is one text, with the fields behind what happened (`page fetched number=3`) and, of an exception, type and
        message; it is cut at 1,000 characters. Of a task the newest 1,000 lines are kept.
        """
        return task_logger(self._write_line, {"task_id": str(self.task_id), "kind": self.kind, "attempt": self.attempt})

    def progress(self, fraction: float, message: str | None = None, checkpoint: Any = None) -> None:
        """Say how far the work is, and where another attempt may go on.

        It only notes the newest value, so it is cheap, never waits, and may be called from any thread. At most one
        value a second is told to the world; the last one before the handler returns may not be. Of checkpoints, too,
        the newest is kept, at most one a second, and the last one in any case, however the attempt ends; when the
        processor dies, it is one that was told before. It is there for the later executions of the same run, until the
        task is completed.

        Args:
            fraction: Share of the work that is done, 0 to 1.
            message: What is being done, for people. Cut at 200 characters.
            checkpoint: What a later execution needs to go on from here: any JSON value of up to 64 KiB, as it is now.
                None: the one before stays.

        Raises:
            ValueError: `fraction` is not between 0 and 1; or `checkpoint` cannot be kept exactly as JSON, or is too
                large; or a task was submitted without a key before: then nothing was told.
        """
        if not (math.isfinite(fraction) and 0 <= fraction <= 1):
            raise ValueError("the fraction of the work that is done is a number between 0 and 1")
        if checkpoint is not None:
            kept = plain_json("the checkpoint", checkpoint, MAX_CHECKPOINT_BYTES)
            self._submissions.note_checkpoint()
            self._tell(Checkpointed, checkpoint=kept)
        text = None if message is None else storable_text(message, MAX_PROGRESS_MESSAGE_CHARS)
        self._tell(Progressed, progress=Progress(fraction=fraction, message=text))

    @property
    def checkpoint(self) -> JsonValue:
        """The newest checkpoint that an earlier execution of this run left with `progress`; None: none did."""
        return self._work_item.checkpoint

    def extend(self, seconds: float) -> None:
        """Ask for more time: the deadline moves to `seconds` from now, whatever it was. From any thread.

        Nothing happens when the handler has no deadline, or its time is over already.

        Args:
            seconds: More than 0 and up to 7 days.

        Raises:
            ValueError: `seconds` is out of bounds.
        """
        if not 0 < seconds <= MAX_TIMEOUT_SECONDS:
            raise ValueError(f"the time that a handler asks for is more than 0 and up to {MAX_TIMEOUT_SECONDS} seconds")
        self._control.extend(seconds)

    def _write_line(self, level: LineLevel, text: str) -> None:
        self._tell(Logged, lines=[Line(at=self._now(), level=level, text=text)])

    def submit(
        self,
        kind: str,
        payload: Any = None,
        *,
        title: str | None = None,
        queue: str | None = None,
        priority: Priority | None = None,
        labels: Mapping[str, str] | None = None,
        run_at: datetime | None = None,
        concurrency_key: str | None = None,
        key: str | None = None,
        process: bool = True,
        unique: UniqueOptions | None = None,
        after: Collection[UUID] | None = None,
        on_dependency_failure: DependencyFailure | None = None,
    ) -> UUID:
        """Have a further task made, once for this run of the task, however often its handler is executed.

        It is told at once, and in any case before the end of the attempt, however that ends; so it never waits for the
        store, and may be called from any thread. The task exists a moment later, and stays when this one is deleted. A
        task that was submitted before stays as it is. What is submitted when the attempt has ended (a thread may go on
        after its time is over) is void.

        Args:
            kind: The kind of the task.
            payload: Its payload, any JSON value of up to 256 KiB, as it is now.
            title: What it is, for people; None: its kind.
            queue: The queue that it waits in; None: as for a task that a client makes. One that would exceed the number
                of queues that the operator allows is not made: the task waits in the queue of this one then.
            priority: When it is served; None: medium.
            labels: To find it by.
            run_at: When to process it, with a time zone; None, or a time that has passed: at once.
            concurrency_key: Whose work it is, such as a tenant's; None: nobody's, whosever this one is.
            key: Names it within the run: of several calls with the same key the first counts. None: it is the first,
                second, … call without a key, which must then be the same in each execution.
            process: Whether to process it; if not, it stays `pending` unless `run_at` or `after` is given.
            unique: Under which key it is the only one, such as `{"key": "invoice-4711"}`; None: under none. While
                another task holds the key, this one is not made, but with `replace_waiting` in place of one that waits;
                with `debounce`, the one that waits becomes what this one would be. Nobody is told.
            after: Ids of up to 100 tasks that it comes after, such as those of tasks that were submitted before: it is
                processed once all of them are completed. One that does not exist counts as deleted.
            on_dependency_failure: What becomes of it when one of those is not completed; None: it is cancelled.

        Returns:
            The id of the task, if it is made. It is the same in each execution of the run.

        Raises:
            ValueError: One of these is not what it must be; or there is no key, and the handler leaves checkpoints, or
                goes on from one.
            TooManySubmissionsError: This execution has submitted 1,000 tasks, or 8 MiB of them.
        """
        optional = {
            "queue": queue,
            "priority": priority,
            "labels": labels,
            "run_at": run_at,
            "concurrency_key": concurrency_key,
            "unique": unique,
            "after": None if after is None else list(after),
            "on_dependency_failure": on_dependency_failure,
        }
        fields = {name: value for name, value in optional.items() if value is not None}
        named = {"kind": kind, "payload": payload, "title": kind if title is None else title, "process": process}
        task_id, task = self._submissions.add({**named, **fields}, key)
        if task is not None:
            self._tell(Submitted, task=task)
        return task_id
