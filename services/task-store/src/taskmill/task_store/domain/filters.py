"""Whether a task meets a filter. Lists say the same in SQL, and a test holds the two together."""

import orjson

from taskmill.contracts.requests import TaskFilter
from taskmill.task_store.domain.state import TaskState


def meets(task: TaskState, wanted: TaskFilter) -> bool:
    """Whether a task meets every condition that is given."""
    return (
        (not wanted.status or task.status in wanted.status)
        and (wanted.title is None or wanted.title.lower() in task.title.lower())
        and wanted.kind in {None, task.kind}
        and wanted.queue in {None, task.queue}
        and wanted.priority in {None, task.priority}
        and wanted.concurrency_key in {None, task.concurrency_key}
        and wanted.schedule_id in {None, task.schedule_id}
        and wanted.unique_key in {None, task.unique_key}
        and wanted.group_id in {None, task.group_id}
        and (wanted.created_after is None or task.created_at >= wanted.created_after)
        and (wanted.created_before is None or task.created_at < wanted.created_before)
        and _has_labels(task, wanted.labels)
    )


def _has_labels(task: TaskState, wanted: dict[str, str | None]) -> bool:
    labels: dict[str, str] = orjson.loads(task.labels) if wanted else {}
    return all(key in labels and value in {None, labels[key]} for key, value in wanted.items())
