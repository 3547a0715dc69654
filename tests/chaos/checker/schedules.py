"""Invariants of schedules: what came, by what they say, by what is noted of it, and by the tasks that there are."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tests.chaos.checker.history import History, instant


def each_time_comes_once(history: History) -> Iterator[str]:
    """Of each time of a schedule, up to the newest that came, it is noted once what became of it; none was missed."""
    noted = Counter((fire["schedule_id"], round(instant(fire["fire_at"]), 3)) for fire in history.fires)
    expected = {(schedule["id"], time) for schedule in history.schedules for time in _times(schedule)}
    for schedule_id, time in expected - noted.keys():
        yield f"schedule {schedule_id}: nothing came of {time}"
    for (schedule_id, time), count in noted.items():
        if count > 1 or (schedule_id, time) not in expected:
            yield f"schedule {schedule_id}: {time} came {count} times"
    for schedule in history.schedules:
        if schedule["missed_count"]:
            yield f"schedule {schedule['id']} missed {schedule['missed_count']} times"


def each_fire_has_its_task(history: History) -> Iterator[str]:
    """What is noted as made is there, and names its schedule; and no task names one that is not noted."""
    noted = {fire["task_id"]: fire["schedule_id"] for fire in history.fires if fire["outcome"] == "created"}
    created = (event for event in history.log if event.type == "created")
    made = {event.task_id: event.data["schedule_id"] for event in created if event.data.get("schedule_id")}
    for task_id in noted.keys() ^ made.keys():
        yield f"task {task_id} of schedule {noted.get(task_id, made.get(task_id))} is only {_where(task_id in noted)}"


def _where(is_noted: bool) -> str:
    return "noted" if is_noted else "made"


def _times(schedule: Mapping[str, Any]) -> Iterator[float]:
    begin, interval = int(instant(schedule["created_at"])), schedule["interval_seconds"]
    last = int(instant(schedule["last_fire_at"])) if schedule["last_fire_at"] else begin
    yield from map(float, range(begin + interval, last + 1, interval))
