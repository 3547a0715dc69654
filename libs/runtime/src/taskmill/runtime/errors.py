"""What can go wrong in what every service needs to run. What a client is told of stands in `taskmill.contracts.errors`.

Exception
├── SettingsError        settings are missing or wrong
├── StartError           a service cannot start
├── JetStreamError       JetStream refused a request
├── NoRespondersError    nobody is there to answer a request
└── BatchRefusedError    a batch holds a message that cannot be applied
"""


class SettingsError(Exception):
    """Settings are missing or wrong. The text has one line for each, which names the variable but not its value."""


class StartError(Exception):
    """A service cannot start. The text says why, for the operator; no traceback is needed to understand it."""


class JetStreamError(Exception):
    """JetStream refused a request.

    Attributes:
        error_code: The server's number for what is wrong (`err_code`), such as 10059: no such stream.
    """

    def __init__(self, error_code: int, description: str) -> None:
        super().__init__(f"JetStream: {description} ({error_code})")
        self.error_code = error_code


class NoRespondersError(Exception):
    """Nobody is subscribed to the subject of a request."""


class BatchRefusedError(Exception):
    """A handler could not apply a batch because of what one of its messages holds; nothing was applied."""
