"""The reconciler of one store: the order of steps of `taskmill.task_store.actors.reconciler`."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from taskmill.contracts import subjects
from taskmill.contracts.errors import OverloadedError, UnavailableError
from taskmill.task_store.adapters.stalled_tasks import StalledTask
from taskmill.task_store.domain.operations import ExpireCancellations, Redispatch
from tests.simulation.broker import Broker
from tests.simulation.database import Database
from tests.simulation.processor import Processor
from tests.simulation.relay import Leadership, stop_handler
from tests.simulation.scheduler import Life, Steps
from tests.simulation.world import RECONCILE_SECONDS, World
from tests.simulation.writer import Writer

REPORTS_TIMEOUT_SECONDS = 3.0
REPORTS_LOOK_SECONDS = 0.05


class Reconciler:
    """Finds lost work, and cancellations that nobody answers, while its store leads.

    Args:
        world: The run.
        database: Where tasks are looked for.
        broker: Where their messages are looked for.
        life: The store's.
        leadership: Says whether this store leads.
        processors: Who hears that a handler is to stop.
        writer: Where changes are asked for.
    """

    def __init__(
        self,
        world: World,
        database: Database,
        broker: Broker,
        life: Life,
        *,
        leadership: Leadership,
        processors: Sequence[Processor],
        writer: Writer,
    ) -> None:
        self._world = world
        self._database = database
        self._broker = broker
        self._leadership = leadership
        self._processors = processors
        self._writer = writer
        world.scheduler.spawn(life, self._run())

    def _run(self) -> Steps[None]:
        while True:
            yield RECONCILE_SECONDS
            if self._leadership.is_leader:
                try:
                    yield from self._look()
                except UnavailableError:
                    self._world.signs["postponed looks"] += 1

    def _look(self) -> Steps[None]:
        unanswered = yield from self._repeat_cancellations()
        yield from self._database.round_trip()
        now = self._world.scheduler.utc()
        stalled = self._database.stalled_queued(now - timedelta(seconds=RECONCILE_SECONDS))
        stalled += self._database.stalled_silent(now)
        lost = (yield from self._without_message(stalled)) if stalled else []
        if unanswered or lost:
            yield from self._await_reports()
        if unanswered:
            yield from self._writer.ask(ExpireCancellations(tuple(unanswered)))
        if lost:
            self._world.signs["lost work"] += 1
            yield from self._writer.ask(Redispatch({task.id: task.dispatch for task in lost}))

    def _repeat_cancellations(self) -> Steps[list[UUID]]:
        yield from self._database.round_trip()
        unanswered = []
        for task in self._database.cancelling():
            if task.lease_until <= self._world.scheduler.utc():
                unanswered.append(task.id)
            else:
                stop_handler(self._world, self._processors, task.id, task.attempt)
        return unanswered

    def _without_message(self, tasks: list[StalledTask]) -> Steps[list[StalledTask]]:
        work = self._broker.work
        present = yield from self._world.request(work, lambda: work.subjects)
        return [task for task in tasks if subjects.work(task.queue, task.priority, task.kind, task.id) not in present]

    def _await_reports(self) -> Steps[None]:
        """Return when every report that JetStream has by now is read.

        Raises:
            OverloadedError: They are not in time.
        """
        reports = self._broker.reports
        newest = yield from self._world.request(reports, lambda: reports.last_sequence)
        deadline = self._world.scheduler.now + REPORTS_TIMEOUT_SECONDS
        while (yield from self._world.request(reports, lambda: reports.first_sequence)) <= newest:
            if self._world.scheduler.now >= deadline:
                raise OverloadedError
            yield REPORTS_LOOK_SECONDS
