"""What the relay makes of the log: each event, with what is to be done for it beside publishing it."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from taskmill.contracts.events import EventType
from taskmill.contracts.status import Priority, TaskStatus
from taskmill.task_store.domain.events import LoggedEvent
from taskmill.task_store.domain.kinds import KindBook
from taskmill.task_store.domain.retries import attempt_limit
from taskmill.task_store.domain.state import TaskState

MAX_COMMITTED_EVENTS = 8_000
MAX_COMMITTED_CHARACTERS = 8 * 1024 * 1024

_ENDS = (EventType.CANCELLED, EventType.DELETED, EventType.FAILED)


class WaitingWork(NamedTuple):
    """What a work item is made of: a task that still waits for the dispatch that an event asks for."""

    run: int
    attempt: int
    dispatch: int
    attempt_limit: int
    first_attempt: int
    """Of the run, if what the handler declares may bound it; 0: `attempt_limit` does."""
    crashes: int
    timeout_seconds: float | None
    title: str
    queue: str
    priority: Priority
    labels: str
    """JSON text."""
    payload: str
    """JSON text."""
    checkpoint: str
    """JSON text."""
    traceparent: str | None


class UnpublishedEvent(NamedTuple):
    """An event behind the relay's cursor, with what is to be done beside publishing it."""

    position: int
    task_id: UUID
    version: int
    type: str
    """An `EventType`, or one that only a newer store knows."""
    kind: str
    document: str
    must_stop: bool
    """The event ends a run, or asks to, and no other has begun: an execution that goes on all the same is in vain."""
    work: WaitingWork | None
    """The work to publish for it."""


class LogSlice(NamedTuple):
    """Some of the log, in order."""

    events: Sequence[UnpublishedEvent]
    has_more: bool
    """Whether more may follow."""


class PayloadNotReadError(Exception):
    """A task waits for a processor, and its payload and checkpoint were not read."""


def unpublished_events(
    events: Iterable[LoggedEvent], states: Mapping[UUID, TaskState], kinds: KindBook, first_position: int
) -> list[UnpublishedEvent]:
    """Events that have just been committed, as they would be read from the log now.

    Args:
        events: What was written, in order.
        states: The tasks as they are now; those that are deleted are not there.
        kinds: What is declared for kinds.
        first_position: That of the first event; the others follow one by one.

    Raises:
        PayloadNotReadError: The work of one of them must be read.
    """
    found = []
    for position, (task_id, version, event_type, kind, dispatch, document) in enumerate(events, first_position):
        must_stop, work = False, None
        if dispatch is not None:
            work = _waiting_work(states.get(task_id), dispatch, kinds)
        elif event_type in _ENDS:
            state = states.get(task_id)
            must_stop = state is None or not state.is_run_active
        elif event_type is EventType.CANCEL_REQUESTED:
            state = states.get(task_id)
            must_stop = state is not None and state.is_run_active and state.cancel_requested_at is not None
        found.append(UnpublishedEvent(position, task_id, version, event_type, kind, document, must_stop, work))
    return found


def _waiting_work(state: TaskState | None, dispatch: int, kinds: KindBook) -> WaitingWork | None:
    if state is None or state.status is not TaskStatus.QUEUED or state.dispatch != dispatch:
        return None
    if state.payload is None or state.checkpoint is None:
        raise PayloadNotReadError
    defaults = kinds.defaults(state.kind)
    is_open = state.max_attempts is None and defaults.max_attempts is None
    return WaitingWork(
        state.run,
        state.attempt,
        dispatch,
        max(attempt_limit(state, defaults), state.attempt),
        state.first_attempt if is_open else 0,
        state.crashes,
        defaults.timeout_seconds if state.timeout_seconds is None else state.timeout_seconds,
        state.title,
        state.queue,
        state.priority,
        state.labels,
        state.payload,
        state.checkpoint,
        state.traceparent,
    )


class CommittedEvents:
    """Events that this store has committed and not yet published: what is here need not be read from the log.

    They say what held at their commit. That may be the past by the time they are published, as it may be for what is
    read from the log: what has changed since stands in later events.
    """

    def __init__(self) -> None:
        self._events: deque[UnpublishedEvent] = deque()
        self._characters = 0

    def add(self, events: Sequence[UnpublishedEvent]) -> None:
        """Remember events. When they are too many, all are forgotten, and stay in the log.

        Two writers hear of their commits each by itself, so that the later one may come first.
        """
        if events and self._events and events[0].position < self._events[-1].position:
            self._events = deque(sorted([*self._events, *events], key=lambda event: event.position))
        else:
            self._events.extend(events)
        self._characters += sum(map(_characters, events))
        if len(self._events) > MAX_COMMITTED_EVENTS or self._characters > MAX_COMMITTED_CHARACTERS:
            self.clear()

    def clear(self) -> None:
        """Forget all."""
        self._events.clear()
        self._characters = 0

    def behind(self, position: int, *, limit: int, max_characters: int) -> LogSlice | None:
        """The events right behind a position of the log, for as far as they are known; None: they must be read.

        Events up to that position are forgotten.

        Args:
            position: Up to where everything is published.
            limit: How many events at most.
            max_characters: How long their documents, payloads and checkpoints may be in sum; one event always fits.
        """
        events = self._events
        while events and events[0].position <= position:
            self._characters -= _characters(events.popleft())
        found: list[UnpublishedEvent] = []
        for event in events:
            max_characters -= _characters(event)
            is_next = event.position == position + len(found) + 1
            if not is_next or len(found) == limit or (found and max_characters < 0):
                break
            found.append(event)
        return LogSlice(found, has_more=len(found) < len(events)) if found else None


def _characters(event: UnpublishedEvent) -> int:
    work = event.work
    return len(event.document) + (0 if work is None else len(work.payload) + len(work.checkpoint))
