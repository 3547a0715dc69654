"""What can keep a drill from its end; each message is meant for a person at a terminal."""

from taskmill.cli.errors import StackError


class GatewayAwayError(StackError):
    """The gateway did not answer a request in time, or could not carry it out."""

    def __init__(self, url: str) -> None:
        super().__init__(f"the gateway at {url} could not carry out a request before the time was over")


class RequestRefusedError(StackError):
    """The gateway refused a request, which is not a matter of time."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"the gateway refused a request with {status}: {body[:500]}")


class BrokerAwayError(StackError):
    """NATS cannot be reached, or has no JetStream to tell of."""

    def __init__(self, url: str) -> None:
        super().__init__(f"nats-server at {url} did not say what JetStream holds")


class StreamsNotBackError(StackError):
    """The task store did not make its streams anew in time."""

    def __init__(self) -> None:
        super().__init__("JetStream was deleted, and its streams were not made anew before the time was over")


class NoWorkUnderWayError(StackError):
    """Tasks of the drill were never in progress while others were queued, nor all of them in progress at once."""

    def __init__(self, counts: str) -> None:
        super().__init__(
            f"nothing was deleted, for too little of the drill's work was under way at once ({counts}): it takes a "
            "processor that serves the queue `default` and has slots free; with more --tasks, work is under way longer"
        )
