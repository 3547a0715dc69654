"""Starts a service's actors in order, restarts those that crash, and drains them in reverse order."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum

import structlog

from taskmill.runtime.actor import Actor, is_set_within, unless_set
from taskmill.runtime.backoff import Backoff
from taskmill.runtime.errors import StartError

_log = structlog.get_logger(__name__)

STABLE_AFTER_SECONDS = 30
"""An actor that ran this long before it crashed is restarted as quickly as one that crashed for the first time."""


class RunState(StrEnum):
    """What an actor is doing, as its supervisor sees it."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    DRAINING = "draining"
    STOPPED = "stopped"


class Supervisor:
    """Runs the actors of one service.

    Args:
        actors: In the order in which they start; an actor may rely on those before it, at start and in the drain.
        start_timeout_seconds: How long each actor may take to serve, restarts included.
        drain_timeout_seconds: How long each actor may take to drain; after that it is cancelled.
    """

    def __init__(
        self, actors: Sequence[Actor], *, start_timeout_seconds: float = 60, drain_timeout_seconds: float = 8
    ) -> None:
        names = [actor.name for actor in actors]
        if len(set(names)) != len(names):
            raise ValueError("two actors have the same name")
        self._charges = [_Charge(actor, self.fail) for actor in actors]
        self._start_timeout_seconds = start_timeout_seconds
        self._drain_timeout_seconds = drain_timeout_seconds
        self._stop_requested = asyncio.Event()
        self._failure: StartError | None = None

    def states(self) -> dict[str, RunState]:
        """The run state of each actor, by name, in starting order."""
        return {charge.actor.name: charge.state for charge in self._charges}

    @property
    def has_failed(self) -> bool:
        """Whether `fail` was called."""
        return self._failure is not None

    @property
    def is_whole(self) -> bool:
        """Whether no actor has crashed and waits for its next start."""
        return all(charge.state is not RunState.RESTARTING for charge in self._charges)

    def stop(self) -> None:
        """Begin the drain, as SIGTERM and SIGINT do."""
        self._stop_requested.set()

    def fail(self, failure: StartError) -> None:
        """Begin the drain, after which `run` raises: the service cannot be, or has to be started anew."""
        if self._failure is None:
            self._failure = failure
            _log.error("service.failed", reason=str(failure))
        self.stop()

    async def run(self) -> None:
        """Start every actor, serve until `stop()` or a signal, then drain. To be called once, in the main thread.

        A second signal during the drain ends the process at once.

        Raises:
            StartError: An actor did not serve in time, or said that the service cannot be; those that had started are
                drained.
            RestartError: The service has to be started anew.
        """
        with self._signals():
            try:
                await self._start_all()
                await self._stop_requested.wait()
            finally:
                await self._drain_all()
        if self._failure is not None:
            raise self._failure

    async def _start_all(self) -> None:
        for charge in self._charges:
            charge.launch()
            await unless_set(self._stop_requested, is_set_within(charge.serving, self._start_timeout_seconds))
            if self._stop_requested.is_set():
                return
            if not charge.serving.is_set():
                raise StartError(f"{charge.actor.name} did not start within {self._start_timeout_seconds:g} s")
        _log.info("service.started", actors=len(self._charges))

    async def _drain_all(self) -> None:
        for charge in reversed(self._charges):
            await charge.drain(self._drain_timeout_seconds)
        _log.info("service.stopped")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        handled = (signal.SIGTERM, signal.SIGINT)
        for signum in handled:
            loop.add_signal_handler(signum, self._on_signal, signum)
        try:
            yield
        finally:
            for signum in handled:
                loop.remove_signal_handler(signum)

    def _on_signal(self, signum: signal.Signals) -> None:
        if self._stop_requested.is_set():
            _log.warning("service.ended_by_second_signal", signal=signum.name)
            os._exit(128 + signum)
        _log.info("service.draining", signal=signum.name)
        self.stop()


class _Charge:
    """One actor in a supervisor's care."""

    def __init__(self, actor: Actor, on_failed: Callable[[StartError], None]) -> None:
        self.actor = actor
        self._on_failed = on_failed
        self.state = RunState.STOPPED
        self.serving = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stop_requested = asyncio.Event()

    def launch(self) -> None:
        self.state = RunState.STARTING
        self._task = asyncio.create_task(self._keep_running(), name=self.actor.name)

    async def drain(self, timeout_seconds: float) -> None:
        """Stop the actor and wait for its end; legal when it never started."""
        if self._task is None:
            return
        self.state = RunState.DRAINING
        self._stop_requested.set()
        self.actor.stop()
        _, unfinished = await asyncio.wait({self._task}, timeout=timeout_seconds)
        if unfinished:
            _log.error("actor.drain_timed_out", actor=self.actor.name, timeout_seconds=timeout_seconds)
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=1)
        self.state = RunState.STOPPED

    async def _keep_running(self) -> None:
        backoff = Backoff(base_seconds=0.1, cap_seconds=5, jitter=0.3)
        clock = asyncio.get_running_loop().time
        while not self._stop_requested.is_set():
            started_at = clock()
            try:
                await self.actor.run(self._on_started)
            except StartError as refusal:
                # To run it again would change nothing.
                self._on_failed(refusal)
                return
            except (Exception, asyncio.CancelledError) as error:
                # A cancellation that nobody asked this task for comes from something the actor awaited: a crash too.
                if isinstance(error, asyncio.CancelledError) and self._is_cancelled():
                    raise
                _log.exception("actor.crashed", actor=self.actor.name)
            else:
                if self._stop_requested.is_set():
                    return
                _log.error("actor.ended_unasked", actor=self.actor.name)
            if self._stop_requested.is_set():
                return
            self.state = RunState.RESTARTING
            if clock() - started_at > STABLE_AFTER_SECONDS:
                backoff.reset()
            await is_set_within(self._stop_requested, backoff.next())

    def _is_cancelled(self) -> bool:
        return self._task is not None and self._task.cancelling() > 0

    def _on_started(self) -> None:
        self.serving.set()
        if self.state in {RunState.STARTING, RunState.RESTARTING}:
            self.state = RunState.RUNNING
