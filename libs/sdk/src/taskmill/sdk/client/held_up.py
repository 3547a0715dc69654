"""Why a task does not move, when somebody has to do something about it."""

from taskmill.contracts.tasks import TaskSummary, WaitReason


def held_up_because(task: TaskSummary) -> str | None:
    """What holds a task up, as half a sentence for people; None: nothing but its turn or its time."""
    match task.waiting_for and task.waiting_for.reason:
        case WaitReason.PROCESSOR:
            return f"no processor serves the queue {task.queue}"
        case WaitReason.KIND:
            return f"no processor of the queue {task.queue} has a handler for the kind {task.kind}"
        case WaitReason.RESUME:
            return f"the queue {task.queue} is paused"
    return None
