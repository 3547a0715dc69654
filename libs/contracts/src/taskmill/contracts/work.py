"""The work item: the message that asks a processor for one attempt."""

from typing import Annotated
from uuid import UUID

from pydantic import Field, JsonValue

from taskmill.contracts.limits import MAX_NUMBER
from taskmill.contracts.status import Priority
from taskmill.contracts.tasks import Kind, Labels, Queue, TimeoutSeconds, Title, WireModel


class WorkItem(WireModel):
    """One attempt that somebody should execute. It carries the payload: a processor needs no look-up.

    A report on it repeats `attempt` and `dispatch`, together with JetStream's delivery count: the fence that makes
    reports of stale executions harmless.
    """

    task_id: UUID
    run: Annotated[int, Field(ge=1, le=MAX_NUMBER)]
    attempt: Annotated[int, Field(ge=1, le=MAX_NUMBER)]
    dispatch: Annotated[int, Field(ge=1, le=MAX_NUMBER, description="Number of this publication of the task's work.")]
    attempt_limit: Annotated[
        int, Field(ge=1, le=MAX_NUMBER, description="The last attempt that the run may come to.")
    ] = 1
    first_attempt: Annotated[
        int,
        Field(
            ge=0,
            le=MAX_NUMBER,
            description="The first attempt of the run, when neither the task nor anything that was known of its kind "
            "says how many there are: what the handler declares holds then. 0: `attempt_limit` holds.",
        ),
    ] = 0
    crashes: Annotated[
        int, Field(ge=0, le=MAX_NUMBER, description="How many processors died over this attempt, as far as is known.")
    ] = 0
    timeout_seconds: TimeoutSeconds = None
    title: Title
    kind: Kind
    queue: Queue
    priority: Priority
    labels: Labels = {}
    # The store checked it when the task was created; to check it again for every delivery would double the reading.
    payload: Annotated[JsonValue, Field(description="The input of the handler.")] = None
    checkpoint: Annotated[
        JsonValue, Field(description="The newest that an earlier execution of the run left; null: none did.")
    ] = None
