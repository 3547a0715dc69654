"""Following events over as many streams as it takes: all but the reading itself."""

import time
from collections.abc import Callable

import httpx
from httpx_sse import ServerSentEvent

from taskmill.contracts.events import EventType
from taskmill.contracts.status import ENDED
from taskmill.contracts.tasks import Task
from taskmill.sdk.client import operations
from taskmill.sdk.client.calls import Call, Flow, Page
from taskmill.sdk.client.errors import (
    ClientError,
    NoAnswerError,
    TaskNotFoundError,
    UnreadableAnswerError,
    WaitTimeoutError,
)
from taskmill.sdk.client.fields import EventConditions, TaskId
from taskmill.sdk.client.operations import LogEnds
from taskmill.sdk.errors import EventsGoneError
from taskmill.sdk.event import Event

RECONNECT_WITHIN_SECONDS = 300.0
LONGEST_PAUSE_SECONDS = 30.0
STREAM_SILENCE_SECONDS = 45.0
"""A stream on which nothing is heard for so long is broken: the gateway says every 15 s that nothing happened."""


class Following:
    """Where someone who follows is, and what comes next.

    Args:
        task_id: Only this task, to its end; None: the log.
        after: The position behind which to begin; None: of a task all, of the log what happens from now on.
        conditions: Which events.
        within_seconds: How long to follow at most; None: as long as it takes.
        reconnect_within_seconds: How long nothing may be heard.
        now: A clock in seconds.

    Attributes:
        is_over: Whether there is nothing more to follow.

    Raises:
        ValueError: The events of one task can be chosen by type only.
    """

    def __init__(
        self,
        task_id: TaskId | None,
        after: int | None,
        conditions: EventConditions,
        *,
        within_seconds: float | None,
        reconnect_within_seconds: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_over = False
        self._task_id = task_id
        self._position = after
        # Of a task all events come, or its end would not be seen.
        self._types = frozenset(operations.several(conditions.get("types", ()))) if task_id is not None else frozenset()
        if task_id is not None and conditions.keys() - {"types"}:
            raise ValueError("the events of one task can be chosen by type only")
        self._query = operations.event_query(task_id, {} if task_id is not None else conditions)
        self._now = now
        self._within_seconds = within_seconds
        self._ends_at = None if within_seconds is None else now() + within_seconds
        self._reconnect_within_seconds = reconnect_within_seconds
        self._has_heard = False
        self._silent_since: float | None = None
        self._pause_seconds = 1.0

    def begin(self) -> Flow[None]:
        """Find out where to begin, and whether there is anything to follow, as soon as somebody is there to tell.

        Raises:
            WaitTimeoutError: Time is over.
        """
        try:
            yield from self._begin()
        except ClientError:
            self._remaining_seconds()
            raise

    def _begin(self) -> Flow[None]:
        within = min(self._reconnect_within_seconds, self._remaining_seconds())
        if self._task_id is None:
            if self._position is None:
                ends: LogEnds = yield operations.log_ends(within=within)
                self._position = ends.newest
            return
        self._position = self._position or 0
        try:
            task: Task = yield operations.get(self._task_id, wait=0, within=within)
        except TaskNotFoundError:
            # What is left of it may be its history.
            if not (yield from self._has_more(self._task_id)):
                raise
        else:
            self.is_over = task.status in ENDED and not (yield from self._has_more(self._task_id))

    def _has_more(self, task_id: TaskId) -> Flow[bool]:
        call: Call[Page[Event]] | None = operations.events(task_id, self._position or 0, {})
        while call is not None:
            page: Page[Event] = yield call
            if page.items:
                return True
            call = page.next_call
        return False

    def open(self) -> Flow[httpx.Response]:
        """Open the next stream.

        Raises:
            WaitTimeoutError: Time is over.
        """
        remaining = self._remaining_seconds()
        self._has_heard = False
        silent_within = min(STREAM_SILENCE_SECONDS, remaining)
        within = min(self._reconnect_within_seconds, remaining)
        try:
            response: httpx.Response = yield operations.stream(self._query, self._position or 0, silent_within, within)
        except ClientError:
            self._remaining_seconds()
            raise
        return response

    def take(self, sent: ServerSentEvent) -> Event | None:
        """Take in what a stream brought; returns the event that it is, if it is one that was not there yet.

        Raises:
            GapError: The log cannot be followed from where the last stream ended.
            WaitTimeoutError: Time is over.
            UnreadableAnswerError: It is no event.
        """
        self._remaining_seconds()
        if sent.retry is not None:
            self._pause_seconds = min(sent.retry / 1000, LONGEST_PAUSE_SECONDS)
        if not sent.id:
            return None
        try:
            return self._take(int(sent.id), sent)
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableAnswerError(f"The stream cannot be read: {error}") from error

    def _take(self, position: int, sent: ServerSentEvent) -> Event | None:
        self._has_heard = True
        known = self._position or 0
        if sent.event == "reset":
            ends = LogEnds.model_validate_json(sent.data)
            raise ends.gap_behind(known) or EventsGoneError(after=known, removed=ends.newest)
        if position <= known:
            return None
        # Without data it is the position up to which there is nothing else.
        is_event = bool(sent.data) and sent.event != "removed"
        event = operations.event_of(position, sent.data.encode()) if is_event else None
        self._position = position
        return event

    def is_wanted(self, event: Event) -> bool:
        """Whether an event is to be handed out."""
        return not self._types or event.type in self._types

    def look(self, event: Event) -> Flow[None]:
        """Find out whether the event was the last one of the task."""
        if self._task_id is None:
            return
        if event.type is EventType.DELETED:
            self.is_over = True
        elif event.data["status"] in ENDED:
            try:
                task: Task = yield operations.get(self._task_id, wait=0)
            except TaskNotFoundError:
                # Its last event is still to come.
                return
            # It may have been processed again, or edited, meanwhile.
            self.is_over = task.version <= event.version

    def pause_seconds(self) -> float:
        """How long to wait before the next stream, now that one has ended.

        Raises:
            NoAnswerError: No stream has brought anything for too long.
            WaitTimeoutError: Time is over.
        """
        remaining = self._remaining_seconds()
        if self._has_heard:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = self._now()
        elif self._now() - self._silent_since > self._reconnect_within_seconds:
            raise NoAnswerError(f"no stream was heard for {self._reconnect_within_seconds:g} s", was_sent=True)
        return min(self._pause_seconds, remaining)

    def _remaining_seconds(self) -> float:
        if self._ends_at is None or self._within_seconds is None:
            return float("inf")
        remaining = self._ends_at - self._now()
        if remaining <= 0:
            raise WaitTimeoutError(self._within_seconds)
        return remaining
