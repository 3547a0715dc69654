"""What can be wrong with the task store's database.

DatabaseError
├── DatabaseUnknownError    nobody has said where it is
├── DatabaseAwayError       it does not answer
├── NoSuchRevisionError     no migration has this name
└── MigrationRefusedError   something has to come first
"""


class DatabaseError(Exception):
    """Root of what can be wrong with the database; the message is meant for a person at a terminal."""


class DatabaseUnknownError(DatabaseError):
    """Nobody has said where the database is."""

    def __init__(self) -> None:
        super().__init__(
            "TASKMILL_DATABASE_URL is not set: it names the database, as postgresql://user:password@host/name. "
            "(`taskmill up` migrates its own database by itself; its address is in .data/stack.json.)"
        )


class DatabaseAwayError(DatabaseError):
    """The database does not answer, or does not let anybody in."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"PostgreSQL cannot be used where TASKMILL_DATABASE_URL says ({reason}): "
            "does it run there, and are user, password and database right?"
        )


class NoSuchRevisionError(DatabaseError):
    """No migration has this name."""

    def __init__(self, revision: str) -> None:
        super().__init__(f"there is no migration {revision!r}: taskmill migrate status shows where the schema is")


class MigrationRefusedError(DatabaseError):
    """Something has to come first, which the text says."""
