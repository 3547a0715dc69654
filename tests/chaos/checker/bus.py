"""Invariants of what a subscriber receives."""

from collections import defaultdict
from collections.abc import Iterator

from tests.chaos.checker.history import History


def every_event_reaches_the_bus(history: History) -> Iterator[str]:
    """A subscriber receives every committed event."""
    received = {event.event_id for event in history.witnessed}
    for event in history.log:
        if event.event_id not in received:
            yield f"event {event.event_id} ({event.type}) was never received"


def the_bus_tells_only_what_is_committed(history: History) -> Iterator[str]:
    """What is received stands in the log, byte for byte."""
    documents = {event.event_id: event.document for event in history.log}
    for event in history.witnessed:
        if documents.get(event.event_id) != event.document:
            what = "differs from" if event.event_id in documents else "is not in"
            yield f"event {event.event_id} ({event.type}) {what} the log"


def first_occurrences_are_in_order(history: History) -> Iterator[str]:
    """Once duplicates are dropped, the events of a task arrive as 1, 2, 3, and so on."""
    newest: dict[str, int] = defaultdict(int)
    seen: set[str] = set()
    for event in history.witnessed:
        if event.event_id in seen:
            continue
        seen.add(event.event_id)
        if event.version != newest[event.task_id] + 1:
            yield f"task {event.task_id}: version {event.version} arrived after {newest[event.task_id]}"
        newest[event.task_id] = max(newest[event.task_id], event.version)
