"""Makes JetStream agree with the specs in the contracts. Idempotent; several may do it at the same time."""

from typing import Any

import structlog

from taskmill.contracts.streams import ConsumerSpec, StreamSpec
from taskmill.runtime.consumer_pause import PAUSED_UNTIL
from taskmill.runtime.errors import JetStreamError
from taskmill.runtime.jetstream_api import NANOSECONDS, jetstream_request
from taskmill.runtime.nats_session import NatsSession

_log = structlog.get_logger(__name__)

NO_SUCH_STREAM = 10059
STREAM_NAME_TAKEN = 10058
UNLIMITED = -1


async def ensure_stream(session: NatsSession, spec: StreamSpec) -> str:
    """Create a stream, or bring the one that exists in line with its spec.

    What a spec does not mention stays as it is: an operator may raise `num_replicas`, for one.

    Returns:
        When the stream was created, as the server writes it: another text is another stream.

    Raises:
        BusUnavailableError: JetStream cannot be reached.
        JetStreamError: It refuses, as for a change that an existing stream cannot undergo.
    """
    wanted = stream_config(spec)
    existing = await _existing_stream(session, spec.name)
    if existing is None:
        try:
            created = await jetstream_request(session, f"STREAM.CREATE.{spec.name}", wanted)
        except JetStreamError as error:
            # Somebody else was faster, with another version of the spec.
            if error.error_code != STREAM_NAME_TAKEN:
                raise
            existing = await jetstream_request(session, f"STREAM.INFO.{spec.name}")
        else:
            _log.info("stream.created", stream=spec.name)
            return str(created["created"])
    if differences(existing["config"], wanted):
        await jetstream_request(session, f"STREAM.UPDATE.{spec.name}", {**existing["config"], **wanted})
        _log.info("stream.updated", stream=spec.name)
    return str(existing["created"])


async def ensure_consumer(session: NatsSession, spec: ConsumerSpec) -> None:
    """Create a durable pull consumer with explicit acks, or bring the one that exists in line with its spec.

    Raises:
        BusUnavailableError: JetStream cannot be reached.
        JetStreamError: It refuses: no such stream, or a change that an existing consumer cannot undergo.
    """
    # Without an `action` this creates, updates, or finds that nothing is to be done.
    await jetstream_request(
        session,
        f"CONSUMER.CREATE.{spec.stream}.{spec.name}",
        {"stream_name": spec.stream, "config": consumer_config(spec)},
    )


async def _existing_stream(session: NatsSession, name: str) -> dict[str, Any] | None:
    try:
        return await jetstream_request(session, f"STREAM.INFO.{name}")
    except JetStreamError as error:
        if error.error_code == NO_SUCH_STREAM:
            return None
        raise


def differences(existing: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """The fields in which a stream or a consumer that exists is not what it should be; empty: it agrees.

    Args:
        existing: Its configuration, as the server tells it.
        wanted: That of its spec.
    """
    # The server leaves out what is false.
    return [key for key, value in wanted.items() if existing.get(key, False) != value]


def stream_config(spec: StreamSpec) -> dict[str, Any]:
    """The configuration that a stream's spec asks for, as JetStream writes it."""
    replicas = {} if spec.replicas is None else {"num_replicas": spec.replicas}
    return {
        **replicas,
        "name": spec.name,
        "subjects": list(spec.all_subjects),
        "retention": spec.retention.value,
        "storage": "file",
        "discard": "new" if spec.discard_new else "old",
        "max_bytes": UNLIMITED if spec.max_bytes is None else spec.max_bytes,
        "max_age": 0 if spec.max_age_seconds is None else int(spec.max_age_seconds * NANOSECONDS),
        "max_msgs_per_subject": UNLIMITED if spec.max_msgs_per_subject is None else spec.max_msgs_per_subject,
        "duplicate_window": int(spec.duplicate_window_seconds * NANOSECONDS),
        "allow_direct": spec.allow_direct,
        "allow_batched": spec.allow_batched,
        "deny_delete": spec.deny_delete,
        "deny_purge": spec.deny_purge,
        "allow_rollup_hdrs": spec.placeholder_subject is not None,
    }


def consumer_config(spec: ConsumerSpec) -> dict[str, Any]:
    """The configuration that a consumer's spec asks for, as JetStream writes it."""
    # The server minds it when it creates a consumer, and passes it over when there is one.
    paused = {"pause_until": PAUSED_UNTIL} if spec.is_paused else {}
    return {
        **paused,
        "name": spec.name,
        "durable_name": spec.name,
        "filter_subject": spec.filter_subject,
        "deliver_policy": "all",
        "replay_policy": "instant",
        "ack_policy": "explicit",
        "ack_wait": int(spec.ack_wait_seconds * NANOSECONDS),
        "max_ack_pending": spec.max_ack_pending,
        # The task store owns the limits of redelivery.
        "max_deliver": UNLIMITED,
    }
