"""How events are printed: a line for each, as they come."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import UUID

from pydantic_core import to_json

from taskmill.cli.output import OutputFormat, print_json_line, print_line
from taskmill.cli.waiting import progress_bar
from taskmill.contracts.events import EventType
from taskmill.sdk.client import Client, Event

_LONGEST_TYPE = max(map(len, EventType))


def document(event: Event) -> dict[str, Any]:
    """An event as the API's pages have it: its position, and the CloudEvents document."""
    return {"position": event.position, "event": event.fields}


def print_events(events: Iterable[Event], output: OutputFormat, *, has_ids: bool) -> None:
    """Print events as they come: lines for people, or lines of JSON.

    Args:
        events: The events.
        output: How; an array is for others.
        has_ids: Whether lines for people name the task.
    """
    for event in events:
        if output is OutputFormat.TABLE:
            print_line(event_line(event, has_id=has_ids))
        else:
            print_json_line(document(event))


def follow_task(
    client: Client,
    task_id: UUID,
    output: OutputFormat,
    *,
    within_seconds: float | None,
    **conditions: Any,
) -> None:
    """Print what happened and happens to a task, to its end, with a bar on a terminal.

    Raises:
        WaitTimeoutError: Time is over.
    """
    with progress_bar("waiting") as show:

        def shown() -> Iterator[Event]:
            for event in client.watch(task_id, within_seconds=within_seconds, **conditions):
                progress = event.data.get("progress")
                if progress is not None:
                    show(progress["fraction"], progress.get("message") or event.data["status"])
                else:
                    show(None, event.data["status"])
                yield event

        print_events(shown(), output, has_ids=False)


def event_line(event: Event, *, has_id: bool) -> str:
    """An event in a line for people: when, what, of which task, and what it tells."""
    at = event.fields["time"][:19].replace("T", " ") + "Z"
    task = f"{event.task_id}  {event.kind}  " if has_id else ""
    return f"{at}  {event.type:<{_LONGEST_TYPE}}  {task}{_told(event)}".rstrip()


def _told(event: Event) -> str:
    words = _WORDS.get(event.type)
    return "" if words is None else words(event.data)


def _why_scheduled(data: dict[str, Any]) -> str:
    error = f" after {_error(data['error'])}" if data.get("error") else ""
    until = f"for {data['run_at']} " if data.get("run_at") else ""
    return f"{until}({data['reason']}){error}"


def _progress(progress: dict[str, Any]) -> str:
    return f"{progress['fraction']:.0%} {progress.get('message') or ''}"


def _error(error: dict[str, Any]) -> str:
    return f"{error['code']}: {error['message']}"


def _json(value: Any) -> str:
    return "" if value is None else to_json(value).decode()


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    EventType.CREATED: lambda data: str(data["title"]),
    EventType.UPDATED: lambda data: _json(data["changes"]),
    EventType.QUEUED: lambda data: f"in {data['queue']} ({data['reason']})",
    EventType.SCHEDULED: _why_scheduled,
    EventType.STARTED: lambda data: f"attempt {data['attempt']} by {data['processor_id']}",
    EventType.PROGRESSED: lambda data: _progress(data["progress"]),
    EventType.LOGGED: lambda data: "; ".join(line["text"] for line in data["lines"]),
    EventType.COMPLETED: lambda data: _json(data.get("result")),
    EventType.FAILED: lambda data: _error(data["error"]),
    EventType.CANCELLED: lambda data: str(data["cancellation"]),
    EventType.DELETED: lambda data: data.get("reason") or "",
}
"""What the events of a type tell; the others nothing beside it."""
