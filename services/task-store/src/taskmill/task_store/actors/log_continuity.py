"""Notices when the database was set back to an earlier state, and has the log go on in an epoch of its own."""

from collections.abc import Callable

import structlog
from asyncpg import Connection, Record

from taskmill.contracts.errors import DatabaseUnavailableError, UnavailableError
from taskmill.runtime.actor import Actor, is_set_within
from taskmill.runtime.backoff import Backoff
from taskmill.runtime.errors import JetStreamError, StartError
from taskmill.task_store.adapters.event_stream import EventStream
from taskmill.task_store.adapters.log_epochs import LogEpochs, LogStanding, is_behind, log_standing
from taskmill.task_store.domain.log_epoch import LogEpoch

_log = structlog.get_logger(__name__)


_OF_ANOTHER = """\
the database is empty, but NATS has a log up to position {newest} (TASK_EVENTS): that of another database.
Set TASKMILL_DATABASE_URL or TASKMILL_NATS_URL. If that database is lost, and this one takes its place:
  python -m taskmill.task_store restored
With Docker Compose: docker compose run --rm task-store restored. What NATS holds is thrown away then.
With `taskmill up`: remove the folder `nats` from its data (.data), too."""


class LogContinuity(Actor):
    """Compares the log with what was published of it, before anything is written.

    What stands in TASK_EVENTS was committed. If the log ends before that, PostgreSQL was set back: a backup was
    restored, or a replica was made the primary that had not got everything. Then a new epoch begins. It lasts for as
    long as this process does: who finds it changed has the process end, to be started anew.

    A database in which nothing has happened yet is no backup: somebody has it look at the NATS of another one, whose
    streams must stay.

    Args:
        epochs: The log.
        events: What was published.
        newest_written: The position of the newest event that this store has written itself.
        on_epoch: Called with the epoch before `run` serves.
        on_changed: Called with a reason when it is not this epoch any more.
    """

    name = "log-continuity"

    def __init__(
        self,
        epochs: LogEpochs,
        events: EventStream,
        *,
        newest_written: Callable[[], int],
        on_epoch: Callable[[LogEpoch], None],
        on_changed: Callable[[str], None],
    ) -> None:
        self._epochs = epochs
        self._events = events
        self._newest_written = newest_written
        self._on_epoch = on_epoch
        self._on_changed = on_changed
        self._epoch: LogEpoch | None = None

    @property
    def epoch(self) -> LogEpoch:
        """The epoch of the log; to be asked once this actor serves."""
        assert self._epoch is not None  # noqa: S101
        return self._epoch

    async def run(self, started: Callable[[], None]) -> None:
        """Find out the epoch, beginning one if need be; then there is nothing to do.

        Raises:
            StartError: NATS belongs to another database.
        """
        backoff = Backoff(base_seconds=0.1, cap_seconds=2)
        while self._epoch is None and not self._stop_requested.is_set():
            try:
                self._epoch = await self._settle()
            except (UnavailableError, JetStreamError) as error:
                _log.warning("log_continuity.postponed", error=str(error))
                await is_set_within(self._stop_requested, backoff.next())
            else:
                self._on_epoch(self._epoch)
        started()
        await self._stop_requested.wait()

    async def check(self, connection: "Connection[Record]") -> None:
        """Make sure that a connection that has just been made leads to the log that this store knows.

        Raises:
            DatabaseUnavailableError: It does not, and this process ends; or that cannot be said now.
        """
        if self._epoch is None:
            return
        try:
            seen = await self._seen()
        except (UnavailableError, JetStreamError) as error:
            raise DatabaseUnavailableError("What was published cannot be compared with the log now.") from error
        found = await log_standing(connection)
        if found.epoch != self._epoch or is_behind(found, seen):
            self._on_changed(f"the log was set back: it ends at {found.newest}, in epoch {found.epoch.begin}")
            raise DatabaseUnavailableError("The database was set back to an earlier state.")

    async def _settle(self) -> LogEpoch:
        seen = await self._seen()
        found = await self._epochs.standing()
        if not is_behind(found, seen):
            return found.epoch
        if found.newest == 0:
            raise StartError(_OF_ANOTHER.format(newest=seen.newest))
        epoch = await self._epochs.begin(seen)
        _log.error(
            "log.set_back", newest=found.newest, published=seen.newest, epoch=epoch.begin, continued_behind=found.newest
        )
        return epoch

    async def _seen(self) -> LogStanding:
        """How far the log is at least. To be asked before the log is: this store writes, and publishes, meanwhile."""
        published = await self._events.standing()
        return published._replace(newest=max(published.newest, self._newest_written()))
