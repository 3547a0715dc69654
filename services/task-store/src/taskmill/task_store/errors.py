"""Errors that stay inside the task store. What callers are told is in `taskmill.contracts.errors`."""

from taskmill.runtime.errors import StartError


class SchemaTooOldError(StartError):
    """The database's schema is older than this code needs."""

    def __init__(self, found: str | None, needed: str) -> None:
        super().__init__(
            f"the database's schema is at {found or 'nothing'}, this code needs {needed}: "
            "run `python -m taskmill.task_store migrate`"
        )


class StaleStateError(Exception):
    """Something was no longer as it was read; nothing was written."""


class KeyTakenError(Exception):
    """An answer is stored under an idempotency key by now; nothing was written."""
