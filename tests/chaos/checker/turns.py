"""Whether a limit held, by what handlers did, and how far it was used, by the log."""

from collections.abc import Iterable, Iterator, Mapping
from math import inf

from tests.chaos.checker.history import LIMIT, LIMITED_KIND, Effect, History

_FREES = {"completed", "failed", "cancelled", "scheduled", "deleted"}


def no_more_at_once_than_the_limit(history: History) -> Iterator[str]:
    """Never do more executions of the limited kind go on than may: by the ledger, from begin to end.

    What was given up, and goes on unheard, counts until the task is begun again or has ended: a processor that was
    suspended or cut off is excused. So is what begins when its task has ended: its work item came again, for it was
    acknowledged too late. What a kill has ended counts until the log says that the task goes on.
    """
    moments = sorted((at, change, task_id) for at, change, task_id in _moments(history))
    at_once = 0
    for at, change, task_id in moments:
        at_once += change
        if change > 0 and at_once > LIMIT:
            yield f"task {task_id} began at {at:.3f} as number {at_once} of at most {LIMIT}"


def limit_use(history: History) -> Mapping[str, float]:
    """How many executions there were at once at most, and how far the limit was used.

    `used` is the part of its slots that was taken, over all the time in which there was work for all of them. Those of
    what was killed are taken until it is done again.
    """
    most = at_once = 0
    for _, change, _ in sorted(_moments(history)):
        at_once += change
        most = max(most, at_once)
    seconds, slot_seconds = _use(history)
    used = slot_seconds / seconds / LIMIT if seconds else 0
    return {"most_at_once": most, "seconds_with_work": round(seconds, 1), "used": round(used, 4)}


def _moments(history: History) -> Iterable[tuple[float, int, str]]:
    ended = {effect.execution: effect.at for effect in history.effects if effect.phase == "end"}
    by_task: dict[str, list[Effect]] = {}
    for effects in history.begun.values():
        for effect in effects:
            by_task.setdefault(effect.task_id, []).append(effect)
    for task_id, events in history.log_by_task.items():
        if events[0].data["kind"] != LIMITED_KIND:
            continue
        executions = sorted(by_task.get(task_id, ()), key=lambda effect: effect.at)
        frees = [event.at for event in events if event.type in _FREES]
        queued = [event.at for event in events if event.type == "queued"]
        for number, effect in enumerate(executions):
            if _last(frees, effect.at) > _last(queued, effect.at):
                continue
            following = executions[number + 1].at if number + 1 < len(executions) else inf
            told = min((at for at in frees if at > effect.at), default=inf)
            end = min(ended.get(effect.execution, inf), told, following)
            yield effect.at, 1, task_id
            if end < inf:
                yield end, -1, task_id


def _last(moments: Iterable[float], before: float) -> float:
    """The newest of some moments before another one; 0: there is none."""
    return max((at for at in moments if at < before), default=0.0)


def _use(history: History) -> tuple[float, float]:
    """For how long there was work for all slots, and for how long of that each was taken, in sum."""
    wanting: set[str] = set()
    taken: set[str] = set()
    seconds = slot_seconds = before = 0.0
    for event in history.log:
        if event.data["kind"] != LIMITED_KIND:
            continue
        if len(wanting) >= LIMIT:
            seconds += event.at - before
            slot_seconds += (event.at - before) * len(taken)
        before = event.at
        if event.type in _FREES:
            taken.discard(event.task_id)
            wanting.discard(event.task_id)
        if event.type == "queued":
            taken.add(event.task_id)
        if event.data.get("reason") == "turn":
            wanting.add(event.task_id)
    return seconds, slot_seconds
