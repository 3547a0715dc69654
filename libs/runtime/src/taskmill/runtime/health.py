"""How a process without HTTP tells that it is well."""

from collections.abc import Callable, Sequence
from pathlib import Path

from taskmill.runtime.actor import Actor, is_set_within
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.settings import HealthSettings
from taskmill.runtime.supervisor import RunState, Supervisor


class HealthFile(Actor):
    """Touches a file again and again while the process is well, so that a stale or missing file means trouble.

    The file is removed at the start and at the drain.

    Args:
        path: The file; its directory exists.
        is_healthy: Asked each time; must return quickly.
        interval_seconds: The pause between two touches.
    """

    def __init__(self, path: Path, is_healthy: Callable[[], bool], *, interval_seconds: float = 2) -> None:
        self.name = "health-file"
        self._path = path
        self._is_healthy = is_healthy
        self._interval_seconds = interval_seconds

    async def run(self, started: Callable[[], None]) -> None:
        """Keep the file fresh until stopped, then remove it."""
        self._path.unlink(missing_ok=True)
        started()
        try:
            while not self._stop_requested.is_set():
                if self._is_healthy():
                    self._path.touch()
                await is_set_within(self._stop_requested, self._interval_seconds)
        finally:
            self._path.unlink(missing_ok=True)


def supervise(
    actors: Sequence[Actor], session: NatsSession, settings: HealthSettings, *, drain_timeout_seconds: float = 8
) -> Supervisor:
    """Supervise a service's actors; with a health file, if one is set, for as long as NATS answers and all of them run.

    An actor that keeps crashing mostly waits for its next start, and so the file becomes stale.

    Args:
        actors: As of `Supervisor`.
        session: The service's connection.
        settings: Where the file is.
        drain_timeout_seconds: As of `Supervisor`.
    """
    if settings.health_file is None:
        return Supervisor(actors, drain_timeout_seconds=drain_timeout_seconds)

    def is_healthy() -> bool:
        return (
            session.is_connected
            and session.is_at_work
            and all(state is RunState.RUNNING for state in supervisor.states().values())
        )

    health_file = HealthFile(settings.health_file, is_healthy)
    supervisor = Supervisor([*actors, health_file], drain_timeout_seconds=drain_timeout_seconds)
    return supervisor
