"""A look at the gateway, and through it at the fleet."""

from collections.abc import Iterator
from importlib.metadata import version

from taskmill.cli.connecting import GatewayUnreachableError, client_of
from taskmill.cli.diagnosis.remark import Remark, fail, ok, warn
from taskmill.contracts.health import Health, HealthStatus
from taskmill.sdk.client import (
    ApiError,
    Client,
    ForbiddenError,
    UnauthorizedError,
    UnavailableError,
    UnreadableAnswerError,
)

_RETRY_WITHIN_SECONDS = 1.0

_ADVICE = {
    "nats": "Start NATS, or set TASKMILL_NATS_URL of the gateway",
    "store": "Start a task store: python -m taskmill.task_store",
    "postgresql": "Start PostgreSQL, or set TASKMILL_DATABASE_URL of the task store",
}
_PART_OF_CODE = {"bus_unavailable": "nats", "store_unavailable": "store", "database_unavailable": "postgresql"}


def look_at_gateway(context: str | None, queues: list[str]) -> Iterator[Remark]:
    """Look at the gateway.

    Args:
        context: As `--context` says.
        queues: Gets the names of the queues that there are.
    """
    try:
        with client_of(context, retry_within_seconds=_RETRY_WITHIN_SECONDS) as client:
            health = client.health()
            yield from _parts(health)
            if health.status is HealthStatus.OK:
                queues += [queue.name for queue in client.queues()]
                yield from _fleet(health)
                yield from _versions(client)
    except GatewayUnreachableError as error:
        found, *advice = str(error).splitlines()
        yield fail("gateway", found, " ".join(advice))
    except (UnauthorizedError, ForbiddenError) as error:
        yield fail("gateway", str(error), "Set TASKMILL_API_KEY to a key with tasks:read, or give the context one")
    except UnavailableError as error:
        # It cannot even find out who asks.
        yield fail("gateway", str(error), _ADVICE.get(_PART_OF_CODE.get(error.code, ""), "Try again"))
    except (ApiError, UnreadableAnswerError) as error:
        yield fail("gateway", str(error), "Does TASKMILL_URL, or the context, lead to a gateway of Taskmill?")


def _parts(health: Health) -> Iterator[Remark]:
    yield ok("gateway", "it answers")
    for part, state in health.components:
        if state == "up":
            yield ok(part, "up, says the gateway")
        elif state == "down":
            yield fail(part, "down, says the gateway", _ADVICE[part])


def _fleet(health: Health) -> Iterator[Remark]:
    fleet = health.fleet
    if fleet is None:
        return
    if fleet.processors == 0:
        yield fail("processors", "there is none", "Start one: python -m taskmill.processor")
    else:
        yield ok("processors", f"taking work: {fleet.processors}")
    for queue in fleet.unserved_queues:
        yield fail("queues", f"tasks wait in {queue}, which nobody serves", f"Start a processor with --queues {queue}")
    for unknown in fleet.unknown_kinds:
        found = f"tasks of {unknown.kind} wait in queue {unknown.queue}, where no processor knows the kind"
        yield warn("kinds", found, f"Start a processor with a handler for it, and with --queues {unknown.queue}")
    if fleet.differing_kinds:
        found = f"processors declare different things for {', '.join(fleet.differing_kinds)}"
        yield warn("kinds", found, "GET /kinds tells what; the processor that was started last says what holds")
    if fleet.paused_queues:
        yield warn("queues", f"paused: {fleet.paused_queues}", "taskmill queue ls, and taskmill queue resume QUEUE")


def _versions(client: Client) -> Iterator[Remark]:
    own = version("taskmill-cli")
    others = {processor.software_version for processor in client.processors()} - {own}
    if others:
        found = f"processors run {', '.join(sorted(others))}, this command is {own}"
        yield warn("versions", found, "Update what is older: docs/operations.md says in which order")
    else:
        yield ok("versions", f"this command, and all processors: {own}")
