"""Ids of tasks that are made once: every version comes to the same ones, or an upgrade would make the tasks again."""

from datetime import UTC, datetime
from uuid import UUID

from taskmill.contracts.ids import repeatable_id
from taskmill.sdk.submissions import submission_id
from taskmill.task_store.domain.schedules import fire_task_id
from taskmill.task_store.domain.webhooks import TellableEvent, delivery_id

OWNER_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
INSTANT = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
EVENT = TellableEvent(5, "completed", "echo", '{"id":"e1","time":"2026-11-24T12:00:00.123456Z","data":{}}')


def test_an_id_has_its_time_and_is_of_version_7() -> None:
    """So it sorts among others by its time."""
    made = repeatable_id(1_795_521_600_123, "a name")
    assert (made.int >> 80, made.version, made.variant) == (1_795_521_600_123, 7, "specified in RFC 4122")
    assert made != repeatable_id(1_795_521_600_123, "another name")


def test_the_task_of_a_time_has_the_id_that_it_always_had() -> None:
    """A backfill finds what another version made."""
    assert fire_task_id(OWNER_ID, INSTANT) == UUID("01a20d6d-5a7b-7757-9241-86e4b45de17e")


def test_a_delivery_has_the_id_that_it_always_had() -> None:
    """A replay has its own."""
    assert delivery_id(OWNER_ID, EVENT, None) == UUID("01a20d6d-5a7b-72d8-862a-f0bcceedcfcb")
    assert delivery_id(OWNER_ID, EVENT, OWNER_ID) == UUID("01a20d6d-5a7b-711f-9e8b-b04ab94ec46c")


def test_what_a_handler_submits_has_the_id_that_it_always_had() -> None:
    """An attempt on a newer processor submits nothing a second time; a key may hold any characters."""
    assert submission_id(OWNER_ID, 3, "number 4") == UUID("01890a5d-ac96-7043-92f2-b65615ba7ef7")
    assert submission_id(OWNER_ID, 1, "key \ud800x") == UUID("01890a5d-ac96-710e-9bfc-913a7dcf53f2")
