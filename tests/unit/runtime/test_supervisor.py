import asyncio
from collections.abc import Callable

import pytest

from taskmill.runtime.actor import Actor
from taskmill.runtime.errors import StartError
from taskmill.runtime.supervisor import RunState, Supervisor
from tests.support.eventually import eventually


class Recorder(Actor):
    """Notes in a shared list what happens to it, and crashes on demand."""

    def __init__(self, name: str, notes: list[str], *, serves: bool = True, drains: bool = True) -> None:
        self.name = name
        self._notes = notes
        self._serves = serves
        self._drains = drains
        self._crash = asyncio.Event()
        self._stop = asyncio.Event()
        self.crashes_left = 0
        self.runs = 0

    async def run(self, started: Callable[[], None]) -> None:
        """Serve, or crash, or hang, as it was made to."""
        self.runs += 1
        if self.crashes_left:
            self.crashes_left -= 1
            raise ZeroDivisionError
        if not self._serves:
            await self._stop.wait()
            return
        self._notes.append(f"{self.name} started")
        started()
        await self._stop.wait()
        if not self._drains:
            await asyncio.Event().wait()
        self._notes.append(f"{self.name} drained")

    def stop(self) -> None:
        """Note it."""
        self._notes.append(f"{self.name} stopping")
        self._stop.set()


class Quitter(Recorder):
    """Returns without having been asked to, the first time."""

    async def run(self, started: Callable[[], None]) -> None:
        """Return at once, then serve."""
        if self.runs == 0:
            self.runs = 1
            started()
            return
        await super().run(started)


class Refusing(Actor):
    """Finds out that the service cannot be as it is set up."""

    name = "refusing"

    def __init__(self, *, serves: bool) -> None:
        self._serves = serves

    async def run(self, started: Callable[[], None]) -> None:
        """Serve first, or not."""
        if self._serves:
            started()
        raise StartError("it makes no sense")


async def test_starts_in_order_and_drains_in_reverse() -> None:
    """Each actor starts after the one before serves, and stops after the one behind has ended."""
    notes: list[str] = []
    supervisor = Supervisor([Recorder("a", notes), Recorder("b", notes)])
    task = asyncio.create_task(supervisor.run())
    await eventually(lambda: len(notes) == 2)
    assert supervisor.states() == {"a": RunState.RUNNING, "b": RunState.RUNNING}
    supervisor.stop()
    await task
    assert notes == ["a started", "b started", "b stopping", "b drained", "a stopping", "a drained"]
    assert set(supervisor.states().values()) == {RunState.STOPPED}


async def test_a_crashed_actor_is_restarted_while_the_others_run() -> None:
    """A crash, even at the start, is followed by another run of the same actor."""
    notes: list[str] = []
    crashing = Recorder("b", notes)
    crashing.crashes_left = 2
    supervisor = Supervisor([Recorder("a", notes), crashing, Recorder("c", notes)])
    task = asyncio.create_task(supervisor.run())
    await eventually(lambda: len(notes) == 3)
    assert notes == ["a started", "b started", "c started"]
    assert crashing.runs == 3
    supervisor.stop()
    await task


async def test_an_actor_that_ends_unasked_is_restarted() -> None:
    """An actor that returns before it was stopped has a fault, and is run again."""
    notes: list[str] = []
    quitter = Quitter("a", notes)
    supervisor = Supervisor([quitter])
    task = asyncio.create_task(supervisor.run())
    await eventually(lambda: notes == ["a started"])
    supervisor.stop()
    await task


class Canceller(Recorder):
    """Awaits, the first time, something that somebody else cancels."""

    async def run(self, started: Callable[[], None]) -> None:
        """Be cancelled by what is awaited, then serve."""
        if self.runs == 0:
            self.runs = 1
            started()
            cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            cancelled.cancel()
            await cancelled
        await super().run(started)


async def test_a_stray_cancellation_is_a_crash() -> None:
    """An actor that is ended by a cancellation which nobody meant for it is restarted, not lost."""
    notes: list[str] = []
    supervisor = Supervisor([Canceller("a", notes)])
    task = asyncio.create_task(supervisor.run())
    await eventually(lambda: notes == ["a started"])
    supervisor.stop()
    await task


async def test_a_cancelled_supervisor_drains() -> None:
    """Cancelling the whole ends it in order as well."""
    notes: list[str] = []
    task = asyncio.create_task(Supervisor([Recorder("a", notes), Recorder("b", notes)]).run())
    await eventually(lambda: len(notes) == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert notes[-1] == "a drained"


async def test_an_actor_that_does_not_start_ends_the_service() -> None:
    """The error names the actor; those that had started are drained, those behind never start."""
    notes: list[str] = []
    supervisor = Supervisor(
        [Recorder("a", notes), Recorder("b", notes, serves=False), Recorder("c", notes)], start_timeout_seconds=0.05
    )
    with pytest.raises(StartError, match=r"^b did not start within 0\.05 s$"):
        await supervisor.run()
    assert notes == ["a started", "b stopping", "a stopping", "a drained"]


async def test_an_actor_may_say_that_the_service_cannot_be() -> None:
    """Whenever it finds out: then all are drained, and the service ends with what it said."""
    for serves in (False, True):
        notes: list[str] = []
        supervisor = Supervisor([Recorder("a", notes), Refusing(serves=serves)])
        async with asyncio.timeout(5):
            with pytest.raises(StartError, match=r"^it makes no sense$"):
                await supervisor.run()
        assert notes == ["a started", "a stopping", "a drained"]


async def test_stop_during_the_start() -> None:
    """A stop while an actor starts does not wait for it to serve."""
    notes: list[str] = []
    hanging = Recorder("b", notes, serves=False)
    supervisor = Supervisor([Recorder("a", notes), hanging])
    task = asyncio.create_task(supervisor.run())
    await eventually(lambda: hanging.runs)
    assert supervisor.states()["b"] is RunState.STARTING
    supervisor.stop()
    async with asyncio.timeout(5):
        await task
    assert notes[-1] == "a drained"


async def test_an_actor_that_does_not_drain_is_cancelled() -> None:
    """One actor that hangs does not keep those before it from draining."""
    notes: list[str] = []
    supervisor = Supervisor([Recorder("a", notes), Recorder("b", notes, drains=False)], drain_timeout_seconds=0.05)
    task = asyncio.create_task(supervisor.run())
    await eventually(lambda: len(notes) == 2)
    supervisor.stop()
    async with asyncio.timeout(5):
        await task
    assert notes[-1] == "a drained"


async def test_a_stop_interrupts_the_pause_before_a_restart() -> None:
    """An actor that waits for its next run ends without one."""
    notes: list[str] = []
    crashing = Recorder("a", notes)
    crashing.crashes_left = 1_000
    supervisor = Supervisor([crashing])
    task = asyncio.create_task(supervisor.run())
    await eventually(lambda: supervisor.states()["a"] is RunState.RESTARTING)
    supervisor.stop()
    async with asyncio.timeout(5):
        await task
    assert "a started" not in notes


def test_names_are_unique() -> None:
    """Two actors of one name could not be told apart."""
    with pytest.raises(ValueError, match="same name"):
        Supervisor([Recorder("a", []), Recorder("a", [])])
