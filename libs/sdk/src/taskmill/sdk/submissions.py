"""The further tasks that one execution of a handler submits."""

from threading import Lock
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from taskmill.contracts.ids import repeatable_id
from taskmill.contracts.json_text import as_request_error
from taskmill.contracts.limits import (
    MAX_PAYLOAD_BYTES,
    MAX_SUBMISSION_KEY_CHARS,
    MAX_SUBMITTED_BYTES,
    MAX_SUBMITTED_TASKS,
)
from taskmill.contracts.requests import IdentifiedTask
from taskmill.sdk.errors import TooManySubmissionsError
from taskmill.sdk.plain_json import plain_json


class Submissions:
    """Makes tasks out of what a handler says, each once. Thread-safe.

    Args:
        task_id: The task that submits.
        run: Its run: another one submits other tasks.
        is_resumed: Whether the execution goes on from a checkpoint.
    """

    def __init__(self, task_id: UUID, run: int, *, is_resumed: bool) -> None:
        self._task_id = task_id
        self._run = run
        self._needs_key = is_resumed
        self._unnamed = 0
        self._bytes = 0
        self._ids: set[UUID] = set()
        self._lock = Lock()

    def note_checkpoint(self) -> None:
        """The handler leaves a checkpoint: from now on it has to name what it submits.

        Raises:
            ValueError: It has submitted a task without a key.
        """
        with self._lock:
            if self._unnamed:
                raise ValueError(f"a task was submitted without a key. {_WHY_A_KEY}")
            self._needs_key = True

    def add(self, fields: dict[str, Any], key: str | None) -> tuple[UUID, IdentifiedTask | None]:
        """Take in a task.

        Args:
            fields: What a `NewTask` holds.
            key: Its name within the run; None: it is counted.

        Returns:
            Its id, and the task itself; None: this execution has submitted it before.

        Raises:
            ValueError: A field, or the key, is not what it must be; or a key is needed.
            TooManySubmissionsError: The execution has submitted as much as it may.
        """
        if key is not None and not 1 <= len(key) <= MAX_SUBMISSION_KEY_CHARS:
            raise ValueError(f"the key of a task has 1 to {MAX_SUBMISSION_KEY_CHARS} characters")
        fields = {**fields, "payload": plain_json("the payload", fields["payload"], MAX_PAYLOAD_BYTES)}
        with self._lock:
            if key is None and self._needs_key:
                raise ValueError(f"a task needs a key here. {_WHY_A_KEY}")
            name = f"key {key}" if key is not None else f"number {self._unnamed + 1}"
            task_id = submission_id(self._task_id, self._run, name)
            task = _new_task({**fields, "id": task_id})
            if task_id in self._ids:
                return task_id, None
            size = len(task.model_dump_json())
            if len(self._ids) >= MAX_SUBMITTED_TASKS or self._bytes + size > MAX_SUBMITTED_BYTES:
                raise TooManySubmissionsError
            self._ids.add(task_id)
            self._bytes += size
            self._unnamed += key is None
        return task_id, task


_WHY_A_KEY = (
    "An execution that goes on from a checkpoint does not make all calls again, so they cannot be counted: "
    "a handler that leaves checkpoints gives a key with each task."
)


def submission_id(task_id: UUID, run: int, name: str) -> UUID:
    """The id of a task that a run submits.

    Its time is that of the submitting task, so that every execution of the run comes to the same id.
    """
    return repeatable_id(task_id.int >> 80, f"{task_id} {run} {name}")


def _new_task(fields: dict[str, Any]) -> IdentifiedTask:
    try:
        return IdentifiedTask.model_validate(fields)
    except ValidationError as error:
        problems = as_request_error(error).errors
        reason = "; ".join(f"{problem.pointer[1:]}: {problem.detail}" for problem in problems)
        raise ValueError(f"there can be no such task. {reason}") from error
