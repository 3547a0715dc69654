"""What goes wrong in a run, and when."""

from collections.abc import Callable, Sequence
from functools import partial

from tests.simulation.broker import Broker
from tests.simulation.database import Database
from tests.simulation.processor import Processor
from tests.simulation.scheduler import Life
from tests.simulation.store import TaskStore
from tests.simulation.world import World


class Nemesis:
    """Inflicts faults, one after the other and one beside the other, and undoes all of them in the end.

    Args:
        world: The run.
        database: Goes away.
        broker: Is killed, and forgets.
        stores: Are killed and suspended.
        processors: Are killed, suspended and drained.
    """

    def __init__(
        self,
        world: World,
        database: Database,
        broker: Broker,
        stores: Sequence[TaskStore],
        processors: Sequence[Processor],
    ) -> None:
        self._world = world
        self._database = database
        self._broker = broker
        self._stores = stores
        self._processors = processors
        self._processes: list[TaskStore | Processor] = [*stores, *processors]
        self._life = Life()

    def start(self, faults: int, until: float) -> None:
        """Inflict so many faults before an instant, in seconds of the scheduler."""
        random = self._world.random
        for _ in range(faults):
            processor, store = random.choice(self._processors), random.choice(self._stores)
            inflictions: list[Callable[[], None]] = [
                partial(self._kill, processor),
                partial(self._kill, processor),
                partial(self._suspend, processor),
                partial(self._suspend, processor),
                partial(self._drain, processor),
                partial(self._drain, processor),
                partial(self._kill, store),
                partial(self._suspend, store),
                partial(self._kill_broker, 0),
                partial(self._kill_broker, random.randrange(1, 6)),
                partial(self._kill_broker, None),
                self._take_database_away,
                self._take_database_away,
            ]
            inflict = random.choice(inflictions)
            self._world.scheduler.after(random.uniform(0.2, until), self._life, inflict)

    def heal(self) -> float:
        """Undo everything, for good; return when the last of what is suspended goes on, in seconds of the scheduler."""
        self._life.is_over = True
        self._world.weather.clear()
        self._database.is_away = False
        if self._broker.work.life.is_over:
            self._restart_broker(0, 0)
        for process in self._processes:
            if process.life.is_over:
                process.start()
        return max(process.life.suspended_until for process in self._processes)

    def _kill(self, process: Processor | TaskStore) -> None:
        if not process.life.is_over:
            seconds = self._world.random.uniform(0.2, 3)
            self._world.fault(f"{_sort(process)} killed", process.name, seconds)
            process.crash()
            self._world.scheduler.after(seconds, self._life, partial(_revive, process))

    def _suspend(self, process: Processor | TaskStore) -> None:
        if not process.life.is_over:
            seconds = self._world.random.uniform(0.5, 8)
            self._world.fault(f"{_sort(process)} suspended", process.name, seconds)
            process.life.suspended_until = self._world.scheduler.now + seconds

    def _drain(self, processor: Processor) -> None:
        if not processor.life.is_over:
            self._world.fault("processor drained", processor.name, 3)
            self._world.scheduler.spawn(processor.life, processor.drain())

    def _kill_broker(self, lost_messages: int | None) -> None:
        """Kill the broker; it comes back without its newest messages, so many, or (None) without any."""
        if not self._broker.work.life.is_over:
            seconds = self._world.random.choice([0.03, 0.3, 3.0])
            name = {0: "broker killed", None: "broker wiped"}.get(lost_messages, "broker's end lost")
            self._world.fault(name, "broker", seconds)
            self._broker.stop()
            forgotten = self._world.random.randrange(2)
            self._world.scheduler.after(seconds, self._life, partial(self._restart_broker, forgotten, lost_messages))

    def _restart_broker(self, forgotten_deliveries: int, lost_messages: int | None) -> None:
        self._broker.start(forgotten_deliveries=forgotten_deliveries, lost_messages=lost_messages)
        for process in self._processes:
            process.reconnect()

    def _take_database_away(self) -> None:
        seconds = self._world.random.uniform(0.1, 5)
        self._world.fault("database away", "database", seconds)
        self._database.is_away = True
        self._world.scheduler.after(seconds, self._life, self._bring_database_back)

    def _bring_database_back(self) -> None:
        self._database.is_away = False


def _revive(process: Processor | TaskStore) -> None:
    if process.life.is_over:
        process.start()


def _sort(process: Processor | TaskStore) -> str:
    return "processor" if isinstance(process, Processor) else "store"
