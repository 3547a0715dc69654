import pytest

from taskmill.contracts.errors import BusUnavailableError
from taskmill.contracts.streams import work_stream
from taskmill.runtime.direct_get import MAX_SUBJECTS, last_message, message_at, subjects_with_messages
from taskmill.runtime.errors import JetStreamError
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.outbound import OutboundMessage
from taskmill.runtime.provisioning import ensure_stream
from taskmill.runtime.publisher import Publisher
from taskmill.runtime.stream_state import first_sequence, purge_subject, stream_state

SUBJECTS = [f"tasks.v1.work.default.medium.echo.{number}" for number in range(MAX_SUBJECTS)]


async def publish(session: NatsSession, subjects: list[str], payload: bytes = b"{}") -> None:
    """Store one message under each subject of TASK_WORK."""
    messages = [OutboundMessage(subject, payload, {"Nats-Msg-Id": subject}) for subject in subjects]
    await Publisher(session, timeout_seconds=5).publish_all(messages)


async def test_of_many_subjects_those_with_messages(session: NatsSession) -> None:
    """A thousand are looked at in one request."""
    await ensure_stream(session, work_stream())
    await publish(session, SUBJECTS[::2])
    assert await subjects_with_messages(session, "TASK_WORK", SUBJECTS) == set(SUBJECTS[::2])
    assert await subjects_with_messages(session, "TASK_WORK", SUBJECTS[1::2]) == set()
    assert await subjects_with_messages(session, "TASK_WORK", []) == set()


async def test_an_answer_of_many_bytes_comes_in_parts(session: NatsSession) -> None:
    """Messages that exceed what a part may hold are all found."""
    await ensure_stream(session, work_stream())
    await publish(session, SUBJECTS[:60], b"x" * 250_000)
    assert await subjects_with_messages(session, "TASK_WORK", SUBJECTS[:100]) == set(SUBJECTS[:60])


async def test_no_stream_is_no_answer(session: NatsSession) -> None:
    """Without the stream nobody can say that a message is missing."""
    with pytest.raises(BusUnavailableError):
        await subjects_with_messages(session, "TASK_WORK", SUBJECTS[:1])
    with pytest.raises(BusUnavailableError):
        await last_message(session, "TASK_WORK", "tasks.v1.work.>")
    with pytest.raises(JetStreamError):
        await stream_state(session, "TASK_WORK")
    with pytest.raises(JetStreamError):
        await first_sequence(session, "TASK_WORK", "tasks.v1.work.>")


async def test_the_last_message_of_a_wildcard(session: NatsSession) -> None:
    """The newest message of all that match is found with its headers; none is None."""
    await ensure_stream(session, work_stream())
    assert await last_message(session, "TASK_WORK", "tasks.v1.work.>") is None
    await publish(session, SUBJECTS[:3])
    message = await last_message(session, "TASK_WORK", "tasks.v1.work.>")
    assert message is not None
    assert message.body == b"{}"
    assert SUBJECTS[2].encode() in (message.headers or b"")


async def test_what_a_message_says_of_its_place_is_not_believed(session: NatsSession) -> None:
    """Its own headers come before those of the server."""
    await ensure_stream(session, work_stream())
    forged = {"Nats-Subject": SUBJECTS[1], "Nats-Sequence": "9"}
    await Publisher(session, timeout_seconds=5).publish(OutboundMessage(SUBJECTS[0], b"{}", forged))
    assert await subjects_with_messages(session, "TASK_WORK", SUBJECTS[:2]) == {SUBJECTS[0]}
    message = await last_message(session, "TASK_WORK", "tasks.v1.work.>")
    assert message is not None
    assert message.sequence == 1
    assert await message_at(session, "TASK_WORK", 1) == message
    assert await message_at(session, "TASK_WORK", 2) is await message_at(session, "TASK_WORK", 0) is None


async def test_what_a_stream_holds(session: NatsSession) -> None:
    """Sequences tell what was removed; a stream that is made again has another creation time."""
    await ensure_stream(session, work_stream())
    empty = await stream_state(session, "TASK_WORK")
    assert empty.last_sequence == 0
    assert await first_sequence(session, "TASK_WORK", "tasks.v1.work.>") is None
    await publish(session, SUBJECTS[:3])
    assert await stream_state(session, "TASK_WORK") == (empty.created_at, 3)
    assert await first_sequence(session, "TASK_WORK", "tasks.v1.work.>") == 1
    await purge_subject(session, "TASK_WORK", f"tasks.v1.work.*.*.*.{SUBJECTS[0].rpartition('.')[2]}")
    assert await first_sequence(session, "TASK_WORK", "tasks.v1.work.>") == 2
    await purge_subject(session, "TASK_WORK", "tasks.v1.work.>")
    assert await first_sequence(session, "TASK_WORK", "tasks.v1.work.>") is None
    assert await stream_state(session, "TASK_WORK") == (empty.created_at, 3)
    await session.client.jetstream().delete_stream("TASK_WORK")
    await ensure_stream(session, work_stream())
    assert (await stream_state(session, "TASK_WORK")).created_at != empty.created_at
