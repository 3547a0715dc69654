"""One simulated run: it is put together, things go wrong, they are healed, and it comes to rest."""

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from taskmill.task_store.domain.events import LoggedEvent as StoredEvent
from taskmill.task_store.domain.publication import UnpublishedEvent
from taskmill.task_store.domain.state import TaskState
from tests.chaos.checker.history import FaultWindow, History, LoggedEvent, Operation, Outcome
from tests.simulation.broker import Broker
from tests.simulation.clients import Client, Population
from tests.simulation.database import Database
from tests.simulation.handlers import KIND_DEFAULTS
from tests.simulation.nemesis import Nemesis
from tests.simulation.processor import Processor
from tests.simulation.store import TaskStore
from tests.simulation.world import MAX_LATE_SECONDS, Weather, World

CLIENTS = 3
FAULTS_UNTIL_SECONDS = 8.0
MAX_REST_SECONDS = 120.0

_SCENES = {"calm": 1, "poison": 1, "faults": 5, "storm": 3}
"""What a run shows, with its weight: nothing wrong, work that ends processors and nothing else, faults on a sound
network, and on a bad one."""


class Simulation:
    """A run that `run` makes happen, once.

    Args:
        seed: Decides everything.
        is_traced: Whether the world keeps a trace.
    """

    def __init__(self, seed: int, *, is_traced: bool = False) -> None:
        self.world = world = World(seed, is_traced)
        random = world.random
        scene = random.choices(list(_SCENES), weights=list(_SCENES.values()))[0]
        if scene == "storm":
            self._worsen_weather()
        self.database = Database(world, max_waiting=random.choice([4, 1_000, 1_000]))
        self._witnessed: list[UnpublishedEvent] = []
        self.broker = Broker(world, self._witnessed.append)
        kinds_of = {"p1": KIND_DEFAULTS.keys(), "p2": KIND_DEFAULTS.keys() - {"rare"}}
        if scene == "poison":
            del kinds_of["p2"]
        self._processors = [Processor(name, world, self.broker, kinds) for name, kinds in kinds_of.items()]
        self._stores = [TaskStore(name, world, self.database, self.broker, self._processors) for name in ("s1", "s2")]
        for store in self._stores:
            store.others = [other for other in self._stores if other is not store]
        self._nemesis = Nemesis(world, self.database, self.broker, self._stores, self._processors)
        self._fault_count = random.randrange(1, 5) if scene in {"faults", "storm"} else 0
        is_poisoned = scene == "poison" or (scene != "calm" and random.random() < 0.2)
        self._population = Population(poison=is_poisoned)

    def run(self) -> History:
        """Let it happen, and return what is left in the end."""
        for store in self._stores:
            store.start()
        for processor in self._processors:
            processor.start()
        clients = [
            Client(
                number,
                self.world,
                self._stores,
                self.database,
                self._population,
                actions=self.world.random.randrange(2, 7),
            )
            for number in range(CLIENTS)
        ]
        self._nemesis.start(self._fault_count, FAULTS_UNTIL_SECONDS)
        self.world.scheduler.run(FAULTS_UNTIL_SECONDS)
        last_arrival = FAULTS_UNTIL_SECONDS + (MAX_LATE_SECONDS if self.world.weather.late else 0)
        # What is late, or was sent to somebody who is suspended, is carried out all the same.
        self.world.scheduler.run(max(last_arrival, self._nemesis.heal() + 0.1))
        self.world.note("nemesis", "healed everything")
        self._rest(lambda: all(client.is_done for client in clients) and self._is_at_rest())
        clients[0].finish()
        self._rest(lambda: clients[0].is_done and self._is_at_rest())
        return self._history()

    def _worsen_weather(self) -> None:
        choices = [0.0, 0.02, 0.1]
        self.world.weather = Weather(*(self.world.random.choice(choices) for _ in range(3)))
        now = self.world.seconds_since_epoch()
        self.world.faults.append(FaultWindow("bad weather", "network", now, now + FAULTS_UNTIL_SECONDS))

    def _rest(self, is_at_rest: Callable[[], bool]) -> None:
        """Let time pass until nothing is left to be done, or for so long that it never will."""
        scheduler = self.world.scheduler
        deadline = scheduler.now + MAX_REST_SECONDS
        while scheduler.now < deadline:
            scheduler.run(scheduler.now + 1)
            if is_at_rest():
                return

    def _is_at_rest(self) -> bool:
        return (
            not any(task.is_run_active for task in self.database.tasks.values())
            and not self.broker.reports.subjects
            and not self.broker.work.subjects
            and all(processor.is_idle for processor in self._processors)
            and self.database.cursor.position == len(self.database.log)
            and self.broker.events.last_sequence >= len(self.database.log)
        )

    def _history(self) -> History:
        log = [_logged(event) for event in self.database.log]
        by_id = {event.event_id: event for event in log}
        return History(
            operations=[*self._population.operations, *self._submissions()],
            faults=self.world.faults,
            effects=self.world.effects,
            log=log,
            witnessed=[_received(event, by_id) for event in self._witnessed],
            reported=self.world.reported,
            rows={str(task.id): _row(task) for task in self.database.tasks.values()},
            reconnects=self.world.signs["broker killed"],
        )

    def _submissions(self) -> Iterator[Operation]:
        """What handlers asked for: a client asked for all other tasks."""
        for task_ids in self.world.submitted.values():
            yield Operation(Outcome.INVOKE, -1, "submit", 0.0, marks=tuple(map(str, task_ids)))


def _logged(event: StoredEvent | UnpublishedEvent) -> LoggedEvent:
    data = orjson.loads(event.document)["data"]
    return LoggedEvent(str(event.task_id), event.version, str(event.type), event.document, data)


def _received(event: UnpublishedEvent, by_id: dict[str, LoggedEvent]) -> LoggedEvent:
    committed = by_id.get(f"{event.task_id}.{event.version}")
    return committed if committed is not None and committed.document == event.document else _logged(event)


def _row(task: TaskState) -> dict[str, Any]:
    """A row as the checker reads it from PostgreSQL."""
    row = task._asdict()
    return {**row, **{name: orjson.loads(row[name] or "null") for name in ("labels", "result", "error", "progress")}}
