"""Following what happens to tasks, without a gap: `Subscriber`.

    from taskmill.sdk.subscribing import Subscriber

    async with Subscriber(name="billing") as subscriber:
        async for event in subscriber.events(after=position):
            ...

Apart from `taskmill.sdk`, which needs no NATS: whoever only writes handlers does not load it.
"""

from taskmill.sdk.errors import AccessRefusedError, EventsGoneError, GapError, LogSetBackError, TaskEventsGoneError
from taskmill.sdk.event import Event
from taskmill.sdk.subscribing.settings import SubscriberSettings
from taskmill.sdk.subscribing.subscriber import Subscriber
from taskmill.sdk.subscribing.wanted import Wanted

__all__ = [
    "AccessRefusedError",
    "Event",
    "EventsGoneError",
    "GapError",
    "LogSetBackError",
    "Subscriber",
    "SubscriberSettings",
    "TaskEventsGoneError",
    "Wanted",
]
