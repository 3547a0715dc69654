"""The first API key of a stack that others reach, on a real PostgreSQL."""

import pytest

from taskmill.cli.errors import NoKeyError
from taskmill.cli.first_key import provide_key
from taskmill.contracts.key_text import read_key
from tests.support.task_store import run_sql


async def test_a_stack_that_others_reach_needs_a_key(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one it says how to make one; that is made once, and does for later starts."""
    monkeypatch.setenv("TASKMILL_HOST", "0.0.0.0")  # noqa: S104 -- that is what is tested
    with pytest.raises(NoKeyError, match="taskmill up --create-key admin"):
        await provide_key(database_url, None)
    key = await provide_key(database_url, "admin")
    parts = read_key(key or "")
    assert parts is not None
    assert [tuple(row) for row in await run_sql(database_url, "SELECT id, name FROM api_keys")] == [(parts.id, "admin")]
    assert await provide_key(database_url, None) is None


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"TASKMILL_HOST": "::1"},
        {"TASKMILL_HOST": "0.0.0.0", "TASKMILL_AUTH": "none"},  # noqa: S104
        {"TASKMILL_AUTH": "required", "TASKMILL_OIDC_ISSUER": "https://id.example", "TASKMILL_OIDC_AUDIENCE": "tasks"},
    ],
)
async def test_others_need_none(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is the database asked."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert await provide_key("postgresql://nowhere.invalid/x", None) is None
