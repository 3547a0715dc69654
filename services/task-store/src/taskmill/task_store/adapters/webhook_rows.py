"""Webhooks, how far their deliveries are, and replays, as rows of PostgreSQL."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from asyncpg import UniqueViolationError

from taskmill.contracts.errors import (
    ReplayNotFoundError,
    TooManyReplaysError,
    TooManyWebhooksError,
    WebhookNotFoundError,
)
from taskmill.runtime.errors import BatchRefusedError
from taskmill.task_store.adapters.database import DedicatedConnection, SharedConnections
from taskmill.task_store.adapters.models import IdempotencyKeyRow, ReplayRow, WebhookRow, parameters
from taskmill.task_store.adapters.rows import arrays
from taskmill.task_store.adapters.statements import STORED_ANSWERS
from taskmill.task_store.domain.idempotency import KeyedAnswer, KeyName
from taskmill.task_store.domain.webhooks import ReplayState, TellableEvent, WebhookState
from taskmill.task_store.errors import KeyTakenError

_WEBHOOK = parameters(WebhookRow)
_REPLAY = parameters(ReplayRow)
_NAMES = ", ".join(_WEBHOOK)
_REPLAY_NAMES = ", ".join(_REPLAY)
_NEWEST = "(SELECT coalesce(max(position), 0) FROM task_events)"


def _with_answer(insert: str, parameter_count: int) -> str:
    """A statement that inserts a row, and the answer with it: the parameters behind its own, null for none."""
    answer = parameters(IdempotencyKeyRow, first=parameter_count + 1)
    return f"""
WITH added AS ({insert}), kept AS (
    INSERT INTO idempotency_keys ({", ".join(answer)})
    SELECT {", ".join(answer.values())} FROM added WHERE {answer["key"]} IS NOT NULL
)
SELECT FROM added
"""  # noqa: S608


_NO_ANSWER = (None,) * len(KeyedAnswer._fields)

# Two that come at the very same moment may exceed the limit by one: it bounds work, and nothing breaks beyond it.
_ADD = _with_answer(
    f"""
INSERT INTO webhooks ({_NAMES})
SELECT {", ".join(f"{value} + {_NEWEST}" if name == "since_position" else value for name, value in _WEBHOOK.items())}
WHERE (SELECT count(*) FROM webhooks) < ${len(_WEBHOOK) + 1}::integer
RETURNING id
""",  # noqa: S608  (names of the models, here and below)
    len(_WEBHOOK) + 1,
)

_CHANGE = f"""
UPDATE webhooks SET {
    ", ".join(
        f"{name} = {value}"
        for name, value in _WEBHOOK.items()
        if name not in {"id", "since_position", "revision", "created_at"}
    )
},
    since_position = CASE
        WHEN {_WEBHOOK["is_enabled"]} AND NOT is_enabled THEN {_NEWEST} ELSE {_WEBHOOK["since_position"]}
    END,
    revision = {_WEBHOOK["revision"]} + 1, created_at = {_WEBHOOK["created_at"]}
WHERE id = {_WEBHOOK["id"]} AND revision = {_WEBHOOK["revision"]}
RETURNING {_NAMES}
"""  # noqa: S608

_GET = f"SELECT {_NAMES} FROM webhooks WHERE id = $1"  # noqa: S608
_PAGE = f"SELECT {_NAMES} FROM webhooks WHERE id > $1 ORDER BY id LIMIT $2"  # noqa: S608
_DELETE = "DELETE FROM webhooks WHERE id = $1 AND revision = $2 RETURNING id"
_EVENT = "SELECT position, type, kind, document FROM task_events WHERE position = $1"

_STANDING = f"""
SELECT (SELECT position FROM webhook_cursor) AS cursor_position, {_NAMES} FROM webhooks WHERE is_enabled ORDER BY id
"""  # noqa: S608

# A webhook that was made, or changed, after these were read may want events that were not compared with it. Whatever
# is made after this statement has begun wants only events that were not read yet.
_MOVE = """
UPDATE webhook_cursor SET position = $1
WHERE position < $1 AND NOT EXISTS (
    SELECT FROM webhooks WHERE is_enabled AND (id, revision) NOT IN (SELECT * FROM unnest($2::uuid[], $3::integer[]))
)
RETURNING position
"""

_ADD_REPLAY = _with_answer(
    f"""
INSERT INTO replays ({_REPLAY_NAMES}) SELECT {", ".join(_REPLAY.values())}
WHERE (SELECT count(*) FROM replays WHERE status = 'running') < ${len(_REPLAY) + 1}::integer
RETURNING id
""",  # noqa: S608
    len(_REPLAY) + 1,
)
_GET_REPLAY = f"SELECT {_REPLAY_NAMES} FROM replays WHERE id = $1"  # noqa: S608
_RUNNING_REPLAYS = f"SELECT {_REPLAY_NAMES} FROM replays WHERE status = 'running' ORDER BY id"  # noqa: S608
_MOVE_REPLAY = """
UPDATE replays SET position = $3, told = told + $4, status = CASE WHEN $3 >= until THEN 'completed' ELSE status END,
    finished_at = CASE WHEN $3 >= until THEN now() END
WHERE id = $1 AND position = $2 AND status = 'running'
"""


class Standing(NamedTuple):
    """The webhooks that are on, and how far their deliveries are."""

    webhooks: Sequence[WebhookState]
    position: int
    """Behind it are events that some of them may not have been told."""


class WebhookRows:
    """The `Webhooks` of PostgreSQL, and what the deliveries need, which raises the same when it is away.

    Args:
        connections: For everything but the cursor.
        cursor: A connection for that alone. A position that is forgotten is come to again.
        max_webhooks: How many webhooks may exist.
        max_replays: How many replays may run.
    """

    def __init__(
        self, connections: SharedConnections, cursor: DedicatedConnection, *, max_webhooks: int, max_replays: int
    ) -> None:
        self._connections = connections
        self._cursor = cursor
        self._max_webhooks = max_webhooks
        self._max_replays = max_replays

    async def answer(self, name: KeyName) -> KeyedAnswer | None:
        """See `Webhooks`."""
        rows = await self._connections.fetch(STORED_ANSWERS, *arrays([name], 2))
        return KeyedAnswer(*rows[0]) if rows else None

    async def add(self, webhook: WebhookState, answer: KeyedAnswer | None = None) -> None:
        """See `Webhooks`."""
        if not await self._add(_ADD, *webhook, self._max_webhooks, *(answer or _NO_ANSWER)):
            raise TooManyWebhooksError(self._max_webhooks)

    async def webhook(self, webhook_id: UUID) -> WebhookState:
        """See `Webhooks`."""
        found = await self._fetch(_GET, webhook_id)
        if not found:
            raise WebhookNotFoundError
        return found[0]

    async def webhooks(self, *, behind: UUID, limit: int) -> list[WebhookState]:
        """See `Webhooks`."""
        return await self._fetch(_PAGE, behind, limit)

    async def change(self, webhook: WebhookState) -> WebhookState | None:
        """See `Webhooks`."""
        changed = await self._fetch(_CHANGE, *webhook)
        return changed[0] if changed else None

    async def delete(self, webhook: WebhookState) -> bool:
        """See `Webhooks`."""
        return bool(await self._connections.fetch(_DELETE, webhook.id, webhook.revision))

    async def document(self, position: int) -> str | None:
        """See `Webhooks`."""
        rows = await self._connections.fetch(_EVENT, position)
        event = TellableEvent(*rows[0]) if rows else None
        return None if event is None or event.is_of_delivery else event.document

    async def add_replay(self, replay: ReplayState, answer: KeyedAnswer | None = None) -> None:
        """See `Webhooks`."""
        try:
            is_added = await self._add(_ADD_REPLAY, *replay, self._max_replays, *(answer or _NO_ANSWER))
        except BatchRefusedError:
            # Its webhook was there a moment ago.
            raise WebhookNotFoundError from None
        if not is_added:
            raise TooManyReplaysError(self._max_replays)

    async def replay(self, replay_id: UUID) -> ReplayState:
        """See `Webhooks`."""
        rows = await self._connections.fetch(_GET_REPLAY, replay_id)
        if not rows:
            raise ReplayNotFoundError
        return ReplayState(*rows[0])

    async def standing(self) -> Standing | None:
        """The webhooks that are on, and how far they are; None: there are none."""
        rows = await self._connections.fetch(_STANDING)
        webhooks = [WebhookState(*row[1:]) for row in rows]
        if not webhooks:
            return None
        # What happened before the first of them was made concerns none: nothing is written while there are none.
        begin = min(webhook.since_position for webhook in webhooks)
        return Standing(webhooks, max(rows[0]["cursor_position"], begin))

    async def move(self, position: int, webhooks: Sequence[WebhookState]) -> bool:
        """Write down that these webhooks have their deliveries up to a position.

        Returns:
            False: there are others by now, or one has changed, and nothing was written; or somebody is further.
        """
        async with self._cursor.use() as connection:
            ids, revisions = [webhook.id for webhook in webhooks], [webhook.revision for webhook in webhooks]
            return await connection.fetchval(_MOVE, position, ids, revisions) is not None

    async def running_replays(self) -> list[ReplayState]:
        """The replays that are not completed, oldest first."""
        return [ReplayState(*row) for row in await self._connections.fetch(_RUNNING_REPLAYS)]

    async def move_replay(self, replay: ReplayState, position: int, *, told: int) -> None:
        """Write down how far a replay is, and how many more events it has told, unless somebody else did."""
        await self._connections.fetch(_MOVE_REPLAY, replay.id, replay.position, position, told)

    async def _add(self, statement: str, *arguments: object) -> bool:
        try:
            return bool(await self._connections.fetch(statement, *arguments))
        except BatchRefusedError as error:
            # The other key is the row's id, which is new.
            if isinstance(error.__cause__, UniqueViolationError):
                raise KeyTakenError from error
            raise

    async def _fetch(self, statement: str, *arguments: object) -> list[WebhookState]:
        return [WebhookState(*row) for row in await self._connections.fetch(statement, *arguments)]
