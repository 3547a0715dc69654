"""What can go wrong in what every service needs to run. What a client is told of stands in `taskmill.contracts.errors`.

Exception
├── SettingsError        settings are missing or wrong
├── StartError           a service cannot start
│   └── RestartError     a service has to be started anew
├── JetStreamError       JetStream refused a request
├── LaterEpochError      a stream belongs to a later epoch of the log than this process knows
├── NoRespondersError    nobody is there to answer a request
└── BatchRefusedError    a batch holds a message that cannot be applied
"""


class SettingsError(Exception):
    """Settings are missing or wrong. The text has one line for each, which names the variable but not its value."""


class StartError(Exception):
    """A service cannot start. The text says why, for the operator; no traceback is needed to understand it."""


class RestartError(StartError):
    """What a service started with is no longer so: it ends, to be started anew."""


class LaterEpochError(Exception):
    """A stream belongs to a later epoch of the log than this process knows."""

    def __init__(self, stream: str, epoch: int) -> None:
        super().__init__(f"{stream} belongs to epoch {epoch} of the log, which has begun meanwhile")


class JetStreamError(Exception):
    """JetStream refused a request.

    Attributes:
        error_code: The server's number for what is wrong (`err_code`), such as 10059: no such stream.
        description: What the server says of it.
    """

    def __init__(self, error_code: int, description: str) -> None:
        super().__init__(f"JetStream: {description} ({error_code})")
        self.error_code = error_code
        self.description = description


class NoRoomForStreamError(JetStreamError):
    """JetStream may not store as much as a stream reserves."""

    def __init__(self, refusal: JetStreamError, stream: str, reserved_bytes: int) -> None:
        super().__init__(refusal.error_code, f"{refusal.description}: {stream} reserves {reserved_bytes} bytes")
        self.stream = stream
        self.reserved_bytes = reserved_bytes


class NoRespondersError(Exception):
    """Nobody is subscribed to the subject of a request."""


class BatchRefusedError(Exception):
    """A handler could not apply a batch because of what one of its messages holds; nothing was applied."""
