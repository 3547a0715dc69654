"""Makes JetStream agree with the specs in the contracts. Idempotent; several may do it at the same time."""

from collections.abc import Mapping
from typing import Any

import structlog

from taskmill.contracts.streams import EPOCH_METADATA, ConsumerSpec, StreamSpec
from taskmill.runtime.consumer_pause import NO_SUCH_CONSUMER, PAUSED_UNTIL
from taskmill.runtime.errors import JetStreamError, LaterEpochError, NoRoomForStreamError
from taskmill.runtime.jetstream_api import NANOSECONDS, jetstream_request
from taskmill.runtime.nats_session import NatsSession

_log = structlog.get_logger(__name__)

NO_SUCH_STREAM = 10059
STREAM_NAME_TAKEN = 10058
NO_ROOM = 10047
NO_CLUSTER = 10074
UNLIMITED = -1


async def ensure_stream(session: NatsSession, spec: StreamSpec, *, epoch: int = 0) -> str:
    """Create a stream, or bring the one that exists in line with its spec.

    What a spec does not mention stays as it is: an operator may raise `num_replicas`, for one. A stream of an earlier
    epoch of the log is deleted, with all that is in it, and made anew.

    Args:
        session: The connection.
        spec: What the stream should be.
        epoch: The epoch of the log that it belongs to.

    Returns:
        When the stream was created, as the server writes it: another text is another stream.

    Raises:
        BusUnavailableError: JetStream cannot be reached.
        JetStreamError: It refuses, as for a change that an existing stream cannot undergo.
        NoRoomForStreamError: JetStream may not store as much as the stream reserves.
        LaterEpochError: The stream belongs to a later epoch.
    """
    try:
        return await _ensure_stream(session, spec, epoch)
    except JetStreamError as error:
        if error.error_code != NO_ROOM:
            raise
        raise NoRoomForStreamError(error, spec.name, spec.max_bytes or 0) from error


async def _ensure_stream(session: NatsSession, spec: StreamSpec, epoch: int) -> str:
    wanted = stream_config(spec)
    existing = await _existing_stream(session, spec.name)
    if spec.is_of_epoch and existing is not None and stream_epoch(existing) != epoch:
        if stream_epoch(existing) > epoch:
            raise LaterEpochError(spec.name, stream_epoch(existing))
        await _delete_stream(session, spec.name)
        _log.warning("stream.of_lost_log_deleted", stream=spec.name, epoch=stream_epoch(existing))
        existing = None
    if existing is None:
        metadata = {"metadata": {EPOCH_METADATA: str(epoch)}} if epoch and spec.is_of_epoch else {}
        try:
            created = await jetstream_request(session, f"STREAM.CREATE.{spec.name}", {**wanted, **metadata})
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


async def delete_consumer(session: NatsSession, stream: str, consumer: str) -> None:
    """Delete a consumer, with what it knows of deliveries; the messages stay. It may be gone already.

    Raises:
        BusUnavailableError: JetStream cannot be reached.
        JetStreamError: It refuses.
    """
    try:
        await jetstream_request(session, f"CONSUMER.DELETE.{stream}.{consumer}")
    except JetStreamError as error:
        if error.error_code != NO_SUCH_CONSUMER:
            raise


def stream_epoch(info: Mapping[str, Any]) -> int:
    """The epoch of the log that a stream belongs to, by what the server tells of it."""
    return int((info["config"].get("metadata") or {}).get(EPOCH_METADATA, 0))


async def epoch_of_stream(session: NatsSession, name: str) -> int:
    """Ask which epoch of the log a stream belongs to.

    Raises:
        BusUnavailableError: JetStream cannot be reached.
        JetStreamError: There is no such stream.
    """
    return stream_epoch(await jetstream_request(session, f"STREAM.INFO.{name}"))


async def _delete_stream(session: NatsSession, name: str) -> None:
    try:
        await jetstream_request(session, f"STREAM.DELETE.{name}")
    except JetStreamError as error:
        # Somebody else was faster.
        if error.error_code != NO_SUCH_STREAM:
            raise


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
