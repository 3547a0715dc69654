"""Sees to it that somebody can be let in before `taskmill up` has a gateway that others reach."""

from datetime import UTC, datetime

from taskmill.cli.errors import NoKeyError, StackError
from taskmill.contracts.errors import TaskmillError
from taskmill.gateway.settings import AuthSettings
from taskmill.runtime.errors import StartError
from taskmill.runtime.settings import load


async def provide_key(database_url: str, name: str | None) -> str | None:
    """Make an API key that may do everything, if one is wanted, and return it.

    Args:
        database_url: A migrated database.
        name: What the key is for; None: none is wanted.

    Raises:
        NoKeyError: None is wanted, but without one nobody could be let in.
        StackError: The database does not answer, or take the key.
    """
    settings = load(AuthSettings)
    is_needed = settings.needs_credentials and settings.oidc_issuer is None
    if name is None and not is_needed:
        return None
    # Brings the drivers of PostgreSQL.
    from taskmill.contracts.api_keys import ALL_SCOPES  # noqa: PLC0415
    from taskmill.task_store.operator_keys import create_operator_key, is_any_key_usable  # noqa: PLC0415
    from taskmill.task_store.settings import TaskStoreSettings  # noqa: PLC0415

    now = datetime.now(UTC)
    max_keys = load(TaskStoreSettings).max_api_keys
    try:
        if name is not None:
            return await create_operator_key(database_url, name, ALL_SCOPES, now=now, max_keys=max_keys)
        if await is_any_key_usable(database_url, now):
            return None
    except (StartError, TaskmillError) as error:
        raise StackError(f"API keys cannot be seen to: {error}") from error
    raise NoKeyError(settings.host)
