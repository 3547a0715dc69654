"""A task store: what it takes in, and what it does by itself."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from taskmill.contracts.errors import UnavailableError
from taskmill.contracts.reports import ReportBundle
from taskmill.runtime.pull import DeliveredMessage
from taskmill.task_store.adapters.report_bundles import read_bundle
from taskmill.task_store.domain.operations import Answer, MakeDue, OverdueBundle
from taskmill.task_store.domain.patience import Patience
from taskmill.task_store.domain.publication import UnpublishedEvent
from tests.simulation.broker import Broker
from tests.simulation.database import Database
from tests.simulation.processor import Processor
from tests.simulation.reconciler import Reconciler
from tests.simulation.relay import Leadership, Relay
from tests.simulation.scheduler import Life, Steps
from tests.simulation.world import World
from tests.simulation.writer import Reply, Writer

LOOK_SECONDS = 2.0
PULL_SECONDS = 2.0
MAX_BUNDLES_IN_HAND = 4
MAX_BUNDLES_WAITING = 2
OUT_OF_TURN_SECONDS = 15.0


class TaskStore:
    """One process of the task store, which starts anew after each crash.

    Args:
        name: Unique among the stores.
        world: The run.
        database: Shared with the other stores.
        broker: Where reports come from, and work and events go to.
        processors: Who hears that a handler is to stop.
    """

    creator: Writer
    """Where the tasks go that clients create."""

    writer: Writer
    """Where clients' other requests go."""

    others: Sequence["TaskStore"] = ()
    """Who may lead instead, and is told of commits."""

    def __init__(
        self, name: str, world: World, database: Database, broker: Broker, processors: Sequence[Processor]
    ) -> None:
        self.life = Life()
        self.life.is_over = True
        self.name = name
        self._world = world
        self._database = database
        self._broker = broker
        self._processors = processors

    def start(self) -> None:
        """Begin a life, with nothing remembered of the one before."""
        self.life = Life()
        world, database, broker, life = self._world, self._database, self._broker, self.life
        leadership = Leadership(self.name, world, database, life)
        self._relay = Relay(world, database, broker, life, leadership=leadership, processors=self._processors)
        self.creator, self.writer = (
            Writer(self.name, world, database, life, on_commit=self._wake_relays, on_scheduled=self._ring_at)
            for _ in range(2)
        )
        Reconciler(
            world,
            database,
            broker,
            life,
            leadership=leadership,
            processors=self._processors,
            writer=self.writer,
        )
        self._rings_at = world.scheduler.utc()
        self._due = world.scheduler.spawn(life, self._make_due())
        self._patience = Patience(OUT_OF_TURN_SECONDS)
        self._waiting: set[str] = set()
        self._credit = 0
        self._pulling = world.scheduler.spawn(life, self._pull_reports())

    def crash(self) -> None:
        """End at once."""
        self.life.is_over = True

    def reconnect(self) -> None:
        """The connection to the broker was lost, and is back."""
        if not self.life.is_over:
            self._relay.doubt_stream()
            self._patience = Patience(OUT_OF_TURN_SECONDS)
            self._waiting.clear()
            self._credit = 0
            self._pulling.wake()

    def _wake_relays(self, events: Sequence[UnpublishedEvent]) -> None:
        self._relay.wake(events)
        for store in self.others:
            self._world.send(store, store._relay.wake)

    # Due tasks, as in `DueTasks`.

    def _ring_at(self, at: datetime) -> None:
        if at < self._rings_at:
            self._rings_at = at
            self._due.wake()

    def _make_due(self) -> Steps[None]:
        while True:
            now = self._world.scheduler.utc()
            if now < self._rings_at:
                yield (self._rings_at - now).total_seconds()
                continue
            self._rings_at = now + timedelta(seconds=LOOK_SECONDS)
            try:
                yield from self._queue_due()
            except UnavailableError:
                continue

    def _queue_due(self) -> Steps[None]:
        yield from self._database.round_trip()
        scheduled = self._database.next_due()
        now = self._world.scheduler.utc()
        due = tuple(task_id for task_id, run_at in scheduled if run_at <= now)
        if due:
            yield from self.writer.ask(MakeDue(due))
        for _, run_at in scheduled[len(due) : len(due) + 1]:
            self._ring_at(run_at)

    # Reports, as in `ReportIntake`.

    def _pull_reports(self) -> Steps[None]:
        reports = self._broker.reports
        while True:
            if not self._credit:
                self._credit = MAX_BUNDLES_IN_HAND
                pull = partial(reports.pull, self.life, self._take_in, credit=MAX_BUNDLES_IN_HAND, seconds=PULL_SECONDS)
                self._world.send(reports, pull)
            yield PULL_SECONDS
            self._credit = 0

    def _take_in(self, delivery: DeliveredMessage) -> None:
        bundle = read_bundle(delivery.body)
        if bundle is not None:
            self.writer.offer(bundle, partial(self._settle, delivery, bundle))

    def _settle(self, delivery: DeliveredMessage, bundle: ReportBundle, answer: Reply) -> None:
        reports, reply, sequence = self._broker.reports, delivery.reply, delivery.stream_sequence
        early = answer.early if isinstance(answer, Answer) else ()
        wait_seconds = self._patience.wait_seconds(sequence, self._world.scheduler.now) if early else None
        if isinstance(answer, UnavailableError):
            self._patience.forget(sequence)
            wait_seconds = 1.0
        elif early and wait_seconds is None and not isinstance(bundle, OverdueBundle):
            self._world.signs["overdue reports"] += 1
            overdue = OverdueBundle(processor_id=bundle.processor_id, reports=list(early))
            self.writer.offer(overdue, partial(self._settle, delivery, overdue))
            return
        self._world.signs["reports out of turn"] += bool(early)
        if early and wait_seconds is not None and len(self._waiting) < MAX_BUNDLES_WAITING:
            self._world.signs["reports that wait in hand"] += 1
            self._waiting.add(reply)
            part = ReportBundle(processor_id=bundle.processor_id, reports=list(early))
            self._world.scheduler.spawn(self.life, self._offer_again(delivery, part, wait_seconds))
            return
        if wait_seconds is not None:
            self._world.send(reports, partial(reports.nak, reply, wait_seconds))
        else:
            self._patience.forget(sequence)
            self._world.send(reports, partial(reports.ack, reply))
        self._credit = max(0, self._credit - 1)
        if not self._credit:
            self._pulling.wake()

    def _offer_again(self, delivery: DeliveredMessage, early: ReportBundle, wait_seconds: float) -> Steps[None]:
        yield wait_seconds
        if delivery.reply in self._waiting:
            self._waiting.remove(delivery.reply)
            self.writer.offer(early, partial(self._settle, delivery, early))
