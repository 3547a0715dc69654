"""Unique keys: which task holds one, what a new task does that wants one which is held, and when it is released.

A key is a row of its own. That a task is made for it, or that it passes on, is written in the transaction of its tasks,
and its index lets nobody else have written the same meanwhile: what was read before decides only what is tried.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from taskmill.contracts.errors import FieldProblem, InvalidRequestError, UniqueKeyHeldError
from taskmill.contracts.limits import MAX_REFUSAL_PROBLEMS
from taskmill.contracts.requests import IdentifiedTask, UpdateTask
from taskmill.contracts.status import ENDED, TaskStatus
from taskmill.contracts.unique import OnConflict, Uniqueness
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.editing import decide_update
from taskmill.task_store.domain.endings import replaced
from taskmill.task_store.domain.runs import to_scheduled
from taskmill.task_store.domain.state import TaskState

Create = Callable[[IdentifiedTask], Decision]

_REPLACEABLE = (TaskStatus.PENDING, TaskStatus.SCHEDULED, TaskStatus.QUEUED)

_DEBOUNCED_FIELDS = {"title", "description", "priority", "payload", "labels"}
"""What a debounced task takes over from the newest request: what clients may change of a scheduled task, too."""


class KeyHold(NamedTuple):
    """A held key's row: these fields, in this order, are the columns of `unique_keys`."""

    key: str
    task_id: UUID
    """Who holds it."""
    is_debounced: bool
    """It is released when its task no longer waits for its time; if not, when its task has ended."""
    expires_at: datetime | None
    """When it is released at the latest; None: not before that."""


class KeyRelease(NamedTuple):
    """A key that was not read, and that a task holds no longer, if it did."""

    key: str
    task_id: UUID
    is_ended: bool
    """Whether its task has ended; if not, it holds the key on unless it is a debounced one."""


class Placing(NamedTuple):
    """What becomes of a new task."""

    decisions: tuple[Decision, ...]
    """What is to be taken, in this order; the last one is of the task that the caller is told."""
    is_new: bool = True
    """Whether that task is made now."""
    hold: KeyHold | None = None
    """What the new task holds from now on."""
    freed_queue: str | None = None
    """In which queue another task waits no longer."""

    @property
    def state(self) -> TaskState:
        """The task that the caller is told."""
        return self.decisions[-1].state


def arrivals(placings: Iterable[Placing]) -> dict[str, int]:
    """How many more tasks come to wait in each queue, of those that `QueueBook.admit` is asked for."""
    found: dict[str, int] = {}
    for placing in placings:
        state = placing.state
        if placing.is_new and state.is_run_active and state.queue != placing.freed_queue:
            found[state.queue] = found.get(state.queue, 0) + 1
    return found


class UniqueBook:
    """The unique keys of a batch: who holds those that its operations name, and what the batch changes of that.

    Args:
        named: The keys that were looked for.
        known: Those of them that are held, as they were read.
    """

    def __init__(self, named: Iterable[str] = (), known: Iterable[KeyHold] = ()) -> None:
        self._named = frozenset(named)
        self._read = {hold.key: hold for hold in known}
        self._held = dict(self._read)
        self.released: list[KeyRelease] = []
        """Keys to delete that were not read, if their task holds them."""

    def place(
        self, request: IdentifiedTask, create: Create, states: Mapping[UUID, TaskState], now: datetime
    ) -> Placing:
        """Decide what becomes of a new task; `hold` and the decisions are the caller's to take.

        Args:
            request: What is wanted.
            create: Decides the creation of a task.
            states: The tasks as they are.
            now: When it is decided.

        Raises:
            UniqueKeyHeldError: Another task holds its key, and nothing is to become of it then.
        """
        unique = request.unique
        if unique is None:
            return Placing((create(request),))
        holder = self._holder(unique.key, states, now)
        if holder is None:
            return _made(request, unique, create, now)
        match unique.on_conflict:
            case OnConflict.RETURN_EXISTING:
                return Placing((Decision(holder),), is_new=False)
            case OnConflict.REPLACE_WAITING if holder.status in _REPLACEABLE:
                made = _made(request, unique, create, now)
                ended = replaced(holder, request.id, now)
                freed = holder.queue if holder.is_run_active else None
                return made._replace(decisions=(ended, *made.decisions), freed_queue=freed)
            case OnConflict.DEBOUNCE if self._held[unique.key].is_debounced and holder.kind == request.kind:
                return Placing((_debounced(holder, request, unique, now),), is_new=False)
        raise UniqueKeyHeldError(holder.id, errors=[_held_problem("")])

    def place_all(
        self, requests: Sequence[IdentifiedTask], create: Create, states: Mapping[UUID, TaskState], now: datetime
    ) -> list[Placing]:
        """`place` each of several tasks that are made all or none.

        Raises:
            InvalidRequestError: Two of them have the same key.
            UniqueKeyHeldError: As of `place`; it names the first task that holds a key, and, of several tasks, where
                such keys are wanted.
        """
        if len(requests) == 1:
            return [self.place(requests[0], create, states, now)]
        _check_distinct(requests)
        placings: list[Placing] = []
        refusals: list[tuple[UUID, int]] = []
        for index, request in enumerate(requests):
            try:
                placings.append(self.place(request, create, states, now))
            except UniqueKeyHeldError as refusal:
                refusals.append((refusal.task_id, index))
        if refusals:
            problems = [_held_problem(f"/tasks/{index}") for _, index in refusals[:MAX_REFUSAL_PROBLEMS]]
            raise UniqueKeyHeldError(refusals[0][0], errors=problems)
        return placings

    def hold(self, hold: KeyHold | None) -> None:
        """Note who holds a key from now on; before its task is noted. None: nobody comes to hold one."""
        if hold is not None:
            self._held[hold.key] = hold

    def note(self, before: TaskState | None, after: TaskState, *, is_deleted: bool = False) -> None:
        """Release the key of a task that has ended, or, of a debounced one, that no longer waits for its time."""
        key = after.unique_key
        is_ended = is_deleted or after.status in ENDED
        if key is None or not (is_ended or (before is not None and _waits_for_time(before) > _waits_for_time(after))):
            return
        hold = self._held.get(key)
        if hold is not None and hold.task_id == after.id:
            if is_ended or hold.is_debounced:
                del self._held[key]
        elif key not in self._named:
            self.released.append(KeyRelease(key, after.id, is_ended))

    @property
    def inserted(self) -> list[KeyHold]:
        """Keys that nobody held, and somebody does now."""
        return [hold for key, hold in self._held.items() if key not in self._read]

    @property
    def moved(self) -> list[tuple[KeyHold, UUID]]:
        """Keys that pass on to another task, each with the one that held it."""
        return [
            (hold, before.task_id)
            for key, hold in self._held.items()
            if (before := self._read.get(key)) is not None and before.task_id != hold.task_id
        ]

    @property
    def removed(self) -> list[KeyRelease]:
        """Keys that somebody held, or may have held, and nobody does now."""
        read = [KeyRelease(key, hold.task_id, True) for key, hold in self._read.items() if key not in self._held]
        return read + self.released

    def _holder(self, key: str, states: Mapping[UUID, TaskState], now: datetime) -> TaskState | None:
        """The task that holds a key; None: nobody does, or no longer."""
        hold = self._held.get(key)
        if hold is None or (hold.expires_at is not None and hold.expires_at <= now):
            return None
        state = states.get(hold.task_id)
        # It may have ended since the key was read: then what is written meets no such row, and is decided anew. Or a
        # store of an earlier release, which knows of no keys, ended it.
        if state is None or state.status in ENDED or (hold.is_debounced and not _waits_for_time(state)):
            return None
        return state


def _made(request: IdentifiedTask, unique: Uniqueness, create: Create, now: datetime) -> Placing:
    is_debounced = unique.on_conflict is OnConflict.DEBOUNCE
    if is_debounced:
        request = request.model_copy(update={"run_at": now + timedelta(seconds=unique.debounce_seconds or 0)})
    held_for = unique.held_for_seconds
    expires_at = None if held_for is None else now + timedelta(seconds=held_for)
    hold = KeyHold(unique.key, request.id, is_debounced, expires_at)
    return Placing((create(request),), hold=hold)


def _debounced(holder: TaskState, request: IdentifiedTask, unique: Uniqueness, now: datetime) -> Decision:
    """The task that waits becomes what the newest request wants, and waits anew."""
    changes = request.model_dump(mode="json", include=_DEBOUNCED_FIELDS)
    updated = decide_update(holder, UpdateTask(id=holder.id, changes=changes), now)
    run_at = now + timedelta(seconds=unique.debounce_seconds or 0)
    if unique.debounce_max_seconds is not None:
        run_at = min(run_at, max(now, holder.created_at + timedelta(seconds=unique.debounce_max_seconds)))
    state, event = to_scheduled(updated.state, run_at, "debounced", now)
    return Decision(state, (*updated.events, event))


def _waits_for_time(state: TaskState) -> bool:
    return state.status is TaskStatus.SCHEDULED and state.run_at is not None


def _held_problem(where: str) -> FieldProblem:
    return FieldProblem(pointer=f"{where}/unique/key", detail=UniqueKeyHeldError.detail, code=UniqueKeyHeldError.code)


def _check_distinct(requests: Sequence[IdentifiedTask]) -> None:
    seen: set[str] = set()
    problems: list[FieldProblem] = []
    for index, request in enumerate(requests):
        if request.unique is None:
            continue
        if request.unique.key in seen:
            detail = "Another task of the request has this unique key."
            problems.append(FieldProblem(pointer=f"/tasks/{index}/unique/key", detail=detail, code="repeated_key"))
        seen.add(request.unique.key)
    if problems:
        raise InvalidRequestError(errors=problems[:MAX_REFUSAL_PROBLEMS])
