"""What a run left behind, as plain values: the checker reads nothing else."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple


class Outcome(StrEnum):
    """What is known of a request: Jepsen's four. A timeout is `info`, never `fail`: it may have been carried out."""

    INVOKE = "invoke"
    OK = "ok"
    FAIL = "fail"
    INFO = "info"


PAUSED_QUEUE = "pausable"
"""The queue that the load pauses."""

LIMITED_KIND = "chaos-limited"
LIMIT = 5
"""So many tasks of that kind may be in progress at once."""
DEBOUNCED = "debounced"
"""The label of a task that the load makes with `debounce`."""
AFTER = "after"
"""The label of a task that comes after another one: the id of that."""

SUBMITTED = "-submitted"
"""Ends the mark of a task that a handler submits, behind that of its own task."""


class SeenTask(NamedTuple):
    """A task as an answer showed it."""

    task_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of the load's history: a request was sent, or became known to have an outcome.

    Attributes:
        outcome: What is known.
        client: Who asked; a client does one thing after the other.
        verb: create, create_many, create_group, read, process, cancel or delete.
        key: The Idempotency-Key; None for reads. A deletion takes no notice of it.
        at: Seconds since the epoch.
        marks: On `invoke` of a creation: the label by which each new task is recognised. One mark is sent by one key.
        unique_key: On `invoke` of a creation: the unique key that the new task is to hold.
        task_id: On `invoke` of anything else: the task it is about.
        seen: On `ok`: the tasks that the answer showed.
        http_status: None when nothing was answered.
        problem: The code of the problem that was answered.
        is_problem_sound: Whether an answer of 400 or more was a problem document, and a 503 had Retry-After.
        is_replayed: Whether the answer said that it is the stored one.
    """

    outcome: Outcome
    client: int
    verb: str
    at: float
    key: str | None = None
    marks: tuple[str, ...] = ()
    unique_key: str | None = None
    task_id: str | None = None
    seen: tuple[SeenTask, ...] = ()
    http_status: int | None = None
    problem: str | None = None
    is_problem_sound: bool = True
    is_replayed: bool = False


@dataclass(frozen=True, slots=True)
class FaultWindow:
    """What the nemesis did, from when to when.

    Attributes:
        name: The fault.
        target: What it was inflicted on; empty when it did not happen.
        started_at: Seconds since the epoch.
        ended_at: When it was undone; what follows from it may take longer.
        in_progress: Tasks in progress before it; None: PostgreSQL did not say.
        missed: Why it did not happen; None: it did.
    """

    name: str
    target: str
    started_at: float
    ended_at: float
    in_progress: int | None = None
    missed: str | None = None

    @property
    def is_kill(self) -> bool:
        """Whether it is a `kill -9` of a process at work, by the nemesis or at a failpoint."""
        return self.name.endswith("_killed") or self.name == "jetstream_deleted" or self.name.startswith("failpoint ")


@dataclass(frozen=True, slots=True)
class Effect:
    """One line of the effects ledger: an execution of a handler began, or came to its end."""

    execution: str
    task_id: str
    run: int
    attempt: int
    processor_id: str
    phase: str
    at: float


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event: of the log in PostgreSQL, or as it was received from the bus."""

    task_id: str
    version: int
    type: str
    document: str
    data: Mapping[str, Any]

    @property
    def event_id(self) -> str:
        """What names the event everywhere."""
        return f"{self.task_id}.{self.version}"

    @property
    def run(self) -> int:
        """The run that it belongs to."""
        return int(self.data["run"])

    @property
    def attempt(self) -> int:
        """The attempt that it belongs to."""
        return int(self.data["attempt"])

    @property
    def status(self) -> str:
        """The task's status after it."""
        return str(self.data["status"])

    @property
    def at(self) -> float:
        """When it happened, in seconds since the epoch."""
        return instant(json.loads(self.document)["time"])


@dataclass(frozen=True)
class History:
    """A whole run.

    Attributes:
        operations: The load's history, in the order in which it was written.
        faults: What the nemesis did.
        effects: The effects ledger.
        log: The events in PostgreSQL, in the order of their positions.
        witnessed: What the subscriber received from TASK_EVENTS, duplicates included, in the order of arrival.
        reported: The executions whose `completed` report was seen on its way to TASK_REPORTS.
        rows: The rows of `tasks` in the end, by task id.
        schedules: The rows of `schedules` in the end.
        fires: What is noted of their times.
        held_keys: The tasks that hold unique keys in the end, by key.
        reconnects: How often services wrote in their logs that a connection is back.
        wanted_in_progress: How many tasks were to be in progress at each fault.
    """

    operations: Sequence[Operation] = ()
    faults: Sequence[FaultWindow] = ()
    effects: Sequence[Effect] = ()
    log: Sequence[LoggedEvent] = ()
    witnessed: Sequence[LoggedEvent] = ()
    reported: Sequence[str] = ()
    rows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    schedules: Sequence[Mapping[str, Any]] = ()
    fires: Sequence[Mapping[str, Any]] = ()
    held_keys: Mapping[str, str] = field(default_factory=dict)
    reconnects: int = 0
    wanted_in_progress: int = 0

    @cached_property
    def log_by_task(self) -> Mapping[str, Sequence[LoggedEvent]]:
        """The log of each task."""
        return _by_task(self.log)

    @cached_property
    def begun(self) -> Mapping[tuple[str, int], Sequence[Effect]]:
        """The executions of each (task, attempt), in the order in which they began."""
        found: dict[tuple[str, int], list[Effect]] = defaultdict(list)
        for effect in sorted(self.effects, key=lambda effect: effect.at):
            if effect.phase == "begin":
                found[effect.task_id, effect.attempt].append(effect)
        return found

    @cached_property
    def executions(self) -> Mapping[str, Effect]:
        """Every execution that began, by its name."""
        return {effect.execution: effect for effect in self.effects if effect.phase == "begin"}

    @cached_property
    def fault_windows(self) -> Sequence[FaultWindow]:
        """The faults; poison lasts until all of it has failed."""
        ends = [instant(row["updated_at"]) for row in self.rows.values() if row["labels"].get("fails_with")]
        return [
            replace(fault, ended_at=max(ends)) if fault.name == "poison" and ends else fault for fault in self.faults
        ]

    def queue_of(self, task_id: str) -> str:
        """The queue of a task, as its first event says."""
        return str(self.log_by_task[task_id][0].data["queue"]) if task_id in self.log_by_task else ""

    @cached_property
    def accepted(self) -> Mapping[str, str]:
        """Every task that a 2xx promised, with the key that asked for it."""
        return {
            seen.task_id: operation.key or ""
            for operation in self.operations
            if operation.outcome is Outcome.OK and operation.verb in {"create", "create_many"}
            for seen in operation.seen
        }


def _by_task(events: Sequence[LoggedEvent]) -> Mapping[str, Sequence[LoggedEvent]]:
    found: dict[str, list[LoggedEvent]] = defaultdict(list)
    for event in events:
        found[event.task_id].append(event)
    return found


def instant(text: str) -> float:
    """Read a timestamp of a document or of a row as seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


def mark_of(row: Mapping[str, Any]) -> str | None:
    """The label by which the load recognises a task."""
    mark = row["labels"].get("mark")
    return None if mark is None else str(mark)
