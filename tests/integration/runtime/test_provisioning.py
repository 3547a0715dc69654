import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from taskmill.contracts.errors import BusUnavailableError
from taskmill.contracts.streams import (
    ConsumerSpec,
    Retention,
    StreamSpec,
    events_stream,
    reports_consumer,
    reports_stream,
    work_stream,
)
from taskmill.runtime.errors import JetStreamError
from taskmill.runtime.jetstream_api import jetstream_request
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.provisioning import ensure_consumer, ensure_stream

SPEC = StreamSpec(
    name="S", subjects=("s.>",), retention=Retention.LIMITS, max_bytes=1_000_000, max_age_seconds=600, deny_purge=True
)
CONSUMER = ConsumerSpec(stream="S", name="c", filter_subject="s.>", ack_wait_seconds=1.5, max_ack_pending=7)


async def stream_config(session: NatsSession, name: str = "S") -> dict[str, object]:
    """The stream's configuration on the server."""
    config: dict[str, object] = (await jetstream_request(session, f"STREAM.INFO.{name}"))["config"]
    return config


@pytest.mark.parametrize("spec", [work_stream(), reports_stream(1_000_000), events_stream(4 * 1024**3, 7 * 86_400)])
async def test_the_streams_of_the_contracts(session: NatsSession, spec: StreamSpec) -> None:
    """Each is created as specified; a second time nothing changes."""
    await ensure_stream(session, spec)
    config = await stream_config(session, spec.name)
    assert config["retention"] == spec.retention.value
    assert config["storage"] == "file"
    assert config["max_bytes"] == (spec.max_bytes or -1)
    assert config["max_age"] == int((spec.max_age_seconds or 0) * 1_000_000_000)
    assert config["max_msgs_per_subject"] == (spec.max_msgs_per_subject or -1)
    assert config["duplicate_window"] == 120_000_000_000
    assert config["discard"] == ("new" if spec.discard_new else "old")
    for flag in ("allow_direct", "allow_batched", "deny_delete", "deny_purge"):
        assert config.get(flag, False) == getattr(spec, flag)
    with capture_logs() as logs:
        await ensure_stream(session, spec)
    assert await stream_config(session, spec.name) == config
    assert logs == []


async def test_a_changed_spec_changes_the_stream_and_keeps_the_rest(session: NatsSession) -> None:
    """What the operator set beside the spec stays."""
    await ensure_stream(session, SPEC)
    await jetstream_request(session, "STREAM.UPDATE.S", {**await stream_config(session), "description": "by hand"})
    await ensure_stream(session, replace(SPEC, max_bytes=2_000_000))
    config = await stream_config(session)
    assert config["max_bytes"] == 2_000_000
    assert config["description"] == "by hand"


async def test_several_at_once_agree(session: NatsSession) -> None:
    """Services that start together do not fight."""
    await asyncio.gather(*[ensure_stream(session, SPEC) for _ in range(10)])
    await asyncio.gather(*[ensure_consumer(session, CONSUMER) for _ in range(10)])
    info = await jetstream_request(session, "STREAM.INFO.S")
    assert info["state"]["consumer_count"] == 1


async def test_two_releases_at_once_agree(session: NatsSession) -> None:
    """Of two versions of a spec that are applied together, one comes out."""
    await asyncio.gather(*[ensure_stream(session, replace(SPEC, max_bytes=1_000_000 + size)) for size in range(5)])
    assert (await stream_config(session))["max_bytes"] in range(1_000_000, 1_000_005)


async def test_a_consumer_is_created_and_updated(session: NatsSession) -> None:
    """Explicit acks, no limit of deliveries; a changed spec changes it, and its messages stay."""
    await ensure_stream(session, SPEC)
    await ensure_consumer(session, CONSUMER)
    await ensure_consumer(session, replace(CONSUMER, max_ack_pending=9))
    config = (await jetstream_request(session, "CONSUMER.INFO.S.c"))["config"]
    assert config["ack_policy"] == "explicit"
    assert config["ack_wait"] == 1_500_000_000
    assert config["max_ack_pending"] == 9
    assert config["max_deliver"] == -1
    assert config["durable_name"] == "c"
    assert config["filter_subject"] == "s.>"


async def test_the_consumer_of_the_contracts(session: NatsSession) -> None:
    """It fits its work-queue stream."""
    await ensure_stream(session, reports_stream(1_000_000))
    await ensure_consumer(session, reports_consumer())


async def test_an_impossible_change_is_an_error(session: NatsSession) -> None:
    """A stream cannot change its storage or become a work queue; that is said, not ignored."""
    await ensure_stream(session, SPEC)
    with pytest.raises(JetStreamError):
        await ensure_stream(session, replace(SPEC, retention=Retention.WORK_QUEUE))


async def test_a_consumer_without_its_stream_is_an_error(session: NatsSession) -> None:
    """The code tells what is missing."""
    with pytest.raises(JetStreamError) as caught:
        await ensure_consumer(session, CONSUMER)
    assert caught.value.error_code == 10059


async def test_without_a_connection(session: NatsSession) -> None:
    """It fails at once."""
    session.stop()
    disconnected = type(session)(session._settings, client_name="never")
    with pytest.raises(BusUnavailableError):
        await ensure_stream(disconnected, SPEC)
