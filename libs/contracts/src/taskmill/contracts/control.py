"""Control messages: what the task store wants processors to do at once. Core NATS: any may be lost, or come twice."""

from typing import Annotated

from pydantic import Field

from taskmill.contracts.tasks import WireModel


class CancelAttempt(WireModel):
    """Stop the handler of the task that the subject names, if it is at this attempt.

    A message that comes late must not stop what a later run has begun: hence the number.
    """

    attempt: Annotated[int, Field(ge=1)]
