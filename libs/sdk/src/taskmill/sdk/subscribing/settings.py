"""What may be set of a subscriber."""

from typing import Annotated

from pydantic import Field

from taskmill.runtime.settings import NatsSettings


class SubscriberSettings(NatsSettings):
    """Settings of a subscriber: where NATS is, as whom it comes there, and how much may wait.

    The user with the right to read only is named in the URL: `nats://reader:<password>@127.0.0.1:4222`.
    """

    subscriber_waiting_events: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000,
            description="How many events may wait in a subscriber that is slower than what happens. What comes beyond "
            "is read from the log later.",
        ),
    ] = 10_000
    subscriber_waiting_bytes: Annotated[
        int,
        Field(
            ge=1024 * 1024,
            description="How large the events that wait in a subscriber may be together. What comes beyond is read "
            "from the log later.",
        ),
    ] = 64 * 1024 * 1024
