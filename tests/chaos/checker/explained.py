"""Invariants of what may happen only because of a fault: a system that heals itself must not hide its own mistakes."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from tests.chaos.checker.history import PAUSED_QUEUE, Effect, FaultWindow, History, Outcome

RECOVERY_SECONDS = 10
"""So long after its end a fault may still be the reason: ack wait, lease, reconciler."""

_NATS_FAULTS = {"nats_killed", "jetstream_deleted", "nats_disk_full"}
_EVERY_PROCESSOR = {"poison", "processor_restarted"}
_GOES_ON_UNHEARD = {"processors_suspended", "zombies"}
_PROCESSOR_EDGE = "processor-nats"


def no_second_execution_without_a_fault(history: History) -> Iterator[str]:
    """An attempt is executed twice only where a fault explains it: "at least once" is no excuse."""
    for (task_id, attempt), executions in history.begun.items():
        first, last = executions[0].at, executions[-1].at
        if len(executions) > 1 and not any(
            _overlaps(fault, first, last) and _repeats(fault, executions) for fault in history.fault_windows
        ):
            yield f"task {task_id}: attempt {attempt} was executed {len(executions)} times without a fault"


def no_work_lost_without_a_fault(history: History) -> Iterator[str]:
    """A work item has to be replaced only where a fault may have taken it: a processor or a store dies without loss."""
    for task_id, events in history.log_by_task.items():
        dispatched_at = 0.0
        for event in events:
            if event.type != "queued":
                continue
            if event.data["reason"] == "lost" and not any(
                _overlaps(fault, dispatched_at, event.at) and _loses_work(fault) for fault in history.fault_windows
            ):
                yield f"task {task_id}: dispatch {event.data['dispatch']} replaces work that no fault has taken"
            dispatched_at = event.at


def only_poison_fails(history: History) -> Iterator[str]:
    """A task fails only for what its handler does, under the code that belongs to it; its neighbours complete.

    But for one: whoever is at work when processors die three times is failed as well. Poison may be the reason twice.
    """
    for task_id, row in history.rows.items():
        expected = row["labels"].get("fails_with")
        code = row["error"]["code"] if row["status"] == "failed" else None
        if code == "crash_loop" != expected and _inflicted_crashes(history, task_id, int(row["attempt"])) >= 1:
            continue
        if code not in {None, expected} or (row["status"] == "completed" and expected is not None):
            yield f"task {task_id} ({row['kind']}) is {row['status']} with {code}, expected: {expected}"


def nothing_begins_while_paused(history: History) -> Iterator[str]:
    """From a second after the answer on, until somebody asks to resume; but for processors that hear nothing."""
    paused_at: float | None = None
    for operation in history.operations:
        if operation.verb == "pause" and operation.outcome is Outcome.OK:
            paused_at = operation.at + 1
        elif operation.verb == "resume" and paused_at is not None:
            for effect in history.effects:
                is_meant = effect.phase == "begin" and history.queue_of(effect.task_id) == PAUSED_QUEUE
                if is_meant and paused_at < effect.at < operation.at and not _is_unheard(history, effect.at):
                    yield f"task {effect.task_id} began {effect.at - paused_at + 1:.1f} s after the pause"
            paused_at = None


def _is_unheard(history: History, at: float) -> bool:
    return any(
        _overlaps(fault, at, at) and (fault.name in _GOES_ON_UNHEARD or fault.target == _PROCESSOR_EDGE)
        for fault in history.fault_windows
    )


def _inflicted_crashes(history: History, task_id: str, attempt: int) -> int:
    """How many executions of an attempt a fault other than poison broke off."""
    faults = [fault for fault in history.faults if fault.name != "poison"]
    return sum(
        any(f.started_at <= next_one.at and f.ended_at >= broken.at and _repeats(f, [broken]) for f in faults)
        for broken, next_one in pairwise(history.begun[task_id, attempt])
    )


def _overlaps(fault: FaultWindow, first: float, last: float) -> bool:
    return fault.started_at <= last and fault.ended_at + RECOVERY_SECONDS >= first


def _repeats(fault: FaultWindow, executions: Sequence[Effect]) -> bool:
    """Whether a fault may have had an attempt executed again: it hit one of its processors, or what feeds them all.

    Stores, PostgreSQL and gateways may die as they like: a processor goes on with what it has.
    """
    if fault.missed is not None or fault.name in _EVERY_PROCESSOR or _reaches_nats(fault):
        return True
    return any(effect.processor_id.rpartition("-")[0] == fault.target for effect in executions)


def _loses_work(fault: FaultWindow) -> bool:
    """Whether a fault may lose a work item: with JetStream's data, or by the late ack of a processor long given up."""
    return fault.missed is not None or fault.name in _GOES_ON_UNHEARD or _reaches_nats(fault)


def _reaches_nats(fault: FaultWindow) -> bool:
    return fault.name in _NATS_FAULTS or fault.target == _PROCESSOR_EDGE
