"""What requests about schedules ask of the store: from the request to the body of the reply.

Those that change a schedule, or run it at once, go the way of all that changes something (`use_cases.change`).
`DatabaseUnavailableError` may come from any of them.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from taskmill.contracts.errors import FieldProblem, InvalidRequestError
from taskmill.contracts.limits import MAX_BACKFILL_TIMES
from taskmill.contracts.schedules import (
    Backfill,
    BackfillSchedule,
    GetNextTimes,
    GetSchedule,
    ListFires,
    ListSchedules,
)
from taskmill.task_store.domain.cursors import (
    LAST_ID,
    ListPosition,
    id_cursor,
    list_cursor,
    parse_id_cursor,
    parse_list_cursor,
)
from taskmill.task_store.domain.documents import page_of
from taskmill.task_store.domain.schedule_documents import fire_document, schedule_document, times_document
from taskmill.task_store.domain.schedules import MakeUpTimes
from taskmill.task_store.use_cases import Ports

MAX_TASKS_AT_ONCE = 100
MAX_BYTES_AT_ONCE = 1024 * 1024
"""Of a backfill so much is made in one transaction: others wait meanwhile."""

_BEHIND_ALL = ListPosition(datetime.max.replace(tzinfo=UTC), LAST_ID)


async def get_schedule(ports: Ports, request: GetSchedule) -> bytes:
    """`GetSchedule` → `Schedule`. Raises `ScheduleNotFoundError`."""
    return schedule_document(await ports.schedules.schedule(request.id))


async def list_schedules(ports: Ports, request: ListSchedules) -> bytes:
    """`ListSchedules` → `SchedulePage`."""
    found = await ports.schedules.schedules(behind=parse_id_cursor(request.cursor), limit=request.limit + 1)
    return page_of(found, request.limit, schedule_document, lambda schedule: id_cursor(schedule.id))


async def get_next_times(ports: Ports, request: GetNextTimes) -> bytes:
    """`GetNextTimes` → `NextTimes`: none, while it is paused. Raises `ScheduleNotFoundError`."""
    schedule = await ports.schedules.schedule(request.id)
    # What has come and is not decided is next, too.
    first = [] if schedule.next_fire_at is None else [schedule.next_fire_at]
    further = (time for begin in first for time in schedule.timing.behind(begin))
    return times_document([*first, *islice(further, request.count - 1)])


async def list_fires(ports: Ports, request: ListFires) -> bytes:
    """`ListFires` → `FirePage`. Raises `ScheduleNotFoundError`."""
    before = _BEHIND_ALL if request.cursor is None else parse_list_cursor(request.cursor)
    found = await ports.schedules.fires(request.schedule_id, before=before, limit=request.limit + 1)
    if not found:
        # One that has not fired has no fires; one that does not exist is an error.
        await ports.schedules.schedule(request.schedule_id)
    return page_of(
        found, request.limit, fire_document, lambda fire: list_cursor(ListPosition(fire.fire_at, fire.task_id))
    )


async def backfill_schedule(ports: Ports, request: BackfillSchedule) -> bytes:
    """`BackfillSchedule` → `Backfill`. Asked again, after whatever it died of, it makes what is missing.

    Raises `ScheduleNotFoundError`, `InvalidRequestError`, `QueueFullError`, `TooManyQueuesError`.
    """
    schedule = await ports.schedules.schedule(request.id)
    if request.until > ports.now():
        raise _invalid("It should have passed.", "backfill_span")
    times = schedule.timing.within(request.since, request.until, MAX_BACKFILL_TIMES + 1)
    if len(times) > MAX_BACKFILL_TIMES:
        raise _invalid(f"No more than {MAX_BACKFILL_TIMES} times should lie in the span.", "backfill_times")
    created = 0
    at_once = max(1, min(MAX_TASKS_AT_ONCE, MAX_BYTES_AT_ONCE // len(schedule.template)))
    for some in _parts(times, at_once):
        answer = await ports.writes.ask(MakeUpTimes(schedule.id, some))
        created += len(answer.states)
    return Backfill(created=created, existing=len(times) - created).model_dump_json().encode()


def _parts(times: Sequence[datetime], size: int) -> Iterator[tuple[datetime, ...]]:
    return (tuple(times[start : start + size]) for start in range(0, len(times), size))


def _invalid(detail: str, code: str) -> InvalidRequestError:
    return InvalidRequestError(errors=[FieldProblem(pointer="/until", detail=detail, code=code)])
