"""How far a subscriber is with each task."""

from uuid import UUID, uuid4

from taskmill.contracts.events import EventType
from taskmill.sdk.event import Event
from taskmill.sdk.subscribing.versions import LastEvent, TaskVersions

TASK = UUID("01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42")


def event(version: int, *, task_id: UUID = TASK, event_type: EventType = EventType.UPDATED) -> Event:
    """An event at the position ten times its version."""
    return Event(10 * version, event_type, "echo", task_id, version, b"{}", {})


def test_a_gap_lies_between_two_events_of_a_task() -> None:
    """Other tasks have numbers of their own, and of an unknown task any event is the first."""
    versions = TaskVersions()
    assert versions.before_gap(event(7)) is None
    versions.note(event(7))
    versions.note(event(1, task_id=uuid4()))
    assert versions.before_gap(event(8)) is None
    assert versions.before_gap(event(7)) is None
    assert versions.before_gap(event(9)) == LastEvent(7, 70)


def test_the_tasks_that_nothing_happened_to_for_longest_are_forgotten() -> None:
    """What is kept is bounded; a deleted task needs no room."""
    versions = TaskVersions(kept_tasks=2)
    first, second, third = uuid4(), uuid4(), uuid4()
    for task_id in (first, second, first, third):
        versions.note(event(1, task_id=task_id))
    assert [versions.before_gap(event(3, task_id=task_id)) is None for task_id in (first, second, third)] == [
        False,
        True,
        False,
    ]
    versions.note(event(2, task_id=first, event_type=EventType.DELETED))
    versions.note(event(1, task_id=second))
    assert versions.before_gap(event(3, task_id=third)) is not None
