"""The users of NATS, and what each may do: the same for `taskmill up` and for docker-compose.yml."""

from collections.abc import Iterable
from dataclasses import dataclass

from taskmill.contracts import registry, subjects
from taskmill.contracts.streams import EVENTS_STREAM

SERVICES_USER = "taskmill"
READER = "reader"
READER_INBOXES = f"_INBOX.{READER}.>"

OPEN_PASSWORD = "reader"  # noqa: S105 (for a server that lets everybody do everything)
"""The reader's password as long as none is chosen."""

PASSWORD_PATTERN = r"^[A-Za-z][A-Za-z0-9_.-]*$"  # noqa: S105
"""What stands unquoted in the server's configuration, and in a URL."""

_JETSTREAM_OF_EVENTS = (
    *("STREAM.INFO.{}", "STREAM.MSG.GET.{}", "DIRECT.GET.{}", "DIRECT.GET.{}.>"),
    *("CONSUMER.CREATE.{}", "CONSUMER.CREATE.{}.>", "CONSUMER.DURABLE.CREATE.{}.>", "CONSUMER.DELETE.{}.>"),
    *("CONSUMER.INFO.{}.>", "CONSUMER.NAMES.{}", "CONSUMER.LIST.{}", "CONSUMER.MSG.NEXT.{}.>"),
)

READER_PUBLISHES = (
    registry.READ_LOG.subject,
    *("$JS.API.INFO", "$JS.API.STREAM.NAMES"),
    *(f"$JS.API.{operation.format(EVENTS_STREAM)}" for operation in _JETSTREAM_OF_EVENTS),
    *(f"$JS.ACK.{EVENTS_STREAM}.>", f"$JS.FC.{EVENTS_STREAM}.>"),
)
"""All that the reader may publish: questions to the log and to JetStream about TASK_EVENTS, and acks of its events."""

READER_SUBSCRIBES = (subjects.EVENT_SUBJECTS, subjects.REPLAY_SUBJECTS, READER_INBOXES)


@dataclass(frozen=True, slots=True)
class NatsUsers:
    """Who may connect.

    Attributes:
        password: Of the user who may do everything; None: whoever brings no credentials is that user.
        reader_password: Of the user who may only read events.
    """

    password: str | None = None
    reader_password: str = OPEN_PASSWORD

    @property
    def credentials(self) -> str:
        """What stands in the URL of somebody who may do everything, before the host; empty: nothing need."""
        return "" if self.password is None else f"{SERVICES_USER}:{self.password}@"

    def configuration(self) -> str:
        """The part of nats-server's configuration that makes them."""
        text = authorization(f'"{self.password or SERVICES_USER}"', f'"{self.reader_password}"')
        return text if self.password is not None else text + f"\nno_auth_user: {SERVICES_USER}\n"


def authorization(password: str, reader_password: str) -> str:
    """The block `authorization` of nats-server's configuration.

    Args:
        password: Of the user who may do everything, as it stands there: quoted, or the name of a variable.
        reader_password: Of the user who may only read events, alike.
    """
    publishes, subscribes = _lines(READER_PUBLISHES), _lines(READER_SUBSCRIBES)
    return f"""\
authorization {{
  users: [
    {{ user: {SERVICES_USER}, password: {password} }}
    {{
      user: {READER}, password: {reader_password}
      permissions: {{
        publish: [{publishes}
        ]
        subscribe: [{subscribes}
        ]
      }}
    }}
  ]
}}
"""


def _lines(allowed: Iterable[str]) -> str:
    return "".join(f'\n          "{subject}"' for subject in allowed)
