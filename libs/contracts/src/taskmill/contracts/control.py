"""Control messages: what the task store wants processors to do at once. Core NATS: any may be lost, or come twice."""

from typing import Annotated

from pydantic import Field

from taskmill.contracts.tasks import Queue, WireModel


class CancelAttempt(WireModel):
    """Stop the handler of the task that the subject names, if it is at this attempt.

    A message that comes late must not stop what a later run has begun: hence the number.
    """

    attempt: Annotated[int, Field(ge=1)]


class Drain(WireModel):
    """Drain, and end, as at SIGTERM. Answered with an empty message by the processor that the subject names."""


class QueuesPaused(WireModel):
    """Begin nothing of these queues that is here and not begun: give it back.

    Work is not delivered while a queue is paused. This is for what was delivered before, and waits for its turn.
    """

    queues: Annotated[list[Queue], Field(min_length=1, description="All queues that are paused.")]
