"""Lets go on what waits for other tasks."""

import math
import time
from collections.abc import Sequence
from uuid import UUID

from taskmill.runtime.leadership import Leadership
from taskmill.runtime.nats_session import NatsSession
from taskmill.task_store.actors.commit_duty import CommitBell, CommitDuty
from taskmill.task_store.adapters.dependency_rows import DependencyRows
from taskmill.task_store.domain.batch import Batch
from taskmill.task_store.domain.dependencies import Pair, Release
from taskmill.task_store.ports import Writes

MAX_EVENTS_AT_ONCE = 5_000
MAX_PAIRS_AT_ONCE = 200
"""So many dependencies are decided in one batch, for which other requests wait: some 10 ms."""

MAX_ROWS_AT_ONCE = 1_000

AWAY_SECONDS = 60
"""Who has not led for so long looks at everything again."""

_FIRST = Pair(UUID(int=0), UUID(int=0))


class DependencyBell(CommitBell):
    """A commit bell that is heard from the commit on that makes the first dependency."""

    def note(self, batch: Batch) -> None:
        """Take notice of what is committed; the bell is rung behind it."""
        if batch.dependencies.added:
            self.is_heard = True


class Dependencies(CommitDuty):
    """Follows the log while anything waits for other tasks, and has decided what waits for those that ended.

    Whoever begins to lead looks at everything once. From then on it knows up to where in the log each ending was looked
    at; it may forget that, for what is decided is decided once: in the one place where all is written, with the rows in
    which it stands.

    Args:
        session: Where a store that does not lead says that it has committed.
        rows: Finds what may be decided.
        writes: Where that is asked for.
        leadership: Says whether this store leads.
        bell: Rung after each commit of this store.
    """

    name = "dependencies"

    def __init__(
        self,
        session: NatsSession,
        rows: DependencyRows,
        writes: Writes,
        leadership: Leadership,
        *,
        bell: DependencyBell,
    ) -> None:
        super().__init__(session, leadership, bell)
        self._rows = rows
        self._writes = writes
        self._position = 0
        self._known_at = -math.inf

    async def work(self) -> float | None:
        """Have decided what the next part of the log allows; go on at once if there is more."""
        # Of one moment: what is made behind that position knows all that ended before it.
        standing = await self._rows.standing()
        self._bell.is_heard = standing.is_anything_held
        is_known = time.monotonic() < self._known_at + AWAY_SECONDS
        has_released = False
        position = standing.newest
        if standing.is_anything_held and not is_known:
            has_released = await self._look_at_all()
        elif standing.is_anything_held:
            ended = await self._rows.ended(self._position, MAX_EVENTS_AT_ONCE)
            has_released = await self._release(ended.task_ids)
            position = ended.position
        self._position = position
        self._known_at = time.monotonic()
        # What was cancelled just now may end what comes after it.
        return 0 if has_released or position < standing.newest else None

    async def _release(self, ended_ids: Sequence[UUID]) -> bool:
        """Decide what waits for tasks that ended; return whether anything did."""
        has_released = False
        while ended_ids and (release := await self._rows.decided(ended_ids, MAX_PAIRS_AT_ONCE)) is not None:
            has_released = await self._ask(release)
        return has_released

    async def _look_at_all(self) -> bool:
        """Decide what can be, of everything that waits; return whether anything was."""
        has_released = False
        behind: Pair | None = _FIRST
        while behind is not None:
            page = await self._rows.page(behind, MAX_ROWS_AT_ONCE)
            if page.release is not None:
                for start in range(0, len(page.release.pairs), MAX_PAIRS_AT_ONCE):
                    pairs = page.release.pairs[start : start + MAX_PAIRS_AT_ONCE]
                    has_released = await self._ask(page.release._replace(pairs=pairs))
            behind = page.behind
        return has_released

    async def _ask(self, release: Release) -> bool:
        await self._writes.ask(release)
        return True
