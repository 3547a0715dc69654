"""What must hold after a run: all that the checker of the fault harness knows, and what only a simulation can see."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from uuid import UUID

import orjson

from taskmill.contracts.status import TaskStatus
from taskmill.processor.domain.held_attempt import ReportKey
from taskmill.task_store.domain.state import TaskState
from tests.chaos.checker import explained
from tests.chaos.checker.history import Effect, History, LoggedEvent
from tests.chaos.checker.verdict import INVARIANTS
from tests.simulation.simulation import Simulation

MAX_VIOLATIONS_OF_EACH = 3


def the_stream_holds_the_log(simulation: Simulation, _: History) -> Iterator[str]:
    """Whatever was lost of TASK_EVENTS, in the end it holds every event, once and in the order of the log."""
    held = [(event.task_id, event.version) for event in simulation.broker.events.events]
    logged = [(event.task_id, event.version) for event in simulation.database.log]
    if held != logged:
        yield f"TASK_EVENTS holds {len(held)} of {len(logged)} events, or in another order"


def waiting_tasks_are_counted(simulation: Simulation, _: History) -> Iterator[str]:
    """What a queue says of how many tasks wait in it is so."""
    waiting = {TaskStatus.QUEUED, TaskStatus.SCHEDULED}
    for name, counted in simulation.database.waiting.items():
        tasks = [task for task in simulation.database.tasks.values() if task.queue == name and task.status in waiting]
        if counted != len(tasks):
            yield f"queue {name}: {counted} tasks are said to wait, {len(tasks)} do"


def attempts_end_with_their_run(simulation: Simulation, _: History) -> Iterator[str]:
    """Once a run is over, each of its attempts that was queued says how it ended."""
    for (task_id, number), attempt in simulation.database.attempts.items():
        task = simulation.database.tasks.get(task_id)
        if task is not None and not task.is_run_active and attempt.outcome is None:
            yield f"task {task_id}: attempt {number} has no outcome"


def only_poison_fails(_: Simulation, history: History) -> Iterator[str]:
    """A task fails only for what its handler does, unless so much goes wrong that it looks like a crash loop."""
    names = [fault.name for fault in history.faults]
    # A slow task is on probation for a while only, so that poison may take it down more than once.
    if "bad weather" in names or len(names) - names.count("poison") > ("poison" not in names):
        return
    # To fail is final for who is to be cancelled, though the kind completes at its last attempt.
    too_late = {event.task_id for event in history.log if event.data.get("cancellation") == "too_late"}
    rows = {task_id: row for task_id, row in history.rows.items() if task_id not in too_late}
    yield from explained.only_poison_fails(replace(history, rows=rows))


def no_finished_work_is_done_again(simulation: Simulation, history: History) -> Iterator[str]:
    """Work whose end is in the stream of reports is never taken for lost, as long as the streams lose nothing.

    But when NATS forgot that it delivered the work, and two processors did it under the same numbers, the end of one
    does not count whose submitted tasks came too late to do so.
    """
    if {"bad weather", "broker wiped", "broker's end lost"} & {fault.name for fault in history.faults}:
        return
    for task_id, events in history.log_by_task.items():
        delivery = 0
        for event in events:
            if event.type == "queued" and event.data["reason"] == "lost":
                execution = UUID(task_id), event.attempt, event.data["dispatch"] - 1
                is_disputed = any(fence[:3] == execution for fence in _disputed_fences(simulation, UUID(task_id)))
                if _is_ended(simulation, execution, delivery, _decided_at(event)) and not is_disputed:
                    yield f"task {task_id}: attempt {event.attempt} was queued again although its end was reported"
            if event.type == "started":
                delivery = event.data["delivery"]
            elif event.type == "queued":
                delivery = 0


def _disputed_fences(simulation: Simulation, task_id: UUID) -> list[ReportKey]:
    """The three numbers under which several processors executed a task: for NATS forgot that it delivered the work."""
    executed = simulation.world.executed.items()
    return [fence for fence, processors in executed if fence.task_id == task_id and len(processors) > 1]


def _is_ended(simulation: Simulation, execution: tuple[UUID, int, int], delivery: int, at: datetime) -> bool:
    """Whether the end of an attempt was reported before, by an execution that counts."""
    return any(
        fence[:3] == execution and fence.delivery >= delivery and stored_at < at
        for fence, stored_at in simulation.world.stored_endings.items()
    )


def starts_never_go_back(_: Simulation, history: History) -> Iterator[str]:
    """Of one work item, only a later delivery takes the attempt over, or the same one elsewhere."""
    for task_id, events in history.log_by_task.items():
        newest = (0, 0)
        for event in events:
            if event.type == "started":
                fence = event.data["dispatch"], event.data["delivery"]
                if fence < newest:
                    yield f"task {task_id}: version {event.version} starts {fence} after {newest}"
                newest = max(newest, fence)


def lines_are_kept_as_they_were_told(simulation: Simulation, history: History) -> Iterator[str]:
    """A task has the lines that its events tell: each once, and those of an execution in its order."""
    for task_id, events in history.log_by_task.items():
        lines = [line for event in events if event.type == "logged" for line in event.data["lines"]]
        newest: dict[str, int] = {}
        for execution, number in (line["text"].split() for line in lines):
            if int(number) <= newest.get(execution, 0):
                yield f"task {task_id}: line {number} of {execution} is told after line {newest[execution]}"
            newest[execution] = int(number)
        kept = [(line.position, line.text) for line in simulation.database.lines.get(UUID(task_id), ())]
        if UUID(task_id) in simulation.database.tasks and kept != [(line["position"], line["text"]) for line in lines]:
            yield f"task {task_id}: {len(kept)} lines are kept of the {len(lines)} that were told, or others"


def no_line_is_overtaken(simulation: Simulation, history: History) -> Iterator[str]:
    """Once the end of an execution counts, each line that it wrote was told, as long as no stream loses any.

    But when NATS forgot that it delivered the work, it may be done twice under the same numbers. What a processor
    writes the second time comes again, as it seems; and nobody knows which of two processors has overtaken its start.
    And what comes when its execution goes on under another fence does not count, and cannot be told again: for all
    that its processor knows it was taken in.
    """
    if {"broker wiped", "broker's end lost"} & {fault.name for fault in history.faults}:
        return
    begun = Counter((it.task_id, it.attempt, it.processor_id) for it in history.executions.values())
    for task in simulation.database.tasks.values():
        execution = (orjson.loads(task.result or "null") or {}).get("execution")
        if execution is None:
            continue
        by = history.executions[execution]
        written = simulation.world.lines.get(execution, set())
        events = history.log_by_task[str(task.id)]
        told = _lines_of(execution, events)
        is_repeated = begun[by.task_id, by.attempt, by.processor_id] > 1
        is_disputed = is_repeated or _has_changed_fence(simulation, by) or bool(_disputed_fences(simulation, task.id))
        if written != told and not is_disputed:
            yield f"task {task.id}: {len(told)} of the {len(written)} lines of {execution} are told"


def _has_changed_fence(simulation: Simulation, by: Effect) -> bool:
    """Whether a processor reported of an attempt under several fences."""
    executed = simulation.world.executed.items()
    fences = [fence for fence, processors in executed if by.processor_id in processors]
    return sum((str(fence.task_id), fence.attempt) == (by.task_id, by.attempt) for fence in fences) > 1


def _lines_of(execution: str, events: Sequence[LoggedEvent]) -> set[int]:
    """The numbers of its lines that were told."""
    lines = [line["text"].split() for event in events if event.type == "logged" for line in event.data["lines"]]
    return {int(number) for name, number in lines if name == execution}


def what_was_submitted_exists(simulation: Simulation, history: History) -> Iterator[str]:
    """Once the end of an execution counts, so does each task that it submitted; and each is made once."""
    made = Counter(event.task_id for event in history.log if event.type == "created")
    for execution, task_ids in simulation.world.submitted.items():
        by = simulation.database.tasks.get(UUID(history.executions[execution].task_id))
        is_last = by is not None and orjson.loads(by.result or "null") == {"execution": execution}
        for task_id in map(str, task_ids):
            if made[task_id] > 1 or (is_last and not made[task_id]):
                yield f"task {task_id}, which {execution} submitted, was made {made[task_id]} times"


def checkpoints_are_of_their_run(simulation: Simulation, history: History) -> Iterator[str]:
    """A run goes on from what one of its executions left, and a completed task keeps nothing."""
    for task in simulation.database.tasks.values():
        execution = orjson.loads(task.checkpoint or "null")
        if execution is not None and task.status is TaskStatus.COMPLETED:
            yield f"task {task.id} is completed, and has a checkpoint"
        if execution is not None and not _is_of(history.executions[execution], task):
            yield f"task {task.id} has a checkpoint of {execution}"


def _is_of(execution: Effect, task: TaskState) -> bool:
    return (execution.task_id, execution.run) == (str(task.id), task.run)


def _decided_at(event: LoggedEvent) -> datetime:
    return datetime.fromisoformat(orjson.loads(event.document)["time"])


SIMULATED_INVARIANTS = (
    the_stream_holds_the_log,
    waiting_tasks_are_counted,
    attempts_end_with_their_run,
    only_poison_fails,
    no_finished_work_is_done_again,
    starts_never_go_back,
    lines_are_kept_as_they_were_told,
    no_line_is_overtaken,
    what_was_submitted_exists,
    checkpoints_are_of_their_run,
)
# What a fault explains is told by the names and the times of the faults of the real system.
_OF_REAL_FAULTS = {
    explained.only_poison_fails,
    explained.no_second_execution_without_a_fault,
    explained.no_work_lost_without_a_fault,
}
SHARED_INVARIANTS = tuple(invariant for invariant in INVARIANTS if invariant not in _OF_REAL_FAULTS)


def violations(simulation: Simulation, history: History) -> Mapping[str, list[str]]:
    """What does not hold, by the name of the invariant."""
    found = {invariant.__name__: invariant(history) for invariant in SHARED_INVARIANTS}
    found |= {invariant.__name__: invariant(simulation, history) for invariant in SIMULATED_INVARIANTS}
    listed = {name: list(islice(told, MAX_VIOLATIONS_OF_EACH)) for name, told in found.items()}
    return {name: told for name, told in listed.items() if told}
