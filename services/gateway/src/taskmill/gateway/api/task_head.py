"""What the gateway reads of a task that it hands on."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from taskmill.contracts.status import ENDED, TaskStatus
from taskmill.runtime.reply import Reply


class TaskHead(BaseModel):
    """The fields that the gateway needs."""

    id: UUID
    status: TaskStatus
    revision: Annotated[int, Field(ge=1)]

    @property
    def is_ended(self) -> bool:
        """Whether the task is completed, failed or cancelled."""
        return self.status in ENDED


def task_head(reply: Reply) -> TaskHead:
    """The head of the `Task` that a reply is."""
    return TaskHead.model_validate_json(reply.body)
