"""The files of a run: what was seen while it went on, what was found in the end, and reading them back."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from tests.chaos.checker.history import Effect, FaultWindow, History, LoggedEvent, Operation, Outcome, SeenTask
from tests.chaos.witness import Arrival

_RECONNECT_LOG_LINE = "nats.disconnected"

T = TypeVar("T")


class Artefacts:
    """Writes the files of a run as it goes on. Every line is a JSON document.

    Args:
        directory: The folder of the run.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        names = ("operations", "faults", "witnessed", "reported")
        self._files = {name: (directory / f"{name}.jsonl").open("a", buffering=1) for name in names}

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def operation(self, operation: Operation) -> None:
        """Write a line of the load's history."""
        self._write("operations", asdict(operation))

    def fault(self, fault: FaultWindow) -> None:
        """Write what the nemesis did."""
        self._write("faults", asdict(fault))

    def event(self, arrival: Arrival) -> None:
        """Write an event that was received."""
        self._write("witnessed", arrival)

    def report(self, execution: str) -> None:
        """Write the execution that a report was overheard of."""
        self._write("reported", execution)

    async def save_final_state(self, database_url: str) -> None:
        """Write the rows and the log as they stand in PostgreSQL."""
        connection = await asyncpg.connect(database_url)
        try:
            # One snapshot: should the drain not have come to its end, rows and log still belong together.
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                for name, query in _FINAL_STATE.items():
                    with (self.directory / f"{name}.jsonl").open("w") as file:
                        async for (line,) in connection.cursor(query):
                            file.write(f"{line}\n")
        finally:
            await connection.close()

    def _write(self, name: str, value: Any) -> None:
        self._files[name].write(json.dumps(value) + "\n")


# A json document may hold line breaks of its own; to_json of a text does not.
_FINAL_STATE = {
    "rows": "SELECT replace(row_to_json(t)::text, E'\\n', ' ') FROM tasks t",
    "schedules": "SELECT replace(row_to_json(s)::text, E'\\n', ' ') FROM schedules s",
    "fires": "SELECT row_to_json(f)::text FROM schedule_fires f",
    "held_keys": "SELECT json_build_array(key, task_id)::text FROM unique_keys",
    "log": "SELECT to_json(document)::text FROM task_events ORDER BY position",
}


def read_history(directory: Path) -> History:
    """Read the files of a run."""
    rows = _read(directory, "rows", dict)
    log = _read(directory, "log", read_event)
    # Next to all that was received is what the log has, and stands in memory once.
    known = {event.document: event for event in log}
    return History(
        operations=_read(directory, "operations", _operation),
        faults=_read(directory, "faults", lambda line: FaultWindow(**line)),
        effects=_read(directory, "effects", lambda line: Effect(**line)),
        log=log,
        witnessed=[
            known.get(arrival.document) or read_event(arrival.document) for arrival in _in_stream_order(directory)
        ],
        reported=_read(directory, "reported", str),
        rows={row["id"]: row for row in rows},
        schedules=_read(directory, "schedules", dict),
        fires=_read(directory, "fires", dict),
        held_keys=dict(_read(directory, "held_keys", tuple)),
        reconnects=sum(path.read_text(errors="replace").count(_RECONNECT_LOG_LINE) for path in _logs(directory)),
        wanted_in_progress=json.loads((directory / "run.json").read_text())["plan"]["in_progress"],
    )


def read_event(document: str) -> LoggedEvent:
    """Read an event's document."""
    event = json.loads(document)
    _, _, kind, _ = event["type"].split(".")
    return LoggedEvent(event["subject"], event["sequence"], kind, document, event["data"])


def _in_stream_order(directory: Path) -> Sequence[Arrival]:
    """What was received, as it stood in the stream: a delivery that was lost on its way comes again later."""
    arrivals = _read(directory, "witnessed", lambda line: Arrival(*line))
    return sorted(arrivals, key=lambda arrival: (arrival.stream_created_at, arrival.sequence))


def _operation(line: dict[str, Any]) -> Operation:
    seen = tuple(SeenTask(*task) for task in line.pop("seen"))
    return Operation(outcome=Outcome(line.pop("outcome")), marks=tuple(line.pop("marks")), seen=seen, **line)


def _read(directory: Path, name: str, make: Callable[[Any], T]) -> Sequence[T]:
    path = directory / f"{name}.jsonl"
    if not path.exists():
        return []
    with path.open() as file:
        return [make(json.loads(line)) for line in file]


def _logs(directory: Path) -> Iterator[Path]:
    return (directory / "logs").glob("*.log*")
