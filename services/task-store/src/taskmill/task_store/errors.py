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


class MigrationOrderError(Exception):
    """A step of an update cannot be taken yet. The text says what has to come first."""


class ContractingStepMissingError(MigrationOrderError):
    """An earlier update is not finished: a step that takes away stands before one that adds."""

    def __init__(self, contracting: str, expanding: str) -> None:
        super().__init__(
            f"the schema needs step {contracting}, which takes away what older task stores use, before {expanding}: "
            "when none of them runs any more, `python -m taskmill.task_store migrate --steps post`, then this again"
        )


class ExpandingStepMissingError(MigrationOrderError):
    """The steps that only add come first."""

    def __init__(self, expanding: str) -> None:
        super().__init__(
            f"the schema needs step {expanding} first, which only adds: `python -m taskmill.task_store migrate`, then "
            "start the new task stores and end the old ones, then this again"
        )


class OldStoresError(MigrationOrderError):
    """Task stores are connected that still use what a step would take away."""

    def __init__(self, contracting: str, count: int, needed: str) -> None:
        super().__init__(
            f"step {contracting} takes away what {count} connected task store(s) of a release before schema {needed} "
            "still use: end them, then this again"
        )
