"""What a schedule is, what becomes of each of its times, and the tasks that are made.

A time is decided once: its task, what is noted of it, and which time comes next are written in one transaction, under
the lock of the event log. Whoever wants to decide it again finds that the next time is another one.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from itertools import islice, takewhile
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from pydantic import TypeAdapter

from taskmill.contracts.errors import (
    InvalidRequestError,
    RevisionMismatchError,
    ScheduleNotFoundError,
    TaskExistsError,
    TooManySchedulesError,
)
from taskmill.contracts.ids import repeatable_id
from taskmill.contracts.json_text import read_json
from taskmill.contracts.limits import MAX_CAUGHT_UP_TIMES
from taskmill.contracts.requests import IdentifiedTask
from taskmill.contracts.schedules import (
    CreateSchedule,
    DeleteSchedule,
    FireOrigin,
    FireOutcome,
    Overlap,
    RunSchedule,
    ScheduleChange,
    ScheduleFields,
    UpdateSchedule,
)
from taskmill.task_store.domain.editing import merge_patch
from taskmill.task_store.domain.idempotency import ID_TAKEN
from taskmill.task_store.domain.schedule_times import Timing
from taskmill.task_store.domain.state import JsonText, TaskState

MAX_MISSED_AT_ONCE = 500
"""Times of a cron line that are counted as missed in one transaction: each has to be worked out."""


class ScheduleState(NamedTuple):
    """A schedule's row: these fields, in this order, are the columns of `schedules`.

    Fields whose name is that of a field of `Schedule` of the contracts mean the same.
    """

    id: UUID
    name: str
    template: JsonText
    """A `TaskTemplate`, without what the client left out."""
    cron: str | None
    time_zone: str
    interval_seconds: int | None
    overlap: str
    catch_up_seconds: int
    is_paused: bool
    starts_at: datetime | None
    ends_at: datetime | None
    next_fire_at: datetime | None
    last_fire_at: datetime | None
    missed_count: int
    missed_since: datetime | None
    missed_until: datetime | None
    revision: int
    created_at: datetime
    updated_at: datetime

    @property
    def timing(self) -> Timing:
        """When it fires."""
        anchor = self.starts_at or self.created_at.replace(microsecond=0)
        return Timing(self.cron, self.time_zone, self.interval_seconds, anchor, self.starts_at, self.ends_at)


class FireState(NamedTuple):
    """What became of a time: these fields, in this order, are the columns of `schedule_fires`."""

    task_id: UUID
    """The time's task; of one that was skipped: the id that its task would have."""
    schedule_id: UUID
    fire_at: datetime
    outcome: FireOutcome
    origin: FireOrigin
    decided_at: datetime


class FireSchedule(NamedTuple):
    """Decide a schedule's next time; or count it, and some that follow, as missed. Else than this, nothing is done."""

    schedule_id: UUID
    revision: int
    """The schedule as it was looked at. One that a client has changed since is looked at again."""
    fire_at: datetime
    """The next time."""
    next_fire_at: datetime | None
    """The one that comes then."""
    missed: int = 0
    """How many times are too old, from this one on; 0: it is not."""
    missed_until: datetime | None = None
    """The last of them."""

    def is_undecided(self, schedule: ScheduleState | None) -> bool:
        """Whether the schedule stands as before: some of its tasks are to be cancelled before."""
        return schedule is not None and (schedule.revision, schedule.next_fire_at) == (self.revision, self.fire_at)


class MakeUpTimes(NamedTuple):
    """Make the tasks of these times of a schedule that have none, in this order."""

    schedule_id: UUID
    times: tuple[datetime, ...]


ScheduleOperation = ScheduleChange | FireSchedule | MakeUpTimes


class ScheduleOutcome(NamedTuple):
    """What an operation on a schedule is answered."""

    schedule: ScheduleState | None
    """As it is now, or was when it was deleted. None: there is none."""
    tasks: tuple[TaskState, ...] = ()
    """The tasks that were made."""


class Wanted(NamedTuple):
    """Tasks of a schedule that are to be made, but for those that exist, or did."""

    schedule_id: UUID
    tasks: Sequence[IdentifiedTask]
    """In the order in which they are made."""
    is_asked: bool
    """Whether a client asks for them: then there must be room in their queue."""
    cancelled: Sequence[UUID] = ()
    """Tasks that are cancelled before."""


def plan(schedule: ScheduleState, now: datetime) -> FireSchedule | None:
    """What is to be done of a schedule now; None: nothing, its next time has not come."""
    fire_at = schedule.next_fire_at
    if fire_at is None or fire_at > now:
        return None
    timing = schedule.timing
    oldest = now - timedelta(seconds=schedule.catch_up_seconds)
    if timing.interval_seconds is not None:
        oldest = max(oldest, now - MAX_CAUGHT_UP_TIMES * timedelta(seconds=timing.interval_seconds))
    if fire_at >= oldest:
        return FireSchedule(schedule.id, schedule.revision, fire_at, timing.first_behind(fire_at))
    count, last = _missed(timing, fire_at, oldest)
    return FireSchedule(schedule.id, schedule.revision, fire_at, timing.first_behind(last), count, last)


def _missed(timing: Timing, first: datetime, oldest: datetime) -> tuple[int, datetime]:
    """How many times there are from the first on that are too old, and the last of them; not all, if they are many."""
    end = oldest if timing.ends_at is None else min(oldest, timing.ends_at)
    if timing.interval_seconds is not None:
        interval = timedelta(seconds=timing.interval_seconds)
        further = (end - first - timedelta(microseconds=1)) // interval
        return further + 1, first + further * interval
    times = [first, *islice(takewhile(lambda time: time < end, timing.behind(first)), MAX_MISSED_AT_ONCE - 1)]
    return len(times), times[-1]


def fire_task_id(schedule_id: UUID, fire_at: datetime) -> UUID:
    """The id of the task of a time: it has one task, whoever makes it, and however often it is asked for."""
    milliseconds = int(fire_at.timestamp() * 1000)
    return repeatable_id(milliseconds, f"{schedule_id} {fire_at.timestamp():.6f}")


def named_schedule(operation: ScheduleOperation) -> UUID:
    """The schedule that an operation makes, or speaks of."""
    match operation:
        case FireSchedule() | MakeUpTimes():
            return operation.schedule_id
        case CreateSchedule() | UpdateSchedule() | DeleteSchedule() | RunSchedule():
            return operation.id
    raise TypeError(f"no rule for {type(operation).__name__}")


def named_new_tasks(operation: ScheduleOperation) -> list[UUID]:
    """The tasks that an operation makes, unless they exist."""
    match operation:
        case FireSchedule():
            return [fire_task_id(operation.schedule_id, operation.fire_at)]
        case MakeUpTimes():
            return [fire_task_id(operation.schedule_id, time) for time in operation.times]
        case RunSchedule():
            return [operation.task_id]
        case _:
            return []


class ScheduleBook:
    """The schedules that a batch speaks of, and what it changes of them.

    Args:
        known: Those that exist, of those that its operations name.
        count: How many there are in all.
        max_schedules: How many there may be.
        running: Tasks of theirs that are in a run, as far as that matters.
        crowded: Those that cancel such tasks, and have more than can be cancelled at once: their times stay undecided.
        made: Those of the tasks that its operations make of which is noted that they were made.
    """

    def __init__(
        self,
        known: Iterable[ScheduleState] = (),
        *,
        count: int = 0,
        max_schedules: int = 0,
        running: Sequence[UUID] = (),
        crowded: Collection[UUID] = (),
        made: Iterable[UUID] = (),
    ) -> None:
        self._before = {schedule.id: schedule for schedule in known}
        self._states = dict(self._before)
        self._count = count
        self._max_schedules = max_schedules
        self.running = running
        self._crowded = crowded
        self._made = frozenset(made)
        self.fires: list[FireState] = []
        self.is_any_changed = False
        """Whether a client made or changed one."""
        self.missed = 0
        """How many times were counted as missed."""

    @property
    def added(self) -> list[ScheduleState]:
        """To be inserted."""
        return [schedule for schedule in self._states.values() if schedule.id not in self._before]

    @property
    def changed(self) -> list[ScheduleState]:
        """To be updated."""
        return [
            schedule
            for schedule in self._states.values()
            if (before := self._before.get(schedule.id)) is not None and before is not schedule
        ]

    @property
    def deleted(self) -> list[UUID]:
        """To be deleted."""
        return [schedule_id for schedule_id in self._before if schedule_id not in self._states]

    def decide(
        self,
        operation: ScheduleOperation,
        tasks: Mapping[UUID, TaskState],
        make: Callable[[Wanted], Sequence[TaskState]],
        now: datetime,
    ) -> ScheduleOutcome:
        """Apply one operation, or leave everything as it was.

        Args:
            operation: What is wanted.
            tasks: The tasks as they are; those that are in a run are among them.
            make: Makes tasks, and returns those that were made; or refuses to, and leaves everything as it was.
            now: When it is decided.

        Raises:
            RequestError: It is refused.
        """
        match operation:
            case FireSchedule():
                return self._fire(operation, tasks, make, now)
            case CreateSchedule():
                return ScheduleOutcome(self._create(operation, now))
        schedule = self._states.get(named_schedule(operation))
        if schedule is None:
            raise ScheduleNotFoundError
        match operation:
            case MakeUpTimes():
                return self._make_up(schedule, operation, make, now)
            case RunSchedule():
                return self._run(schedule, operation, make, now)
            case UpdateSchedule():
                _check_revision(schedule, operation.expected_revision)
                schedule = self._states[schedule.id] = changed_schedule(schedule, operation, now)
                self.is_any_changed = True
            case DeleteSchedule():
                _check_revision(schedule, operation.expected_revision)
                del self._states[schedule.id]
        return ScheduleOutcome(schedule)

    def _create(self, request: CreateSchedule, now: datetime) -> ScheduleState:
        if request.id in self._states:
            raise InvalidRequestError(errors=[ID_TAKEN])
        if self._count + len(self._states) - len(self._before) >= self._max_schedules:
            raise TooManySchedulesError(self._max_schedules)
        schedule = self._states[request.id] = new_schedule(request, now)
        self.is_any_changed = True
        return schedule

    def _fire(
        self,
        operation: FireSchedule,
        tasks: Mapping[UUID, TaskState],
        make: Callable[[Wanted], Sequence[TaskState]],
        now: datetime,
    ) -> ScheduleOutcome:
        schedule = self._states.get(operation.schedule_id)
        if schedule is None or not operation.is_undecided(schedule):
            return ScheduleOutcome(schedule)
        if schedule.id in self._crowded and not operation.missed:
            return ScheduleOutcome(schedule)
        made: Sequence[TaskState] = ()
        if operation.missed:
            schedule = _with_missed(schedule, operation)
            self.missed += operation.missed
        else:
            made = self._fire_now(schedule, operation.fire_at, tasks, make, now)
            schedule = schedule._replace(last_fire_at=operation.fire_at)
        schedule = self._states[schedule.id] = schedule._replace(next_fire_at=operation.next_fire_at)
        return ScheduleOutcome(schedule, tuple(made))

    def _fire_now(
        self,
        schedule: ScheduleState,
        fire_at: datetime,
        tasks: Mapping[UUID, TaskState],
        make: Callable[[Wanted], Sequence[TaskState]],
        now: datetime,
    ) -> Sequence[TaskState]:
        task_id = fire_task_id(schedule.id, fire_at)
        running: list[UUID] = []
        if schedule.overlap != Overlap.ALLOW:
            running = [it.id for it in tasks.values() if it.schedule_id == schedule.id and it.is_run_active]
        if running and schedule.overlap == Overlap.SKIP:
            self._note(task_id, schedule, fire_at, FireOutcome.SKIPPED, FireOrigin.TIME, now)
            return ()
        if task_id in self._made:
            return ()
        made = make(Wanted(schedule.id, [task_of(schedule, task_id)], is_asked=False, cancelled=running))
        # It is not made a second time that a backfill came before.
        for task in made:
            self._note(task.id, schedule, fire_at, FireOutcome.CREATED, FireOrigin.TIME, now)
        return made

    def _make_up(
        self,
        schedule: ScheduleState,
        operation: MakeUpTimes,
        make: Callable[[Wanted], Sequence[TaskState]],
        now: datetime,
    ) -> ScheduleOutcome:
        times = {fire_task_id(schedule.id, time): time for time in operation.times}
        missing = [task_of(schedule, task_id) for task_id in times if task_id not in self._made]
        made = make(Wanted(schedule.id, missing, is_asked=True))
        for task in made:
            self._note(task.id, schedule, times[task.id], FireOutcome.CREATED, FireOrigin.BACKFILL, now)
        return ScheduleOutcome(schedule, tuple(made))

    def _run(
        self,
        schedule: ScheduleState,
        request: RunSchedule,
        make: Callable[[Wanted], Sequence[TaskState]],
        now: datetime,
    ) -> ScheduleOutcome:
        made = make(Wanted(schedule.id, [task_of(schedule, request.task_id)], is_asked=True))
        if not made:
            raise TaskExistsError(request.task_id)
        self._note(request.task_id, schedule, now, FireOutcome.CREATED, FireOrigin.MANUAL, now)
        return ScheduleOutcome(schedule, tuple(made))

    def _note(
        self,
        task_id: UUID,
        schedule: ScheduleState,
        fire_at: datetime,
        outcome: FireOutcome,
        origin: FireOrigin,
        now: datetime,
    ) -> None:
        self.fires.append(FireState(task_id, schedule.id, fire_at, outcome, origin, now))


def task_of(schedule: ScheduleState, task_id: UUID) -> IdentifiedTask:
    """A task of a schedule, to be processed at once."""
    return IdentifiedTask.model_validate({**orjson.loads(schedule.template), "id": task_id, "process": True})


def new_schedule(request: CreateSchedule, now: datetime) -> ScheduleState:
    """A schedule that a client wants.

    Raises:
        InvalidRequestError: It can never fire.
    """
    schedule = ScheduleState(
        **_columns(request),
        id=request.id,
        next_fire_at=None,
        last_fire_at=None,
        missed_count=0,
        missed_since=None,
        missed_until=None,
        revision=1,
        created_at=now,
        updated_at=now,
    )
    return _begun(schedule, now)


def changed_schedule(schedule: ScheduleState, request: UpdateSchedule, now: datetime) -> ScheduleState:
    """A schedule as a client's changes leave it; itself, if they change nothing.

    What decides when it fires holds from now on: a time that has come, and is not decided, counts no more.

    Raises:
        InvalidRequestError: The outcome is none, or can never fire.
    """
    if request.is_replacement:
        outcome: Any = request.changes
    else:
        current = {name: getattr(schedule, name) for name in ScheduleFields.model_fields}
        current["template"] = orjson.loads(schedule.template)
        outcome = merge_patch(orjson.loads(orjson.dumps(current)), request.changes)
    columns = _columns(read_json(_fields(), orjson.dumps(outcome)))
    if all(getattr(schedule, name) == value for name, value in columns.items()):
        return schedule
    changed = schedule._replace(**columns, revision=schedule.revision + 1, updated_at=now)
    is_timing_same = changed.timing == schedule.timing and changed.is_paused == schedule.is_paused
    return changed if is_timing_same else _begun(changed, now)


@cache
def _fields() -> TypeAdapter[ScheduleFields]:
    # Made when it is needed: it takes memory.
    return TypeAdapter(ScheduleFields)


def _begun(schedule: ScheduleState, now: datetime) -> ScheduleState:
    schedule.timing.check(now)
    return schedule._replace(next_fire_at=None if schedule.is_paused else schedule.timing.first_behind(now))


def _with_missed(schedule: ScheduleState, operation: FireSchedule) -> ScheduleState:
    newest, last_fire_at = schedule.missed_until, schedule.last_fire_at
    is_same_outage = newest is not None and (last_fire_at is None or last_fire_at < newest)
    return schedule._replace(
        missed_count=schedule.missed_count + operation.missed,
        missed_since=schedule.missed_since if is_same_outage else operation.fire_at,
        missed_until=operation.missed_until,
    )


def _check_revision(schedule: ScheduleState, expected: int | None) -> None:
    if expected not in {None, schedule.revision}:
        raise RevisionMismatchError


def _columns(fields: ScheduleFields) -> dict[str, Any]:
    columns = {name: getattr(fields, name) for name in ScheduleFields.model_fields}
    columns["template"] = orjson.dumps(fields.template.model_dump(mode="json", exclude_unset=True)).decode()
    columns["overlap"] = fields.overlap.value
    return columns
