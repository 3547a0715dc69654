"""What the adapters do without a server."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy.dialects import postgresql

from taskmill.contracts.errors import InvalidRequestError
from taskmill.contracts.reports import ReportBundle
from taskmill.contracts.requests import ListTasks
from taskmill.task_store.adapters.database_url import plain_database_url
from taskmill.task_store.adapters.models import BulkOperationRow, columns
from taskmill.task_store.adapters.report_bundles import read_bundle
from taskmill.task_store.adapters.statements import (
    ATTEMPT_COLUMNS,
    EVENT_COLUMNS,
    KEY_COLUMNS,
    LINE_COLUMNS,
    TASK_COLUMNS,
)
from taskmill.task_store.adapters.task_lists import task_query
from taskmill.task_store.domain.bulk_operations import BulkOperationState
from taskmill.task_store.domain.cursors import (
    ListPosition,
    list_cursor,
    number_cursor,
    parse_list_cursor,
    parse_number_cursor,
)
from taskmill.task_store.domain.events import LoggedEvent
from taskmill.task_store.domain.idempotency import KeyedAnswer
from taskmill.task_store.domain.state import AttemptState, LineState, TaskState, json_fields
from taskmill.task_store.settings import TaskStoreSettings
from tests.support.task_states import TASK_ID, completed, progressed, started

POSITION = ListPosition(datetime(2026, 11, 24, 12, 0, 0, 1, tzinfo=UTC), TASK_ID)


@pytest.mark.parametrize(
    ("columns", "state"),
    [
        (TASK_COLUMNS, TaskState),
        (ATTEMPT_COLUMNS, AttemptState),
        (EVENT_COLUMNS, LoggedEvent),
        (KEY_COLUMNS, KeyedAnswer),
        (LINE_COLUMNS, LineState),
        (columns(BulkOperationRow), BulkOperationState),
    ],
)
def test_states_and_statements_have_the_same_columns(columns: dict[str, str], state: Any) -> None:
    """The states of the rules have the columns of the schema, in its order."""
    assert list(state._fields) == list(columns)


@pytest.mark.parametrize(("columns", "state"), [(TASK_COLUMNS, TaskState), (ATTEMPT_COLUMNS, AttemptState)])
def test_states_and_statements_agree_on_what_is_json(columns: dict[str, str], state: Any) -> None:
    """What a column keeps as JSON, the rules have as its text."""
    assert json_fields(state) == {name for name, kind in columns.items() if kind in {"json", "jsonb"}}


def test_cursors_come_back_as_they_went() -> None:
    """A cursor says where its page ended."""
    assert parse_list_cursor(list_cursor(POSITION)) == POSITION
    assert parse_number_cursor(number_cursor(7)) == 7
    assert parse_number_cursor(None) == 0
    assert parse_number_cursor(number_cursor(2**63 - 1), below=2**63) == 2**63 - 1


FAR_AWAY = [
    ListPosition(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), TASK_ID),
    ListPosition(datetime(9999, 12, 31, tzinfo=timezone(-timedelta(hours=14))), TASK_ID),
]


@pytest.mark.parametrize(
    "cursor",
    ["x", "AAAA", "W10", "WyIyMDI2Il0", number_cursor(3), "WyJ4IiwgInkiXQ", *map(list_cursor, FAR_AWAY)],
)
def test_a_made_up_list_cursor_is_refused(cursor: str) -> None:
    """What no page ended with is the caller's mistake."""
    with pytest.raises(InvalidRequestError):
        parse_list_cursor(cursor)


@pytest.mark.parametrize(
    "cursor", ["x", "AAAA", "W10", "Wy0xXQ", "WzEuNV0", "Wzk5OTk5OTk5OTk5OTld", "W3RydWVd", list_cursor(POSITION)]
)
def test_a_made_up_number_cursor_is_refused(cursor: str) -> None:
    """Neither text, nor a fraction, nor a number that no version can have."""
    with pytest.raises(InvalidRequestError):
        parse_number_cursor(cursor)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_people_write_the_database_in_several_ways(scheme: str) -> None:
    """Every usual form is understood, and parameters are passed on."""
    url = plain_database_url(f"{scheme}://user:secret@db:5432/tasks?sslmode=require")
    assert url == "postgresql://user:secret@db:5432/tasks?sslmode=require"


def test_another_database_is_refused_without_repeating_it() -> None:
    """An address that is none of PostgreSQL is an error that keeps the password to itself."""
    with pytest.raises(ValidationError) as refusal:
        TaskStoreSettings(database_url=SecretStr("mysql://user:secret@db/tasks"))
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "place",
    [
        "user:se#cret@db/tasks",
        "user:se/cret@db/tasks",
        "user:se?cret@db",
        "user:12/secret@db/tasks",
        "user:12?secret@db",
        "db:99999/tasks",
    ],
)
def test_an_address_with_a_password_that_breaks_it_is_refused_without_repeating_it(place: str) -> None:
    """Taken apart at the wrong place, it has a part of the password for a port."""
    with pytest.raises(ValidationError, match="%23 for #") as refusal:
        TaskStoreSettings(database_url=SecretStr(f"postgresql://{place}"))
    assert "'se'" not in str(refusal.value)


def test_an_address_that_cannot_be_taken_apart_is_refused_without_repeating_it() -> None:
    """Python's own words for it have the password."""
    with pytest.raises(ValidationError, match="cannot be taken apart") as refusal:
        TaskStoreSettings(database_url=SecretStr("postgresql://user:\u2100secret@db/tasks"))
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "place", ["db", "db/tasks?user=me@home", "[::1]:5432/tasks", "a:1,b,[::1]/tasks", "user:se%23cret@db/tasks"]
)
def test_addresses_of_postgresql(place: str) -> None:
    """Of one server, or of several, with a password in which nothing stands for anything else."""
    assert plain_database_url(f"postgres://{place}") == f"postgresql://{place}"


def bundle_text(*reports: Any) -> bytes:
    """A bundle as it arrives."""
    return orjson.dumps({"processor_id": "processor-1", "reports": list(reports)})


def as_sent(report: Any) -> dict[str, Any]:
    """A report as plain values."""
    sent: dict[str, Any] = report.model_dump(mode="json")
    return sent


def test_a_bundle_is_read() -> None:
    """Every report arrives in order."""
    bundle = ReportBundle(processor_id="processor-1", reports=[started(), progressed(), completed(result={"a": [1]})])
    assert read_bundle(bundle.model_dump_json().encode()) == bundle


@pytest.mark.parametrize(
    "bad",
    [
        {"type": "exploded"},
        {**as_sent(completed()), "delivery": 0},
        {**as_sent(completed()), "result": "a\x00b"},
        {**as_sent(completed()), "result": "x" * 262_145},
        "nonsense",
        None,
    ],
    ids=["unknown type", "bad fence", "NUL", "too large", "text", "null"],
)
def test_one_bad_report_does_not_spoil_its_neighbours(bad: Any) -> None:
    """What cannot be read is left out; what stands beside it counts."""
    bundle = read_bundle(bundle_text(as_sent(started()), bad, as_sent(progressed())))
    assert bundle is not None
    assert list(bundle.reports) == [started(), progressed()]


def test_a_result_that_is_no_number_is_left_out() -> None:
    """NaN is no JSON, though some write it."""
    text = bundle_text(as_sent(started()), as_sent(completed(result="NUMBER"))).replace(b'"NUMBER"', b"NaN")
    bundle = read_bundle(text)
    assert bundle is not None
    assert list(bundle.reports) == [started()]


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"[]", b"{}", b'{"processor_id":"p","reports":5}', bundle_text({"type": "exploded"})]
)
def test_what_is_no_bundle_is_not_read(data: bytes) -> None:
    """Nothing of it can be read, and that is said, not raised."""
    assert read_bundle(data) is None


def test_a_title_is_searched_as_it_is_written() -> None:
    """The characters that mean something to LIKE are escaped."""
    query = task_query(ListTasks.model_validate({"filter": {"title": "50%_\\/"}}), None)
    compiled = query.compile(dialect=postgresql.asyncpg.dialect())  # type: ignore[no-untyped-call]
    assert "50/%/_\\//" in compiled.params.values()
    assert "ESCAPE '/'" in str(compiled)
