"""Composes what requests about schedules are answered with."""

from collections.abc import Iterable
from datetime import datetime

import orjson

from taskmill.contracts.schedules import FireOutcome, Schedule, ScheduleFire
from taskmill.task_store.domain.schedules import FireState, ScheduleState
from taskmill.task_store.domain.state import composer

_schedule = composer(ScheduleState, Schedule.model_fields)
_fire = composer(FireState, ScheduleFire.model_fields)


def schedule_document(schedule: ScheduleState) -> bytes:
    """A `Schedule`."""
    told = _schedule(schedule)
    told["timing"] = schedule.timing.in_words()
    return _dump(told)


def deleted_schedule_document(schedule: ScheduleState) -> bytes:
    """A `DeleteScheduleReply`."""
    return _dump({"id": schedule.id})


def fire_document(fire: FireState) -> bytes:
    """A `ScheduleFire`."""
    told = _fire(fire)
    if fire.outcome is not FireOutcome.CREATED:
        told["task_id"] = None
    return _dump(told)


def times_document(times: Iterable[datetime]) -> bytes:
    """A `NextTimes`."""
    return _dump({"items": list(times)})


def _dump(value: dict[str, object]) -> bytes:
    # The driver's own UUIDs are unknown to orjson.
    return orjson.dumps(value, default=str, option=orjson.OPT_UTC_Z)
