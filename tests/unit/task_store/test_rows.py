"""States as statements take them."""

from uuid import UUID

from taskmill.contracts.tasks import LineLevel
from taskmill.task_store.adapters.models import AttemptRow, TaskRow, zeros
from taskmill.task_store.adapters.rows import row_maker
from taskmill.task_store.domain.state import LineState
from tests.support.task_states import NOW


def test_what_is_null_or_zero_is_left_out_and_an_empty_text_is_not() -> None:
    """PostgreSQL reads NULL of what is not there, or 0 where a column is never NULL."""
    line = LineState(task_id=(task_id := UUID(int=1)), position=0, attempt=1, at=NOW, level=LineLevel.INFO, text="")
    row = row_maker(LineState, LineState._fields)(line)
    assert row == {"task_id": task_id, "attempt": 1, "at": NOW, "level": LineLevel.INFO, "text": ""}


def test_a_number_that_may_be_null_is_never_zero() -> None:
    """Of such a column 0 would be written as NULL: whoever adds one sees to it that it has no 0."""
    numbers = {
        column.key
        for row in (TaskRow, AttemptRow)
        for column in row.__table__.columns
        if column.type.python_type in {int, float, bool}
    }
    assert numbers - zeros(TaskRow).keys() - zeros(AttemptRow).keys() == {"max_attempts", "timeout_seconds"}
