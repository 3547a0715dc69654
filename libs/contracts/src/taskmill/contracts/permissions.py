"""Who may do what on NATS: one user for each service, and those for people.

The configuration of nats-server and the table in docs/operations.md are made from this. NATS checks each subject that
is published to, and each subscription once. Denials would be compared with each delivery, so there are none: what is
not listed is not allowed.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from taskmill.contracts import registry, subjects
from taskmill.contracts.streams import EVENTS_STREAM, REPORTS_STREAM, SET_ASIDE_STREAM, WORK_STREAM

ANYBODYS_INBOXES = "_INBOX.>"
"""Where NATS clients have answers sent unless they are told otherwise: not where those of the services go."""

_DISCOVERY = "$SRV"
_DISCOVERY_VERBS = ("PING", "INFO", "STATS")
_API = "$JS.API"


@dataclass(frozen=True, slots=True)
class NatsUser:
    """A user of NATS.

    Attributes:
        name: Such as `gateway`.
        summary: What it is there for, for people.
        inbox_prefix: What its inboxes begin with; nobody else may hear what comes there.
        publishes: The subjects that it may publish to.
        hears: The subjects that it may subscribe to, beside its inboxes.
    """

    name: str
    summary: str
    inbox_prefix: str
    publishes: tuple[str, ...]
    hears: tuple[str, ...]

    @property
    def inboxes(self) -> str:
        """All its inboxes."""
        return f"{self.inbox_prefix}.>"

    @property
    def subscribes(self) -> tuple[str, ...]:
        """The subjects that it may subscribe to."""
        return (*self.hears, self.inboxes)


def _inbox_prefix(name: str) -> str:
    # Not below `_INBOX`, or whoever may hear the usual inboxes could hear these.
    return f"_INBOX_{name}"


def _inboxes(name: str) -> str:
    return f"{_inbox_prefix(name)}.>"


def _discovery(name: str) -> tuple[str, ...]:
    """What is asked of all services, of those of a name, and of one: see `taskmill.runtime.discovery`."""
    # Not `$SRV.*`: who may subscribe to that may subscribe to `$SRV.>`, which nats-server takes for one of them.
    ends = ("", f".taskmill-{name}", f".taskmill-{name}.*")
    return tuple(f"{_DISCOVERY}.{verb}{end}" for end in ends for verb in _DISCOVERY_VERBS)


def _api(*operations: str) -> tuple[str, ...]:
    return tuple(f"{_API}.{operation}" for operation in operations)


def _commands(commands: Iterable[registry.Command]) -> tuple[str, ...]:
    return tuple(command.subject for command in commands)


PROCESSOR_COMMANDS = (registry.GET_CHECKPOINT, registry.PREPARE_DELIVERY, registry.SWITCH_OFF_WEBHOOK)
"""What processors ask the task store; gateways ask everything else."""

_WHO_ASKS_ANYBODY = (ANYBODYS_INBOXES, _inboxes("operator"))
"""Where those have answers sent who look at the services from outside."""

GATEWAY = NatsUser(
    name="gateway",
    summary="Asks the task store, and hears events. Nothing of JetStream.",
    inbox_prefix=_inbox_prefix("gateway"),
    publishes=(
        *_commands(command for command in registry.COMMANDS if command not in PROCESSOR_COMMANDS),
        *(subjects.bundle(command.subject) for command in registry.BUNDLED),
        *_WHO_ASKS_ANYBODY,
    ),
    hears=(subjects.EVENT_SUBJECTS, *_discovery("gateway")),
)

TASK_STORE = NatsUser(
    name="task-store",
    summary="Answers requests; owns the streams; publishes work, events, replays and orders to processors.",
    inbox_prefix=_inbox_prefix("task-store"),
    publishes=(
        *(subjects.WORK_SUBJECTS, subjects.EVENT_SUBJECTS, subjects.REPLAY_SUBJECTS, subjects.CONTROL_SUBJECTS),
        *(subjects.PLACEHOLDER_SUBJECTS, subjects.SET_ASIDE_REPORTS_SUBJECT),
        *_api(
            *(
                operation.format(stream)
                for stream in (WORK_STREAM, REPORTS_STREAM, EVENTS_STREAM, SET_ASIDE_STREAM)
                for operation in ("STREAM.*.{}", "STREAM.MSG.GET.{}", "CONSUMER.*.{}", "CONSUMER.*.{}.>")
            ),
            *(f"DIRECT.GET.{stream}" for stream in (WORK_STREAM, EVENTS_STREAM)),
            f"CONSUMER.MSG.NEXT.{REPORTS_STREAM}.*",
        ),
        f"$JS.ACK.{REPORTS_STREAM}.>",
        *(_inboxes("gateway"), _inboxes("processor"), *_WHO_ASKS_ANYBODY),
    ),
    hears=(subjects.COMMAND_SUBJECTS, subjects.RELAY_WAKE_SUBJECT, *_discovery("task-store")),
)

PROCESSOR = NatsUser(
    name="processor",
    summary="Pulls work and acknowledges it; reports; asks for checkpoints, and for what webhooks need.",
    inbox_prefix=_inbox_prefix("processor"),
    publishes=(
        *(subjects.REPORT_SUBJECTS, subjects.SET_ASIDE_WORK_SUBJECT),
        *_commands(PROCESSOR_COMMANDS),
        *_api(f"CONSUMER.MSG.NEXT.{WORK_STREAM}.*"),
        f"$JS.ACK.{WORK_STREAM}.>",
        *(_inboxes("task-store"), *_WHO_ASKS_ANYBODY),
    ),
    hears=(
        *(subjects.CANCEL_SUBJECTS, subjects.DRAIN_SUBJECTS, subjects.QUEUES_PAUSED_SUBJECT),
        *_discovery("processor"),
    ),
)

OPERATOR = NatsUser(
    name="operator",
    summary="`taskmill doctor` and the tools of NATS: looks at services, streams and consumers, and at what was set "
    "aside, which it may also throw away.",
    inbox_prefix=_inbox_prefix("operator"),
    publishes=(
        f"{_DISCOVERY}.>",
        *_commands((registry.HEALTH, registry.READ_LOG)),
        *_api("INFO", "STREAM.NAMES", "STREAM.LIST", "STREAM.INFO.*"),
        *_api("CONSUMER.NAMES.*", "CONSUMER.LIST.*", "CONSUMER.INFO.*.*"),
        *_api(*(f"{verb}.{SET_ASIDE_STREAM}" for verb in ("STREAM.MSG.GET", "DIRECT.GET", "STREAM.PURGE"))),
    ),
    hears=(subjects.EVENT_SUBJECTS, subjects.REPLAY_SUBJECTS),
)

READER = NatsUser(
    name="reader",
    summary="Follows events, and reads the log.",
    inbox_prefix="_INBOX.reader",
    publishes=(
        registry.READ_LOG.subject,
        *_api("INFO", "STREAM.NAMES"),
        *_api(
            *(
                operation.format(EVENTS_STREAM)
                for operation in (
                    *("STREAM.INFO.{}", "STREAM.MSG.GET.{}", "DIRECT.GET.{}", "DIRECT.GET.{}.>"),
                    *("CONSUMER.CREATE.{}", "CONSUMER.CREATE.{}.>", "CONSUMER.DURABLE.CREATE.{}.>"),
                    *("CONSUMER.DELETE.{}.>", "CONSUMER.INFO.{}.>", "CONSUMER.NAMES.{}", "CONSUMER.LIST.{}"),
                    "CONSUMER.MSG.NEXT.{}.>",
                )
            )
        ),
        *(f"$JS.ACK.{EVENTS_STREAM}.>", f"$JS.FC.{EVENTS_STREAM}.>"),
    ),
    hears=(subjects.EVENT_SUBJECTS, subjects.REPLAY_SUBJECTS),
)

SERVICE_USERS = (GATEWAY, TASK_STORE, PROCESSOR)
USERS = (*SERVICE_USERS, OPERATOR, READER)
"""Everybody whose rights are limited."""
