"""Reads who holds unique keys, and says what a batch changes of that as the statement that writes takes it."""

from collections.abc import Sequence

from asyncpg import Connection, Record

from taskmill.task_store.adapters import statements
from taskmill.task_store.adapters.rows import json_rows
from taskmill.task_store.domain.unique_keys import KeyHold, UniqueBook


async def read_holds(connection: "Connection[Record]", keys: Sequence[str]) -> list[KeyHold]:
    """Those of these keys that tasks hold."""
    return [KeyHold._make(row) for row in await connection.fetch(statements.HELD_KEYS, keys)]


def unique_rows(book: UniqueBook) -> tuple[str, ...]:
    """What `write_statement` takes with unique keys; nothing, if there is nothing to write."""
    inserted, moved, removed = book.inserted, book.moved, book.removed
    if not (inserted or moved or removed):
        return ()
    return (
        json_rows(hold._asdict() for hold in inserted),
        json_rows({**hold._asdict(), "read_task_id": holder} for hold, holder in moved),
        json_rows(release._asdict() for release in removed),
    )
